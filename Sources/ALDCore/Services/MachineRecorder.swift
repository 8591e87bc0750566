import Foundation
public import Logging
public import ServiceLifecycle

/// Records the values of a machine of your own: on disk when ``append(_:at:)`` returns, then in PostgreSQL, exactly
/// once, through outages, restarts and `kill -9`.
///
/// One service that owns everything it needs: spool, connection pool, writer and the upkeep of the database. It brings
/// the schema up to date and registers the machine by itself, as soon as the database can be reached.
///
/// ```swift
/// let recorder = try MachineRecorder(
///     url: "postgresql://…", directory: "/var/lib/oven", machine: 7, name: "Oven", parameters: ["temperature"])
/// try await recorder.recording { try await $0.append(["temperature": 451.5]) }
/// ```
public final class MachineRecorder: Service {
    /// Something that is recorded.
    public struct Parameter: Hashable, Sendable, ExpressibleByStringLiteral {
        /// What rows and people call it.
        public var name: String
        public var unit: String
        /// What is outside is recorded with quality uncertain. Defaults to every number.
        public var range: ClosedRange<Double>

        public init(
            _ name: String, unit: String = "",
            range: ClosedRange<Double> = -Double.greatestFiniteMagnitude...Double.greatestFiniteMagnitude
        ) {
            self.name = name
            self.unit = unit
            self.range = range
        }

        public init(stringLiteral name: String) { self.init(name) }
    }

    /// The machine's number in every row.
    public let machine: Int32
    /// What the recorder is made of, for who wants to hand it records of other kinds.
    public let writer: BatchWriter
    private let spool: Spool
    private let pool: ConnectionPool
    private let sink: PostgresSink
    private let database: PostgresConfiguration
    private let parameters: [String: (id: ParameterID, range: ClosedRange<Double>)]
    private let time: any TimeSource
    private let logger: Logger

    private let patience: Patience

    /// How long is waited for the database where nothing depends on it.
    struct Patience {
        /// For the first look at it. When it takes longer, recording begins without it.
        var introduction: Duration = .seconds(15)
        /// For what has not landed at the end; it then waits on disk.
        var flush: Duration = .seconds(10)
    }

    /// Opens the spool; nothing is sent before ``run()`` or ``recording(_:)``.
    ///
    /// - Parameters:
    ///   - url: how to reach the database, as libpq takes it.
    ///   - directory: where rows wait that have not landed yet; made when it is not there. One process owns it.
    ///   - machine: the number of the machine in this database, 1 or more.
    ///   - name: its name there, unique.
    ///   - parameters: what it has. Their numbers are their places in this list, so new ones go to its end and none is
    ///     ever taken out.
    /// - Throws: ``RecorderError`` with code `invalid` or `directory`.
    public convenience init(
        url: String, directory: String, machine: Int32, name: String, parameters: [Parameter],
        time: any TimeSource = SystemTime(), logger: Logger = Logger(label: "ald.recorder")
    ) throws(RecorderError) {
        try self.init(
            url: url, directory: directory, machine: machine, name: name, parameters: parameters,
            patience: Patience(), time: time, logger: logger)
    }

    init(
        url: String, directory: String, machine: Int32, name: String, parameters: [Parameter], patience: Patience,
        time: any TimeSource = SystemTime(), logger: Logger
    ) throws(RecorderError) {
        try Self.check(machine: machine, name: name, parameters)
        self.patience = patience
        self.machine = machine
        self.time = time
        self.logger = logger
        self.parameters = Dictionary(
            uniqueKeysWithValues: parameters.enumerated().map { place, parameter in
                (parameter.name, (ParameterID(rawValue: Int32(place + 1)), parameter.range))
            })
        let registration = MachineRegistration(
            machine: machine, name: name,
            entries: parameters.enumerated().map { place, parameter in
                MachineRegistration.Entry(
                    id: Int32(place + 1), component: name, name: parameter.name, unit: parameter.unit,
                    dataType: "float", minimum: parameter.range.lowerBound, maximum: parameter.range.upperBound,
                    readLocation: "program", writeLocation: nil)
            })
        do {
            database = try PostgresConfiguration(connectionString: url)
            var pooled = database
            pooled.timeouts = .recording
            pool = try ConnectionPool(configuration: pooled, time: time, logger: logger)
        } catch {
            throw RecorderError(.invalid, "\(error)", remedy: "correct the database's URL")
        }
        sink = PostgresSink(pool: pool, registration: registration, time: time, logger: logger)
        do {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            spool = try Spool(directory: directory, time: time, logger: logger)
            var configuration = BatchWriter.Configuration()
            configuration.flushTimeout = patience.flush
            writer = try BatchWriter(spool: spool, sink: sink, configuration: configuration, time: time, logger: logger)
        } catch let error as SpoolError {
            throw RecorderError(.directory, "\(error)")
        } catch {
            throw RecorderError(
                .directory, "\(directory) cannot be made: \(error.localizedDescription)",
                remedy: "choose a directory that this user may write to")
        }
    }

