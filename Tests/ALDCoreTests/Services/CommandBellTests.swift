import ALDTestKit
import Foundation
import Modbus
import Synchronization
import Testing

@testable import ALDCore

/// What the doorbell is good for, with sweeps so rare that only it can have done it.
extension ServiceServerTests.ParameterControl {
    private static var withoutSweeps: ParameterControlService.Configuration {
        var configuration = ParameterControlService.Configuration()
        (configuration.sweepInterval, configuration.sweepIntervalWithoutBell) = (.seconds(3600), .seconds(3600))
        return configuration
    }

    @Test("The bell alone tells of a command")
    func bellAlone() async throws {
        try await Self.withPlant(configuration: Self.withoutSweeps) { plant in
            try await eventually("the bell works") { plant.service.statistics.hearsBell }
            // Of one parameter: the second is taken when the first has ended, and nobody rings for that.
            let first = try await plant.ask("MFC 1.flow", 11)
            let second = try await plant.ask("MFC 1.flow", 12)
            #expect(try await plant.end(of: first) == "succeeded|11")
            #expect(try await plant.end(of: second) == "succeeded|12")
        }
    }

    @Test("What was inserted while nobody listened is found when somebody listens again")
    func insertedWhileDeaf() async throws {
        try await Self.withPlant(configuration: Self.withoutSweeps) { plant in
            try await eventually("the bell works") { plant.service.statistics.hearsBell }
            // The sessions are gone before the command is there, and none comes until it is: no bell rings for it.
            let door = "UPDATE pg_database SET datallowconn = %s WHERE datname = current_database()"
            try await plant.operating.accept(door.replacing("%s", with: "false"))
            try await plant.operating.accept(
                """
                SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database()
                    AND pid <> pg_backend_pid()
                """)
            try await plant.operating.accept(
                "INSERT INTO ald.parameter_control_commands (machine_id, parameter_id, target_value) VALUES (1, 8, 33)")
            try await plant.operating.accept(door.replacing("%s", with: "true"))
            #expect(try await plant.end(of: 1) == "succeeded|33")
        }
    }

    @Test("An echo that does not come back is noticed, and the bell hangs anew")
    func silent() async throws {
        try await SchemaDatabase.with(version: .max) { connection, database in
            let pool = try ConnectionPool(configuration: database, logger: TestDatabase.quiet)
            var settings = CommandBell.Configuration()
            (settings.echoInterval, settings.echoTimeout) = (.milliseconds(20), .seconds(2))
            let rings = Mutex(0)
            let bell = CommandBell(
                pool: pool, channel: "test_bell", configuration: settings, time: SystemTime(),
                logger: TestDatabase.quiet
            ) { rings.withLock { $0 += 1 } }
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await pool.run() }
                group.addTask { await bell.run() }
                try await eventually("it works") { bell.isWorking }
                let first = try await Self.listener(connection)
                // Frozen, it hears nothing and says nothing, as behind a link that swallows packets.
                kill(first, SIGSTOP)
                defer { kill(first, SIGCONT) }
                try await eventually("it is noticed") { !bell.isWorking }
                try await eventually("it works again, on another session") { bell.isWorking }
                let before = rings.withLock(\.self)
                try await connection.accept("NOTIFY test_bell, '1'")
                try await eventually("and rings") { rings.withLock(\.self) > before }
                group.cancelAll()
            }
        }
    }

    /// The server process that listens.
    private static func listener(_ connection: PostgresConnection) async throws -> Int32 {
        let found = try await connection.rows(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'")
        return try #require(found.first.flatMap { Int32($0) })
    }

    @Test("The parameter's tolerance in the database decides whether a value reads back as written")
    func tolerance() async throws {
        try await Self.withPlant(
            prepare: { connection, _ in
                try await connection.accept(
                    "UPDATE ald.component_parameters SET readback_tolerance = 0.5 WHERE parameter_id = 8")
            },
            plc: { machine, _ in TestPLC(machine, readsBack: { $0 + 0.4 }) }
        ) { plant in
            let tolerated = try await plant.ask("MFC 1.flow", 20)
            #expect(try await plant.end(of: tolerated) == "succeeded|20.4")
            let strict = try await plant.ask("Chamber Heater.temperature", 100)
            #expect(try await plant.end(of: strict) == "failed|100.4|written, and reads back as 100.4")
        }
    }

    @Test("A command that takes longer than its lease stays this terminal's")
    func leaseIsRenewed() async throws {
        let (begun, goOn) = (Wakeup(), Wakeup())
        var configuration = ParameterControlService.Configuration()
        configuration.lease = .seconds(4)
        (configuration.execution.callTimeout, configuration.shutdownGrace) = (.seconds(60), .seconds(60))
        // Who prolongs it says so: it could also be taken anew after it had ended.
        let witness = """
            CREATE TABLE ald.witness (said text);
            CREATE FUNCTION witness() RETURNS trigger LANGUAGE plpgsql AS $$
            DECLARE place text;
            BEGIN
                GET DIAGNOSTICS place = PG_CONTEXT;
                INSERT INTO ald.witness VALUES (place);
                RETURN NULL;
            END $$;
            CREATE TRIGGER witness AFTER UPDATE OF lease_until ON ald.parameter_control_commands
                FOR EACH ROW EXECUTE FUNCTION witness()
            """
        try await Self.withPlant(
            configuration: configuration, prepare: { connection, _ in try await connection.accept(witness) },
            plc: { machine, _ in
                TestPLC(
                    machine,
                    onWrite: {
                        begun.signal()
                        await goOn.wait()
                    })
            }
        ) { plant in
            let command = try await plant.ask("MFC 1.flow", 20)
            await begun.wait()
            defer { goOn.signal() }
            try await eventually("it is prolonged, not taken anew") {
                try await plant.operating.rows(
                    "SELECT 1 FROM ald.witness WHERE said LIKE '%renew_parameter_command%' LIMIT 1") == ["1"]
            }
            try await eventually("its lease was prolonged") {
                try await plant.operating.rows(
                    """
                    SELECT 1 FROM ald.parameter_control_commands
                    WHERE lease_until > executing_at + interval '5 s' AND lease_until > clock_timestamp()
                    """) == ["1"]
            }
            goOn.signal()
            #expect(try await plant.end(of: command) == "succeeded|20")
            #expect(plant.service.statistics.taken == 1)
        }
    }
}

/// A machine whose writes wait or fail and whose set points read back otherwise than they were written.
struct TestPLC: PLC {
    let machine: SimulatedPLC
    let readsBack: @Sendable (Double) -> Double
    let fails: PLCError?
    let onWrite: @Sendable () async -> Void
    var registerMap: RegisterMap { machine.registerMap }

    init(
        _ machine: SimulatedPLC, readsBack: @escaping @Sendable (Double) -> Double = { $0 }, fails: PLCError? = nil,
        onWrite: @escaping @Sendable () async -> Void = {}
    ) {
        self.machine = machine
        self.readsBack = readsBack
        self.fails = fails
        self.onWrite = onWrite
    }

    func scan(deadline: MonotonicInstant) async throws(PLCError) -> Scan { try await machine.scan(deadline: deadline) }

    func readSetPoint(of id: ParameterID, deadline: MonotonicInstant) async throws(PLCError) -> Double {
        readsBack(try await machine.readSetPoint(of: id, deadline: deadline))
    }

    func write(_ value: Double, to id: ParameterID, deadline: MonotonicInstant) async throws(PLCError) {
        if let fails { throw fails }
        await onWrite()
        try await machine.write(value, to: id, deadline: deadline)
    }
}
