import ALDTestKit
import Foundation
import Modbus
import Synchronization
import Testing

@testable import ALDCore

extension ServiceServerTests {
    /// Terminal 3 with a real table and a simulated machine.
    @Suite struct ParameterControl {
        /// What a story needs: an operator's connection, the machine, and Terminal 3.
        struct Plant: Sendable {
            let operating: PostgresConnection
            let machine: SimulatedPLC
            let service: ParameterControlService
            let map: RegisterMap

            func ask(_ name: String, _ value: Double, within seconds: Double = 60) async throws -> Int64 {
                let id = try map.parameter(named: name).id
                let result = try await operating.query(
                    "SELECT ald.request_parameter_command(1, $1, $2, $3, $4, 'operator', 'test')",
                    [.uuid(UUID()), .int4(id.rawValue), .float8(value), .float8(seconds)], deadline: .patience)
                return try #require(result.first).decode(0)
            }

            /// The record of a command, once it has ended.
            func end(of command: Int64) async throws -> String {
                var record = ""
                try await eventually("command \(command) has ended") {
                    record =
                        try await operating.rows(
                            "SELECT status, actual_value, error FROM ald.parameter_control_commands "
                                + "WHERE command_id = \(command) AND finished_at IS NOT NULL"
                        ).first ?? ""
                    return !record.isEmpty
                }
                return record
            }

            func setPoint(_ name: String) async throws -> Double {
                try await machine.readSetPoint(
                    of: try map.parameter(named: name).id, deadline: SystemTime().now + .seconds(60))
            }
        }