    private static func check(machine: Int32, name: String, _ parameters: [Parameter]) throws(RecorderError) {
        var problems: [String] = []
        if machine < 1 { problems.append("the machine's number is \(machine), must be 1 or more") }
        if name.isEmpty { problems.append("the machine has no name") }
        if parameters.isEmpty { problems.append("there are no parameters") }
        for (parameter, places) in Dictionary(grouping: parameters.map(\.name), by: \.self).sorted(by: {
            $0.key < $1.key
        }) {
            if parameter.isEmpty { problems.append("a parameter has no name") }
            if places.count > 1 { problems.append("\(places.count) parameters are called \"\(parameter)\"") }
        }
        guard problems.isEmpty else {
            throw RecorderError(.invalid, problems.joined(separator: "; "), remedy: "correct what is registered")
        }
    }

    /// What became of everything that was accepted since the start.
    public var statistics: BatchWriter.Statistics { writer.statistics }

    /// Accepts values of one instant. When this returns they are durable and will land exactly once.
    ///
    /// - Parameters:
    ///   - values: by the names of the parameters; `nil` or not a number stands for a reading that failed.
    ///   - instant: when they were read. Defaults to now.
    /// - Throws: ``RecorderError``: `unknownParameter`, or `notAccepted` when the disk does not take them. Then nothing
    ///   was accepted.
    public func append(_ values: [String: Double?], at instant: Timestamp? = nil) async throws(RecorderError) {
        let unknown = values.keys.filter { parameters[$0] == nil }.sorted()
        guard unknown.isEmpty else {
            throw RecorderError(
                .unknownParameter, "no parameter is called \(unknown.map { "\"\($0)\"" }.joined(separator: ", "))",
                remedy: "the recorder was made with: \(parameters.keys.sorted().joined(separator: ", "))")
        }
        guard !values.isEmpty else { return }
        let instant = instant ?? time.wallClock
        var rows: [HistoryRow] = []
        for (name, value) in values {
            guard let (id, range) = parameters[name] else { continue }
            let number = value.flatMap { $0.isNaN ? nil : $0 }
            let quality: Quality = number.map { range.contains($0) ? .good : .uncertain } ?? .bad
            rows.append(HistoryRow(parameter: id, time: instant, value: number, quality: quality))
        }
        rows.sort { $0.parameter < $1.parameter }
        do throws(SpoolError) {
            try await writer.append(.history(rows), machine: machine)
        } catch {
            throw RecorderError(.notAccepted, "\(error)")
        }
    }

    /// Sends until shutdown or cancellation and then gives the directory up. A graceful shutdown flushes first, for 10 s at
    /// most; what has not landed by then waits in the directory for the next start.
    ///
    /// - Throws: ``RecorderError`` with code `database` when the database can be reached and does not want this machine;
    ///   one that is away is waited for.
    public func run() async throws {
        try await run(with: nil)
    }

    /// Runs while `body` does, and flushes when it has ended: a recorder for a script.
    public func recording(_ body: @escaping @Sendable (MachineRecorder) async throws -> Void) async throws {
        try await run(with: RecordingBody(recorder: self, body: body))
    }

    private func run(with body: RecordingBody?) async throws {
        try await withCleanup {
            try await cancelWhenGracefulShutdown { try await self.introduce() }
            var services: [ServiceGroupConfiguration.ServiceConfiguration] = [
                .init(service: SchemaUpgrade(database: database, time: time, logger: logger)), .init(service: pool),
                .init(
                    service: HistoryMaintenance(
                        pool: pool, forgotten: spool.promises(machine: machine), time: time, logger: logger)),
                .init(service: writer),
            ]
            if let body {
                services.append(
                    .init(
                        service: body, successTerminationBehavior: .gracefullyShutdownGroup,
                        failureTerminationBehavior: .gracefullyShutdownGroup))
            }
            try await ServiceGroup(configuration: .init(services: services, logger: logger)).run()
        } cleanup: {
            try spool.close()
        }
    }

    /// A wrong password, or a machine that is another one in this database, is told at once and not found in the spool
    /// a week later.
    private func introduce() async throws {
        let deadline = time.now + patience.introduction
        do {
            let connection = try await PostgresConnection.connect(
                database, deadline: deadline, time: time, logger: logger)
            try await withCleanup {
                try await sink.prepare(on: connection, deadline: deadline)
            } cleanup: {
                await connection.close()
            }
        } catch let error as PostgresError where error.isOutage {
            logger.warning("starting without the database; rows wait on disk", metadata: ["reason": "\(error)"])
        } catch is Migrator.SchemaTooOld {
            // Told and done by `SchemaUpgrade`, beside recording.
        } catch is CancellationError {
            return
        } catch let error as MachineRegistration.Conflict {
            throw RecorderError(
                .database, "\(error)",
                remedy: "numbers of parameters are their places in the list: put new ones at its end, take none out")
        } catch {
            throw RecorderError(.database, "\(error)")
        }
    }
}

/// The caller's part of a recording. Its end is the end of the others.
private struct RecordingBody: Service {
    let recorder: MachineRecorder
    let body: @Sendable (MachineRecorder) async throws -> Void

    func run() async throws { try await body(recorder) }
}
