import ALDCore

/// The command channel: commands are inserted into the table, a notification rings, Terminal 3 executes them. None may be
/// lost and none executed twice, whatever becomes of the connection.
struct CommandChannel: ScenarioWork {
    /// Machines, each with a terminal and a channel of its own.
    var channels = 1
    /// Commands per second on each of them.
    var rate: Double
    /// So often all connections are reset meanwhile.
    var resets = 0
    /// Afterwards: how many a second get through when they come all at once.
    var measuresLimit = false
    /// Whether the rate goes up and down.
    var isVarying = false
    /// The machine that commands are executed on; a simulated one of their own when there is none.
    var executesOn: (any PLC)?
    var unheeded: [RunOption: String] { [.scale: "channels and commands a second are those of the requirement"] }
    var execution = ParameterCommandMachine.Configuration()

    /// How many ask on each channel at the most: each may wait a tenth of a second for the database.
    private var askers: Int { max(2, Int(rate / 10)) }

    struct Terminal: Sendable {
        var machine: Int32
        var parameters: [Int32]
        var service: ParameterControlService
        var witness: CommandWitness
        /// Of all terminals.
        var pool: ConnectionPool

        /// Commands that were asked for and have not ended, as far as this terminal knows.
        var waiting: Int {
            let statistics = service.statistics
            return max(0, witness.asked - statistics.succeeded - statistics.failed - statistics.unknown)
        }
    }

    func run(_ run: ScenarioRun) async throws {
        let map = try GeneratedMachine.registerMap(parameters: 100, seed: run.seed)
        try await run.host.withDatabase { database in
            try await ProxiedDatabase.run(before: database, seed: run.seed) { proxy, proxied in
                try await serve(map, run, database, through: proxied) { terminals in
                    try await run.metering(proxy) {
                        let report = try await load(run, terminals, database, proxy)
                        run.note("insertion", report)
                    }
                    var paced: Int?
                    if measuresLimit {
                        try await settle(run, database)
                        paced = try await TestDatabase.number(
                            "SELECT coalesce(max(command_id), 0) FROM ald.parameter_control_commands", database)
                        try await limit(run, terminals, database)
                    }
                    try await judge(run, terminals, database, paced: paced)
                    noteConnections(run, terminals)
                }
            }
        }
    }

    func serve(
        _ map: RegisterMap, _ run: ScenarioRun, _ database: PostgresConfiguration,
        through proxied: PostgresConfiguration, _ body: ([Terminal]) async throws -> Void
    ) async throws {
        var configuration = PoolConfiguration()
        configuration.initialBackoff = .milliseconds(20)
        configuration.maximumBackoff = .milliseconds(200)
        configuration.maximumConnections = 10
        let pool = try ConnectionPool(configuration: proxied, pool: configuration, logger: TestDatabase.quiet)
        var settings = ParameterControlService.Configuration()
        settings.execution = execution
        var terminals: [Terminal] = []
        for machine in 1...Int32(channels) {
            let registration = MachineRegistration(machine: machine, name: "ALD-\(machine)", registerMap: map)
            try await TestDatabase.withConnection(database) {
                _ = try await registration.register($0, updatesExisting: false, deadline: $1)
            }
            let witness = CommandWitness(machine: machine, seesMachine: executesOn == nil)
            terminals.append(
                Terminal(
                    machine: machine,
                    parameters: map.parameters.filter { $0.isWritable && $0.dataType == .float32 }.map(\.id.rawValue),
                    service: try ParameterControlService(
                        plc: executesOn ?? witness.watching(SimulatedPLC(map, seed: run.seed)), pool: pool,
                        machine: machine, configuration: settings, logger: TestDatabase.quiet),
                    witness: witness, pool: pool))
        }
        try await withThrowingTaskGroup(of: Void.self) { pooling in
            pooling.addTask { try await pool.run() }
            try await withThrowingTaskGroup(of: Void.self) { serving in
                for terminal in terminals { serving.addTask { try await terminal.service.run() } }
                try await eventually("every bell works") { terminals.allSatisfy(\.service.statistics.hearsBell) }
                try await body(terminals)
                serving.cancelAll()
                try await serving.waitForAll()
            }
            pooling.cancelAll()
            try await pooling.waitForAll()
        }
    }