        /// - Parameters:
        ///   - prepare: done before Terminal 3 starts.
        ///   - plc: what it talks to; the machine itself when there is nothing between.
        static func withPlant(
            configuration: ParameterControlService.Configuration = .init(),
            prepare: @Sendable (PostgresConnection, RegisterMap) async throws -> Void = { _, _ in },
            plc: @Sendable (SimulatedPLC, RegisterMap) throws -> any PLC = { machine, _ in machine },
            _ body: @Sendable (Plant) async throws -> Void
        ) async throws {
            let map = try RegisterMap(file: Repository.machine51)
            let machine = SimulatedPLC(map, seed: 1)
            try await SchemaDatabase.with(version: .max) { connection, database in
                _ = try await MachineRegistration(machine: 1, name: "ALD-1", registerMap: map)
                    .register(connection, updatesExisting: false, deadline: .patience)
                try await prepare(connection, map)
                let pool = try ConnectionPool(configuration: database, logger: TestDatabase.quiet)
                let service = try ParameterControlService(
                    plc: plc(machine, map), pool: pool, machine: 1, configuration: configuration,
                    logger: TestDatabase.quiet)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await pool.run() }
                    try await withThrowingTaskGroup(of: Void.self) { serving in
                        serving.addTask { try await service.run() }
                        try await body(Plant(operating: connection, machine: machine, service: service, map: map))
                        serving.cancelAll()
                    }
                    group.cancelAll()
                }
            }
        }

        @Test("Commands are written, read back and noted, those of one parameter in their order")
        func carriedOut() async throws {
            try await Self.withPlant { plant in
                var last: Int64 = 0
                for value in [10.0, 20, 30] { last = try await plant.ask("MFC 1.flow", value) }
                let heater = try await plant.ask("Chamber Heater.temperature", 120)
                #expect(try await plant.end(of: last) == "succeeded|30")
                #expect(try await plant.end(of: heater) == "succeeded|120")
                #expect(try await plant.setPoint("MFC 1.flow") == 30)
                #expect(try await plant.setPoint("Chamber Heater.temperature") == 120)
                let order = """
                    SELECT array_agg(command_id ORDER BY executing_at) = array_agg(command_id ORDER BY command_id),
                        bool_and(written_at <= verified_at AND executing_at <= written_at)
                    FROM ald.parameter_control_commands WHERE parameter_id = 8
                    """
                #expect(try await plant.operating.rows(order) == ["true|true"])
                let traces = """
                    SELECT count(*) FROM ald.parameter_command_traces WHERE total_ms >= 0 AND t1_detection_ms >= 0
                        AND t2_validation_ms >= 0 AND t3_write_ms >= 0 AND t4_confirmation_ms >= 0
                        AND t5_finalisation_ms IS NOT NULL
                    """
                #expect(try await plant.operating.rows(traces) == ["4"])
                let statistics = plant.service.statistics
                #expect((statistics.taken, statistics.succeeded, statistics.executing) == (4, 4, 0))
            }
        }

        @Test("What was not begun in time never reaches the machine")
        func expired() async throws {
            try await Self.withPlant(prepare: { connection, map in
                let flow = try map.parameter(named: "MFC 1.flow").id
                try await connection.accept(
                    """
                    INSERT INTO ald.parameter_control_commands (machine_id, parameter_id, target_value, created_at,
                        not_after) VALUES (1, \(flow), 90, now() - interval '2 min', now() - interval '1 min')
                    """)
            }) { plant in
                let later = try await plant.ask("MFC 1.flow", 40)
                #expect(try await plant.end(of: 1) == "expired|not begun in time")
                #expect(try await plant.end(of: later) == "succeeded|40")
            }
        }

        @Test("An answer that is lost after the write: read back, succeeded, and never written twice")
        func lostAnswer() async throws {
            let writes = Mutex(0)
            try await Self.withPlant(plc: { machine, _ in
                LosingPLC(machine) { writes.withLock { $0 += 1 } }
            }) { plant in
                let command = try await plant.ask("MFC 1.flow", 55)
                #expect(try await plant.end(of: command) == "succeeded|55")
            }
            #expect(writes.withLock(\.self) == 1)
        }

        @Test("A command that a dead terminal was executing is looked at and not written again")
        func adopted() async throws {
            @Sendable func leaveTwo(_ connection: PostgresConnection, _ map: RegisterMap) async throws {
                let flow = try map.parameter(named: "MFC 1.flow").id
                let heater = try map.parameter(named: "Chamber Heater.temperature").id
                try await connection.accept(
                    """
                    INSERT INTO ald.parameter_control_commands (machine_id, parameter_id, target_value, not_after)
                    VALUES (1, \(flow), 90, now() + interval '1 hour'), (1, \(heater), 25, now() + interval '1 hour')
                    """)
                let taken = try await connection.rows(
                    "SELECT status FROM ald.take_parameter_commands(1, 'dead', 9, 0.2)")
                #expect(taken == ["executing", "executing"])
            }
            var configuration = ParameterControlService.Configuration()
            configuration.lease = .seconds(1)
            try await Self.withPlant(configuration: configuration, prepare: leaveTwo) { plant in
                let left = try await plant.end(of: 1)
                #expect(
                    left
                        == "unknown|0|the terminal that executed it ended without a word; it reads back as 0.0")
                // The machine has this value, whoever wrote it.
                #expect(try await plant.end(of: 2) == "succeeded|25")
                #expect(try await plant.setPoint("MFC 1.flow") == 0)
            }
        }

        @Test("Without a doorbell the sweep finds what was inserted")
        func deaf() async throws {
            try await Self.withPlant(prepare: { connection, _ in
                try await connection.accept("DROP TRIGGER e_notify ON ald.parameter_control_commands")
            }) { plant in
                let command = try await plant.ask("MFC 1.flow", 12)
                #expect(try await plant.end(of: command) == "succeeded|12")
            }
        }

        @Test("Its sessions are ended by the server: it goes on by itself")
        func lostSessions() async throws {
            try await Self.withPlant { plant in
                try await eventually("the bell works") { plant.service.statistics.hearsBell }
                try await plant.operating.accept(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                        + "AND pid <> pg_backend_pid()")
                let command = try await plant.ask("MFC 1.flow", 77)
                #expect(try await plant.end(of: command) == "succeeded|77")
                try await eventually("the bell works again") { plant.service.statistics.hearsBell }
            }
        }

        @Test("The controller refuses: the command has failed, with its words")
        func refused() async throws {
            try await Self.withPlant(plc: { machine, map in
                // The machine of this terminal has no such parameter: its map is a part of the one in the database.
                SimulatedPLC(try map.restricted(to: ["Chamber Heater.temperature"]), seed: 1)
            }) { plant in
                let command = try await plant.ask("MFC 1.flow", 5)
                #expect(
                    try await plant.end(of: command)
                        == "failed|unknown parameter number 8: it is not in the register map")
            }
        }
    }
}

/// A machine whose answer to every write is lost, after it has been executed.
private struct LosingPLC: PLC {
    let machine: SimulatedPLC
    let onWrite: @Sendable () -> Void
    var registerMap: RegisterMap { machine.registerMap }

    init(_ machine: SimulatedPLC, onWrite: @escaping @Sendable () -> Void) {
        self.machine = machine
        self.onWrite = onWrite
    }

    func scan(deadline: MonotonicInstant) async throws(PLCError) -> Scan { try await machine.scan(deadline: deadline) }

    func readSetPoint(of id: ParameterID, deadline: MonotonicInstant) async throws(PLCError) -> Double {
        try await machine.readSetPoint(of: id, deadline: deadline)
    }

    func write(_ value: Double, to id: ParameterID, deadline: MonotonicInstant) async throws(PLCError) {
        try await machine.write(value, to: id, deadline: deadline)
        onWrite()
        throw .unknownOutcome("the answer is lost")
    }
}
