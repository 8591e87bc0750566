import ALDCore
import ArgumentParser
import Foundation
import Logging
import Modbus

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Check everything a run needs, and say what to do about what is missing.",
        discussion: """
            Looks at settings, data directory, register map, database (or the programs
            of the private one) and controller (or the port of the simulated one).
            Changes nothing.

            EXAMPLES
              ald doctor
              ALD_PLC=10.0.0.5:502 ald doctor --json

            EXIT STATUS
              0   a run would start          69  something needs attention first

            \(SettingsHelp.text)
            """)

    @OptionGroup var common: CommonOptions

    @Option(help: ArgumentHelp("TCP port of the simulated machine.", valueName: "port"))
    var simulatorPort: String?

    @Flag(help: "Write the findings as one JSON array.")
    var json = false

    func run() async throws {
        try await reportingFailures {
            var given = common.given
            given[.simulatorPort] = simulatorPort
            let reader = try SettingsReader(options: given, file: common.config)
            let findings = await Examination(settings: try reader.settings(), warnings: reader.warnings).findings()
            StandardStream.output.write(try json ? Self.json(findings) : Self.text(findings))
            if findings.contains(where: { $0.state == .failed }) {
                throw ExitCode(Failure.Status.unavailable.rawValue)
            }
        }
    }

    private static func text(_ findings: [Finding]) -> String {
        let width = (findings.map(\.subject.count).max() ?? 0) + 2
        let lines = findings.map { finding in
            let subject = finding.subject + String(repeating: " ", count: width - finding.subject.count)
            // A message of several lines stays in its column.
            let indent = "\n" + String(repeating: " ", count: width + 8)
            return "\(finding.state.label) \(subject)\(finding.text.replacing("\n", with: indent))"
        }
        let failed = findings.count { $0.state == .failed }
        let verdict = failed == 0 ? "A run would start." : "\(failed) of \(findings.count) checks need attention."
        return (lines + ["", verdict]).map { $0 + "\n" }.joined()
    }

    private static func json(_ findings: [Finding]) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(findings), as: UTF8.self) + "\n"
    }
}

/// What one check found.
struct Finding: Encodable, Sendable {
    enum State: String, Encodable {
        case ok, warning, failed

        var label: String {
            switch self {
            case .ok: "ok    "
            case .warning: "warn  "
            case .failed: "FAILED"
            }
        }
    }

    var subject: String
    var state: State
    /// What was found and, unless all is well, what to do.
    var text: String
}

/// The checks, in the order in which a run would need what they look at.
struct Examination {
    let settings: Settings
    let warnings: [String]
    private let time = SystemTime()
    /// Nothing of what is examined may fill the report with its own log.
    private let quiet = Logger(label: "ald.doctor") { _ in SwiftLogNoOpLogHandler() }

    init(settings: Settings, warnings: [String]) {
        self.settings = settings
        self.warnings = warnings
    }

    func findings() async -> [Finding] {
        var findings = warnings.map { Finding(subject: "settings", state: .warning, text: $0) }
        findings.append(await check("data directory") { try dataDirectory() })
        findings.append(await check("schedule") { try schedule() })
        findings.append(await check("register map") { try registerMap() })
        findings.append(await check("database") { try await database() })
        findings.append(await check("controller") { try await controller() })
        return findings
    }

    private func check(_ subject: String, _ body: () async throws -> String) async -> Finding {
        do {
            return Finding(subject: subject, state: .ok, text: try await body())
        } catch {
            return Finding(subject: subject, state: .failed, text: Failure(error).message)
        }
    }

    private func dataDirectory() throws -> String {
        let path = URL(fileURLWithPath: settings.dataDirectory).path
        if let owner = DataDirectory.owner(of: path, machine: settings.machineID) {
            throw Failure(
                .temporary,
                "\(path) is in use by process \(owner.process), \(owner.terminal); stop it, or use another directory")
        }
        // The nearest directory that exists decides whether a run could create the rest.
        var existing = URL(fileURLWithPath: path)
        while !FileManager.default.fileExists(atPath: existing.path), existing.path != "/" {
            existing.deleteLastPathComponent()
        }
        guard try existing.resourceValues(forKeys: [.isDirectoryKey]).isDirectory == true else {
            throw Failure(.configuration, "\(existing.path) is a file; choose another with --data-directory")
        }
        guard FileManager.default.isWritableFile(atPath: existing.path) else {
            throw Failure(.configuration, "\(existing.path) is not writable; change its owner or use --data-directory")
        }
        let free = try existing.resourceValues(forKeys: [.volumeAvailableCapacityKey]).volumeAvailableCapacity
        let space = free.map { ", \($0 / 1_000_000_000) GB free" } ?? ""
        return "\(path)\(existing.path == path ? "" : " will be created")\(space)"
    }