    /// Those who ask keep their connections, as applications do.
    private func load(
        _ run: ScenarioRun, _ terminals: [Terminal], _ database: PostgresConfiguration, _ proxy: FaultProxy
    ) async throws -> OpenLoop.Report {
        var configuration = PoolConfiguration()
        configuration.maximumConnections = askers * channels
        let pool = try ConnectionPool(configuration: database, pool: configuration, logger: TestDatabase.quiet)
        return try await withThrowingTaskGroup(of: Void.self) { pooling in
            pooling.addTask { try await pool.run() }
            let report = try await run.looking { run in
                sample(run, terminals, askers: pool)
            } while: {
                try await load(run, terminals, pool, proxy)
            }
            pooling.cancelAll()
            try await pooling.waitForAll()
            return report
        }
    }

    private func load(
        _ run: ScenarioRun, _ terminals: [Terminal], _ pool: ConnectionPool, _ proxy: FaultProxy
    ) async throws -> OpenLoop.Report {
        try await withThrowingTaskGroup(of: OpenLoop.Report.self) { group in
            for terminal in terminals {
                group.addTask {
                    // In ten parts, of which every other one is twice as quick.
                    var sum = LoadReport(from: run.time.now, planned: run.duration)
                    for part in 0..<(isVarying ? 10 : 1) {
                        let rate = rate * (isVarying ? (part % 2 == 0 ? 0.5 : 1.5) : 1)
                        let loop = OpenLoop(
                            rate: rate, duration: isVarying ? run.duration / 10 : run.duration, clients: askers)
                        sum.add(
                            try await loop.run { _, number in
                                let deadline = run.patience
                                try await pool.withConnection(holder: "asker", lane: .reader, deadline: deadline) {
                                    try await insert(1, from: number + part, terminal, $0, deadline: deadline)
                                }
                            })
                    }
                    return sum
                }
            }
            if resets > 0 { try await disturb(run, terminals, proxy) } else { try await watch(run, terminals) }
            return try await group.reduce(into: OpenLoop.Report()) { $0.add($1) }
        }
    }

    private func sample(_ run: ScenarioRun, _ terminals: [Terminal], askers: ConnectionPool) {
        run.sampleHeap()
        run.sample("queue depth", Double(terminals.reduce(0) { $0 + $1.waiting }), .count)
        let pools = [askers.statistics] + (terminals.first.map { [$0.pool.statistics] } ?? [])
        for (name, count) in Self.connections(pools) { run.sample(name, Double(count), .count) }
        run.sample("connections in use", Double(pools.reduce(0) { $0 + $1.leased }), .count)
    }

    private func noteConnections(_ run: ScenarioRun, _ terminals: [Terminal]) {
        guard let pool = terminals.first?.pool else { return }
        for (name, count) in Self.connections([pool.statistics]) { run.note(name, count: count) }
    }

    private static func connections(_ pools: [PoolStatistics]) -> [(String, Int)] {
        [
            ("connections created", pools.reduce(0) { $0 + $1.connectsSucceeded }),
            ("connections closed", pools.reduce(0) { $0 + $1.closed }),
            ("connection timeouts", pools.reduce(0) { $0 + $1.timeouts }),
        ]
    }

    /// Connections are reset over and over; each time the bell must work again.
    private func disturb(_ run: ScenarioRun, _ terminals: [Terminal], _ proxy: FaultProxy) async throws {
        let beginning = run.time.now
        var times = DurationHistogram()
        try await run.fault("connections reset") {
            for number in 1...resets {
                try await run.time.sleep(until: beginning + run.duration * number / (resets + 1))
                let connections = proxy.evidence.connections
                proxy.reset()
                let began = run.time.now
                try await eventually("the bell works again") {
                    proxy.evidence.connections > connections && terminals.allSatisfy(\.service.statistics.hearsBell)
                }
                times.record(run.time.now - began)
            }
            return proxy.evidence.resets
        }
        run.note("reconnection", times)
        run.note("reconnections", count: times.count)
    }

