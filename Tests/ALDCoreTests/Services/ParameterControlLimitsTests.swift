import ALDTestKit
import ServiceLifecycle
import Synchronization
import Testing

@testable import ALDCore

/// How much Terminal 3 does at a time, and how it ends.
extension ServiceServerTests.ParameterControl {
    /// Writes that begin and wait until they are let go.
    private final class Held: Sendable {
        private struct State {
            var begun = 0
            var inside = 0
            var most = 0
            var isOpen = false
            var waiting: [Wakeup] = []
        }

        private let state = Mutex(State())

        var begun: Int { state.withLock(\.begun) }
        /// How many were there at a time.
        var most: Int { state.withLock(\.most) }

        func open() {
            let waiting = state.withLock { state in
                state.isOpen = true
                return state.waiting
            }
            for wakeup in waiting { wakeup.signal() }
        }

        func pass() async {
            let opened = Wakeup()
            state.withLock { state in
                state.waiting.append(opened)
                state.begun += 1
                state.inside += 1
                state.most = max(state.most, state.inside)
            }
            while !state.withLock(\.isOpen) { await opened.wait() }
            state.withLock { $0.inside -= 1 }
        }
    }

    private static func patient(_ concurrency: Int) -> ParameterControlService.Configuration {
        var configuration = ParameterControlService.Configuration()
        configuration.concurrency = concurrency
        configuration.execution.callTimeout = .seconds(60)
        configuration.shutdownGrace = .seconds(60)
        return configuration
    }

    private static let names = ["MFC 1.flow", "Chamber Heater.temperature", "Frontline Heater.temperature"]

    @Test("No more commands are begun than may be carried out at a time; the others wait in the table")
    func concurrency() async throws {
        let held = Held()
        try await Self.withPlant(
            configuration: Self.patient(2), plc: { machine, _ in TestPLC(machine, onWrite: { await held.pass() }) }
        ) { plant in
            var commands: [Int64] = []
            for name in Self.names { commands.append(try await plant.ask(name, 30)) }
            try await eventually("two are begun") { held.begun == 2 }
            // Asked again and again, it takes none.
            for value in 31...33 { _ = try await plant.ask(Self.names[0], Double(value)) }
            let statuses = "SELECT status, count(*) FROM ald.parameter_control_commands GROUP BY 1 ORDER BY 1"
            #expect(try await plant.operating.rows(statuses) == ["executing|2", "pending|4"])
            #expect((plant.service.statistics.executing, held.begun) == (2, 2))
            held.open()
            for command in commands { #expect(try await plant.end(of: command) == "succeeded|30") }
            #expect(held.most == 2)
        }
    }

    @Test("A shutdown takes no further command, sees through what is under way, and notes how it ended")
    func shutdown() async throws {
        let held = Held()
        let map = try RegisterMap(file: Repository.machine51)
        let machine = SimulatedPLC(map, seed: 1)
        try await SchemaDatabase.with { connection, database in
            _ = try await MachineRegistration(machine: 1, name: "ALD-1", registerMap: map)
                .register(connection, updatesExisting: false, deadline: .patience)
            let pool = try ConnectionPool(configuration: database, logger: TestDatabase.quiet)
            let service = try ParameterControlService(
                plc: TestPLC(machine, onWrite: { await held.pass() }), pool: pool, machine: 1,
                configuration: Self.patient(1), logger: TestDatabase.quiet)
            let group = ServiceGroup(services: [pool, service], logger: TestDatabase.quiet)
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask { try await group.run() }
                try await connection.accept(
                    """
                    INSERT INTO ald.parameter_control_commands (machine_id, parameter_id, target_value)
                    VALUES (1, 8, 20), (1, 1, 30)
                    """)
                try await eventually("the first is begun") { held.begun == 1 }
                await group.triggerGracefulShutdown()
                try await eventually("it is told") { service.state.withLock(\.isStopping) }
                held.open()
                try await tasks.waitForAll()
            }
            let statuses = "SELECT status FROM ald.parameter_control_commands ORDER BY command_id"
            #expect(try await connection.rows(statuses) == ["succeeded", "pending"])
            #expect((service.statistics.succeeded, service.statistics.unnoted, held.begun) == (1, 0, 1))
        }
    }