    private func schedule() throws -> String {
        try settings.collecting.validate()
        let end = settings.duration.map { ", for \(DurationText.clock($0))" } ?? ""
        return "every \(StatusReport.seconds(settings.period))\(end)"
    }

    private func registerMap() throws -> String {
        let map = try settings.registerMap()
        let collected = try settings.collected(of: map)
        let plan = try ReadPlanner().plan(collected.readSpans)
        let part = settings.parameters.isEmpty ? "" : "\(collected.parameters.count) of "
        return "\(settings.machineFile): \(part)\(map.parameters.count) parameters in \(plan.requests.count) requests"
    }

    private func database() async throws -> String {
        guard let url = settings.databaseURL else {
            let installed = try await LocalPostgres.installedServer(binaryDirectory: settings.postgresBin)
            return "private server, PostgreSQL \(installed.majorVersion) in \(installed.directory)"
        }
        let deadline = time.now + .seconds(5)
        let connection = try await PostgresConnection.connect(
            try PostgresConfiguration(connectionString: url), deadline: deadline, time: time, logger: quiet)
        return try await withCleanup {
            try await examine(connection, deadline: deadline)
        } cleanup: {
            await connection.close()
        }
    }

    private func examine(_ connection: PostgresConnection, deadline: MonotonicInstant) async throws -> String {
        let result = try await connection.query(
            """
            SELECT current_setting('server_version'), current_setting('server_version_num')::int,
                   current_database()::text, has_database_privilege(current_database(), 'CREATE')
            """, deadline: deadline)
        guard let row = result.first else { throw Failure(.unavailable, "the server answered with nothing") }
        let version = try row.decode(0, as: String.self)
        let name = try row.decode(2, as: String.self)
        guard try row.decode(1, as: Int32.self) >= 150_000 else {
            throw Failure(.configuration, "PostgreSQL \(version) is too old; 15 or later is needed")
        }
        let schema = try await Migrator().version(connection, deadline: deadline)
        let isCurrent = schema == Migration.all.last?.version
        guard try isCurrent || row.decode(3, as: Bool.self) else {
            throw Failure(
                .configuration,
                "this user may not bring the schema of \(name) up to date (it has version \(schema)); "
                    + "GRANT CREATE ON DATABASE \(name) to it")
        }
        return "PostgreSQL \(version), database \(name), schema "
            + (isCurrent ? "version \(schema), up to date" : "version \(schema), a run migrates it")
    }

    private func controller() async throws -> String {
        guard let controller = settings.controller else {
            let server = ModbusServer(
                configuration: .init(port: settings.simulatorPort),
                device: SimulatedPLC(try settings.registerMap(), seed: settings.simulatorSeed), logger: quiet)
            let port = try await server.start()
            await server.stop()
            return "simulated" + (settings.simulatorPort == 0 ? "" : ", port \(port) is free")
        }
        let client = try ModbusClient(
            configuration: .init(
                host: controller.host, port: controller.port, unit: UnitID(rawValue: settings.unit)),
            logger: quiet)
        let started = time.now
        let plc = try ModbusPLC(try settings.collected(of: try settings.registerMap()), client: client)
        let scan: Result<Scan, PLCError>
        do throws(PLCError) {
            scan = .success(try await plc.scan(deadline: started + .seconds(5)))
        } catch {
            scan = .failure(error)
        }
        await client.close()
        let readings = try scan.get().readings
        let bad = readings.filter { $0.quality == .bad }.count
        let took = StatusReport.milliseconds(time.now - started)
        guard bad == 0 else {
            throw Failure(
                .configuration,
                "\(controller.host):\(controller.port) answers, but \(bad) of \(readings.count) parameters cannot be "
                    + "read; compare the register map with the controller")
        }
        return "\(controller.host):\(controller.port) answered all \(readings.count) parameters in \(took)"
    }
}