    /// Counts how often a bell falls silent of itself.
    private func watch(_ run: ScenarioRun, _ terminals: [Terminal]) async throws {
        let end = run.time.now + run.duration
        var (silent, losses) = (0, 0)
        while run.time.now < end {
            try await run.time.sleep(for: .milliseconds(20))
            let now = terminals.count { !$0.service.statistics.hearsBell }
            losses += max(0, now - silent)
            silent = now
        }
        run.note("disconnections", count: losses)
    }

    /// Commands for one parameter after the other; those for the same one differ in their values.
    func insert(
        _ count: Int, from number: Int, _ terminal: Terminal, _ database: PostgresConfiguration
    ) async throws {
        try await TestDatabase.withConnection(database) {
            try await insert(count, from: number, terminal, $0, deadline: $1)
        }
    }

    private func insert(
        _ count: Int, from number: Int, _ terminal: Terminal, _ connection: PostgresConnection,
        deadline: MonotonicInstant
    ) async throws {
        let (numbers, all) = (number..<number + count, terminal.parameters.count)
        _ = try await connection.query(
            """
            INSERT INTO ald.parameter_control_commands (machine_id, parameter_id, target_value)
            SELECT $1, p.parameter_id, p.min_value + (p.max_value - p.min_value) * u.part / 64.0
            FROM unnest($2::int[], $3::int[]) u(id, part) JOIN ald.component_parameters p
                ON p.machine_id = $1 AND p.parameter_id = u.id
            """,
            [
                .int4(terminal.machine), .int4Array(numbers.map { terminal.parameters[$0 % all] }),
                .int4Array(numbers.map { Int32($0 / all % 64) }),
            ], deadline: deadline)
        terminal.witness.ask(count)
    }

    /// Waits until every command has ended, and notes what has become of all of them.
    ///
    /// - Parameter paced: with higher numbers than this commands are of a burst.
    func judge(
        _ run: ScenarioRun, _ terminals: [Terminal], _ database: PostgresConfiguration, paced: Int? = nil
    ) async throws {
        try await settle(run, database)
        try await CommandAccount(of: terminals, paced: paced, in: database).note(run)
    }

    /// Waits until every command has ended.
    private func settle(_ run: ScenarioRun, _ database: PostgresConfiguration) async throws {
        do {
            try await eventually("every command has ended", within: .seconds(60)) {
                try await TestDatabase.number(
                    "SELECT count(*) FROM ald.parameter_control_commands WHERE finished_at IS NULL", database) == 0
            }
        } catch let problem as NeverHappened {
            // The account says how many have not.
            run.say("\(problem)")
        }
    }

    /// A thousand commands at once: how many a second are carried out. What is not begun before its deadline has ended, too.
    private func limit(_ run: ScenarioRun, _ terminals: [Terminal], _ database: PostgresConfiguration) async throws {
        func succeeded() -> Int { terminals.reduce(0) { $0 + $1.service.statistics.succeeded } }
        let (before, began) = (succeeded(), run.time.now)
        for terminal in terminals { try await insert(1000, from: 0, terminal, database) }
        let wanted = before + 1000 * terminals.count
        let open = "SELECT count(*) FROM ald.parameter_control_commands WHERE finished_at IS NULL"
        do {
            try await eventually("all of them are done", within: .seconds(120)) {
                if succeeded() >= wanted { return true }
                // Seldom: whoever looks takes time from those who work.
                guard run.time.now - began > .seconds(30) else { return false }
                return try await TestDatabase.number(open, database) == 0
            }
        } catch let problem as NeverHappened {
            // The account says which of them are lost.
            run.say("\(problem)")
        }
        let seconds = (run.time.now - began).inSeconds
        run.note("throughput limit", Double(succeeded() - before) / seconds, .perSecond)
    }
}