    @Test("A command is begun and the answer is lost with the connection: it is given to the same terminal again")
    func lostTaking() async throws {
        try await SchemaDatabase.with { connection, database in
            try await connection.accept(SchemaDatabase.plant)
            try await ProxiedDatabase.run(before: database) { proxy, proxied in
                var sizes = PoolConfiguration()
                sizes.maximumConnections = 1
                // What is lost is what is taken, not the question whether the connection is alive.
                sizes.pingAfter = .seconds(3600)
                let pool = try ConnectionPool(
                    configuration: proxied, pool: sizes, logger: TestDatabase.quiet)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await pool.run() }
                    let desk = CommandDesk(pool: pool, machine: 1, lease: .seconds(3600))
                    #expect(try await desk.take(limit: 9, known: [], deadline: .patience) == [])
                    try await connection.accept(
                        """
                        INSERT INTO ald.parameter_control_commands (machine_id, parameter_id, target_value)
                        VALUES (1, 1, 20), (1, 1, 30)
                        """)
                    proxy.set(.cut(after: 1, .reset), .downstream)
                    await #expect(throws: PostgresError.self) {
                        try await desk.take(limit: 9, known: [], deadline: .patience)
                    }
                    let statuses = "SELECT status FROM ald.parameter_control_commands ORDER BY command_id"
                    #expect(try await connection.rows(statuses) == ["executing", "pending"])
                    proxy.heal()
                    let again = try await desk.take(limit: 9, known: [], deadline: .patience)
                    #expect(again.map(\.id) == [1] && again.map(\.target.value) == [20])
                    #expect(try await desk.take(limit: 9, known: [1], deadline: .patience) == [])
                    group.cancelAll()
                }
            }
        }
    }

    @Test("What it executes, and what has ended and is not noted yet, is never begun again")
    func knowsItsOwn() async throws {
        let held = Held()
        try await Self.withPlant(
            configuration: Self.patient(16), plc: { machine, _ in TestPLC(machine, onWrite: { await held.pass() }) }
        ) { plant in
            let first = try await plant.ask(Self.names[0], 30)
            try await eventually("the first is begun") { held.begun == 1 }
            let second = try await plant.ask(Self.names[1], 30)
            // Whoever has taken the second was shown the first.
            try await eventually("the second is begun") { held.begun >= 2 }
            #expect((plant.service.statistics.taken, held.begun) == (2, 2))
            try await plant.operating.accept("ALTER FUNCTION ald.finish_parameter_commands RENAME TO hidden")
            held.open()
            try await eventually("their ends cannot be noted") { plant.service.statistics.unnoted == 2 }
            let third = try await plant.ask(Self.names[2], 30)
            try await eventually("the third has ended") { plant.service.statistics.unnoted == 3 }
            #expect((plant.service.statistics.taken, held.begun) == (3, 3))
            try await plant.operating.accept("ALTER FUNCTION ald.hidden RENAME TO finish_parameter_commands")
            for command in [first, second, third] { #expect(try await plant.end(of: command) == "succeeded|30") }
        }
    }

    @Test("A tolerance that the service is told counts before the database's")
    func configuredTolerance() async throws {
        var configuration = ParameterControlService.Configuration()
        configuration.tolerances[ParameterID(rawValue: 8)] = 0.1
        try await Self.withPlant(
            configuration: configuration,
            prepare: { connection, _ in
                try await connection.accept(
                    "UPDATE ald.component_parameters SET readback_tolerance = 0.5 WHERE parameter_id = 8")
            },
            plc: { machine, _ in TestPLC(machine, readsBack: { $0 + 0.4 }) }
        ) { plant in
            let strict = try await plant.ask("MFC 1.flow", 20)
            #expect(try await plant.end(of: strict) == "failed|20.4|written, and reads back as 20.4")
        }
    }

    @Test("Nobody rings: it looks by itself, again and again")
    func sweeps() async throws {
        var configuration = ParameterControlService.Configuration()
        (configuration.sweepInterval, configuration.sweepIntervalWithoutBell) = (.milliseconds(50), .milliseconds(50))
        try await Self.withPlant(configuration: configuration) { plant in
            try await eventually("the bell works") { plant.service.statistics.hearsBell }
            var looks: Set<String> = []
            // The first looks have other reasons.
            try await eventually("it looks") {
                looks.formUnion(
                    try await plant.operating.rows(
                        """
                        SELECT query_start FROM pg_stat_activity WHERE datname = current_database()
                            AND query LIKE '%take_parameter_commands%' AND pid <> pg_backend_pid()
                        """))
                return looks.count >= 8
            }
        }
    }

    @Test("A controller that is away is tried until the command's own deadline, and not after it")
    func deadline() async throws {
        let away = PLCError.unreachable("no answer")
        try await Self.withPlant(plc: { machine, _ in TestPLC(machine, fails: away) }) { plant in
            let command = try await plant.ask("MFC 1.flow", 20, within: 5)
            #expect(try await plant.end(of: command) == "failed|not written in time: no answer")
        }
    }

    @Test("The table is away when a command ends: its end is noted when the table is back")
    func notedLater() async throws {
        let held = Held()
        try await Self.withPlant(
            configuration: Self.patient(1), plc: { machine, _ in TestPLC(machine, onWrite: { await held.pass() }) }
        ) { plant in
            let command = try await plant.ask("MFC 1.flow", 20)
            try await eventually("it is begun") { held.begun == 1 }
            try await plant.operating.accept("ALTER FUNCTION ald.finish_parameter_commands RENAME TO away")
            held.open()
            try await eventually("its end cannot be noted") {
                plant.service.statistics.unnoted == 1 && plant.service.statistics.problem != nil
            }
            try await plant.operating.accept("ALTER FUNCTION ald.away RENAME TO finish_parameter_commands")
            #expect(try await plant.end(of: command) == "succeeded|20")
        }
    }

    @Test("A command whose lease has ended while it is executed is not begun a second time by the same terminal")
    func ownLeaseEnds() async throws {
        let held = Held()
        var configuration = Self.patient(4)
        configuration.lease = .seconds(3)
        try await Self.withPlant(
            configuration: configuration, plc: { machine, _ in TestPLC(machine, onWrite: { await held.pass() }) }
        ) { plant in
            let command = try await plant.ask("MFC 1.flow", 20)
            try await eventually("it is begun") { held.begun == 1 }
            try await plant.operating.accept(
                """
                SET session_replication_role = replica;
                UPDATE ald.parameter_control_commands SET lease_until = clock_timestamp() - interval '1 s';
                RESET session_replication_role
                """)
            try await eventually("it is its own again") {
                try await plant.operating.rows(
                    "SELECT 1 FROM ald.parameter_control_commands WHERE lease_until > clock_timestamp()") == ["1"]
            }
            held.open()
            #expect(try await plant.end(of: command) == "succeeded|20")
            #expect((plant.service.statistics.taken, held.begun) == (1, 1))
        }
    }
}
