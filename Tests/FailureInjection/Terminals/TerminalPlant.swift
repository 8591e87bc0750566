import ALDCore
import ALDTestKit
import Modbus
import XCTest

/// A machine as a laboratory has it: one database, one controller, and each terminal a process of its own.
struct TerminalPlant: Sendable {
    let server: LocalPostgres
    let database: PostgresConfiguration
    let machine: SimulatedPLC
    /// What the machine is reached through.
    let controller: ModbusServer
    let map: RegisterMap
    /// The terminals' data directory, database and controller.
    var station: AldProcess

    static func with(_ body: @Sendable (TerminalPlant) async throws -> Void) async throws {
        let map = try RegisterMap(file: Repository.machine51)
        let machine = SimulatedPLC(map, seed: 1)
        let controller = ModbusServer(device: machine, logger: TestDatabase.quiet)
        let port = try await controller.start()
        try await withCleanup {
            try await TestDatabase.withPrivateServer { server, lease in
                try await withTemporaryDirectory { directory in
                    var station = AldProcess(dataDirectory: directory + "/data", machine: Repository.machine51)
                    let cluster = try XCTUnwrap(lease.directory)
                    station.environment["ALD_DATABASE_URL"] = try XCTUnwrap(
                        LocalPostgres.connectionString(ofServerIn: cluster))
                    station.environment["ALD_PLC"] = "127.0.0.1:\(port)"
                    try await body(
                        TerminalPlant(
                            server: server, database: lease.configuration, machine: machine, controller: controller,
                            map: map, station: station))
                }
            }
        } cleanup: {
            await controller.stop()
        }
    }

    /// The same machine in another directory.
    func elsewhere() -> AldProcess {
        var other = AldProcess(dataDirectory: station.dataDirectory + "-other", machine: station.machine)
        other.environment = station.environment
        return other
    }

    /// Every start of a terminal and what became of it.
    func instances() async throws -> [String] {
        try await TestDatabase.withConnection(database) { connection, deadline in
            try await connection.query(
                "SELECT terminal || ' ' || status FROM ald.terminal_instances ORDER BY instance_id", deadline: deadline
            ).map { try $0.decode(0, as: String.self) }
        }
    }

    func number(_ statement: String) async throws -> Int { try await TestDatabase.number(statement, database) }

    func setPoint(_ name: String) async throws -> Double {
        try await machine.readSetPoint(
            of: try map.parameter(named: name).id, deadline: SystemTime().now + .seconds(30))
    }

    /// Waits until `child` has begun its work.
    ///
    /// - Throws: ``NeverHappened`` with what it has said instead.
    func begins(_ child: RunningChild, _ what: String = "the machine runs") async throws {
        try await eventually("\(what): " + (child.output + child.errors).suffix(20).joined(separator: "\n")) {
            isRunning(child)
        }
    }

    /// Whether it is a terminal that has begun its work.
    func isRunning(_ child: RunningChild) -> Bool { child.output.contains { $0.contains("\"event\":\"start\"") } }
}
