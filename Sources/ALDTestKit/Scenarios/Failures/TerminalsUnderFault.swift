import ALDCore
import Logging
import Modbus

/// Terminals 1 and 3, and 2 where it is asked for, at a machine and a database, one or both of which are in trouble for the duration. What is judged:
/// nothing accepted is lost, no command is lost or done twice, both go on, and both are back within half a minute. Of a
/// controller that is slow as much is recorded meanwhile as its delay allows.
struct TerminalsUnderFault: ScenarioWork {
    /// What is wrong with the way to the database.
    enum DatabaseTrouble: Sendable {
        /// Each direction is so much slower.
        case latency(ClosedRange<Duration>)
        /// Connections are reset, new ones refused.
        case gone
        /// Nothing comes through, and nobody is told.
        case silent
        /// Connections are reset, over and over.
        case resets(every: Duration)
        /// The table that every delivery needs is locked.
        case lockedLedger
    }

    /// What is wrong with the controller.
    enum ControllerTrouble: Sendable {
        /// Each request takes so much longer.
        case latency(ClosedRange<Duration>, Set<FunctionCode>? = nil)
        /// It restarts, and is away for as long as the trouble lasts.
        case gone
    }

    var database: DatabaseTrouble?
    var controller: ControllerTrouble?
    /// Whether Terminal 3 is there, too.
    var commands = true
    /// How long Terminal 3 waits for the controller; `nil` for its default.
    var callTimeout: Duration?
    /// Whether Terminal 2 is there, too, in the midst of a recipe: it ends well or with a reason, and leaves no valve open.
    var recipes = false
    /// Parameters of the machine.
    var parameters = 20
    /// Terminal 1 reads what is in these tables, each with a request of its own; `nil`: all that the machine has.
    var tables: Set<DataTable>?
    /// From one reading to the next. Defaults to Terminal 1's own where the controller is slow, and to less where every
    /// instant is missed, and where none may be.
    var period: Duration?
    /// Less than its own patience with a controller that is slow; `nil` for that.
    var slowReadTimeout: Duration?

    var unheeded: [RunOption: String] {
        [.scale: "the machine, its readings and the commands a second are those of the requirement"]
    }

    private var pace: Duration {
        if let period { return period }
        return switch controller {
        case .latency: .seconds(1)
        case .gone: .milliseconds(200)
        case nil: .milliseconds(500)
        }
    }

    func run(_ run: ScenarioRun) async throws {
        let map = try GeneratedMachine.registerMap(parameters: parameters, seed: run.seed)
        let collected = try map.restricted(
            to: map.parameters.filter { tables?.contains($0.readLocation.table) ?? true }.map(\.qualifiedName))
        let device = SimulatedPLC(map, seed: run.seed)
        let faults = FaultInjector(seed: run.seed)
        var behavior = DeviceBehavior.ideal
        behavior.faults = faults
        let server = device.makeServer(behavior: behavior)
        let port = try await server.start()
        let book = LogBook()
        var account = try await withCleanup {
            try await run.host.withDatabase { own in
                try await ProxiedDatabase.run(before: own, seed: run.seed) { proxy, proxied in
                    let stage = FaultStage(proxy: proxy, database: own, server: server, faults: faults)
                    let summary = try await withTemporaryDirectory(in: run.host.directory()) { directory in
                        try await RecordingRig.record(
                            collected, fromPort: port, registered: map, into: proxied, directory: directory,
                            period: pace, logger: book.logger(),
                            collecting: { if let slowReadTimeout { $0.slowReadTimeout = slowReadTimeout } },
                            configure: { $0.attemptTimeout = .seconds(2) }
                        ) { rig in
                            let scene = Scene(
                                rig: rig, stage: stage, device: device, port: port, proxied: proxied)
                            try await act(run, scene)
                        }
                    }
                    var account = stage.account
                    try await account.end(summary, period: pace, in: own)
                    return account
                }
            }
        } cleanup: {
            await server.stop()
        }
        account.warnings = book.count(.warning)
        account.note(run)
        for line in book.lines.filter({ $0.level >= .warning }).prefix(3) { run.say(line.text) }
    }

    private var execution: ParameterCommandMachine.Configuration {
        var execution = ParameterCommandMachine.Configuration()
        if let callTimeout { (execution.callTimeout, execution.confirmationTime) = (callTimeout, callTimeout * 2) }
        return execution
    }

    /// How much longer than asked for trouble may last.
    private static let mostExtension: Duration = .seconds(20)

    /// What the terminals are put between. Each has a connection to the controller of its own.
    private struct Scene: Sendable {
        let rig: RecordingRig
        let stage: FaultStage
        let device: SimulatedPLC
        let port: Int
        let proxied: PostgresConfiguration

        var map: RegisterMap { device.registerMap }
    }

    private func act(_ run: ScenarioRun, _ scene: Scene) async throws {
        try await eventually("recording has begun") { scene.rig.writer.statistics.landed > 0 }
        try expect(of: scene.rig, run, scene.stage)
        guard recipes else { return try await command(run, scene) }
        try await withTemporaryDirectory(in: run.host.directory()) { directory in
            try await cook(run, scene, directory)
        }
    }

    /// In the midst of a recipe.
    private func cook(_ run: ScenarioRun, _ scene: Scene, _ directory: String) async throws {
        try await RecipeRig.run(
            scene.map, of: scene.device, onPort: scene.port, in: scene.stage.database, through: scene.proxied,
            directory: directory
        ) { recipes in
            guard let valve = RecipeOutcomes.valves(of: scene.map).first else {
                throw NeverHappened(description: "a machine without a valve")
            }
            try await recipes.start(try await recipes.store(Self.pulses(of: valve)))
            try await eventually("a recipe runs") { recipes.service.status.process != nil }
            try await command(run, scene)
            try await eventually("the recipe has ended", within: .seconds(60)) {
                try await TestDatabase.number(Self.running, scene.stage.database) == 0
            }
            try await RecipeOutcomes(of: scene.device, in: scene.stage.database, by: run.patience).note(run)
        }
    }

    private static let running =
        "SELECT count(*) FROM ald.recipe_commands LEFT JOIN ald.process_executions p USING (machine_id, command_id) "
        + "WHERE finished_at IS NULL OR p.ended_at IS NULL"

    /// Two seconds of it, where nothing is in trouble.
    private static func pulses(of valve: ParameterID) -> Recipe {
        let length = Duration.milliseconds(100)
        let pulse = [RecipeStep(id: 2, .valve(valve, open: length)), RecipeStep(id: 3, .wait(length))]
        return Recipe(name: "pulses", steps: [RecipeStep(id: 1, .loop(iterations: 10, pulse))])
    }

    private func command(_ run: ScenarioRun, _ scene: Scene) async throws {
        guard commands else { return try await disturb(run, scene.rig, scene.stage) }
        let client = try ModbusClient(configuration: RecordingRig.reach(scene.port), logger: TestDatabase.quiet)
        try await withCleanup {
            try await command(run, scene, ModbusPLC(scene.map, client: client))
        } cleanup: {
            await client.close()
        }
    }

    /// What Terminal 1 owes while the controller is slow.
    private func expect(of rig: RecordingRig, _ run: ScenarioRun, _ stage: FaultStage) throws {
        guard let delay = readingDelay else { return }
        guard let plc = rig.plc as? ModbusPLC else { throw NeverHappened(description: "a controller over Modbus") }
        let slow = SlowReading(period: pace, delay: delay, requests: plc.plan.requests.count)
        run.note("requests of a reading", count: slow.requests)
        let owed = slow.count(in: run.duration)
        stage.note { ($0.slow, $0.owed) = (slow, owed) }
        guard owed == 0 else { return }
        let shortest = DurationText.short(slow.shortest)
        run.doubt("\(DurationText.short(run.duration)) are too short to judge; it takes \(shortest) at least")
    }

    /// By how much each request of a reading is late, at the most; `nil` where none is.
    private var readingDelay: Duration? {
        guard case .latency(let range, let functions) = controller else { return nil }
        return functions?.isDisjoint(with: Self.reads) == true ? nil : range.upperBound
    }

    static let reads: Set<FunctionCode> = [
        .readCoils, .readDiscreteInputs, .readHoldingRegisters, .readInputRegisters,
    ]

    private func command(_ run: ScenarioRun, _ scene: Scene, _ plc: ModbusPLC) async throws {
        let stage = scene.stage
        let channel = CommandChannel(rate: 2, executesOn: plc, execution: execution)
        try await channel.serve(scene.map, run, stage.database, through: scene.proxied) { terminals in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await disturb(run, scene.rig, stage) }
                // Whoever asks for something has a way of its own to the database.
                let load = OpenLoop(rate: 2, duration: run.duration, clients: 2)
                let report = try await load.run { _, number in
                    try await channel.insert(1, from: number, terminals[0], stage.database)
                }
                run.note("command insertion", report)
                try await group.waitForAll()
            }
            try await channel.judge(run, terminals, stage.database)
        }
    }

    /// Trouble, the end of it, and how long it takes until everything is as it was.
    private func disturb(_ run: ScenarioRun, _ rig: RecordingRig, _ stage: FaultStage) async throws {
        let (before, evidence) = (TroubleAccount.Progress(of: rig), stage.proxy.evidence)
        try await run.fault(words) {
            try await stage.begin(self, run)
            func bites() -> Int {
                let now = stage.proxy.evidence
                return self.bites(before, TroubleAccount.Progress(of: rig), slowed: stage.slowed) {
                    now.bites(of: $0) - evidence.bites(of: $0)
                }
            }
            let (end, began) = (run.time.now + run.duration, run.time.wallClock)
            do {
                // A delivery that hangs is given up after seconds, so a short trouble lasts until it has been felt.
                while run.time.now < end || bites() == 0 && run.time.now < end + Self.mostExtension {
                    try await run.time.sleep(for: .milliseconds(100))
                    try await stage.goOn(self, now: run.time.now)
                    run.sample("records in the spool", Double(rig.writer.statistics.spooled), .count)
                    run.sample("missed instants", Double(rig.collection.statistics.missed), .count)
                }
            } catch {
                await stage.end(self)
                throw error
            }
            stage.note { account in
                (account.before, account.after) = (before, TroubleAccount.Progress(of: rig))
                account.trouble = began...max(began, run.time.wallClock)
            }
            await stage.end(self)
            return bites()
        }
        let healed = run.time.now
        let cycles = rig.collection.statistics.cycles
        try await eventually("it records again, and nothing waits", within: .seconds(60)) {
            guard rig.collection.statistics.cycles > cycles + 2, rig.writer.statistics.spooled < parameters * 5,
                rig.writer.statistics.breaker != .open
            else { return false }
            guard commands else { return true }
            return try await TestDatabase.number(Self.open, stage.database) == 0
        }
        let recovery = run.time.now - healed
        stage.note { $0.recovery = recovery }
    }

    private static let open = "SELECT count(*) FROM ald.parameter_control_commands WHERE finished_at IS NULL"

    private var words: String {
        let database = database.map { trouble in
            switch trouble {
            case .latency(let range): "the database is late by \(Self.text(range))"
            case .gone: "the database is gone"
            case .silent: "the database is silent"
            case .resets(let every): "connections to the database are reset every \(DurationText.short(every))"
            case .lockedLedger: "the ledger is locked"
            }
        }
        let controller = controller.map { trouble in
            switch trouble {
            case .latency(let range, _): "the controller is late by \(Self.text(range))"
            case .gone: "the controller is gone"
            }
        }
        return [database, controller].compactMap(\.self).joined(separator: ", ")
    }

    private static func text(_ range: ClosedRange<Duration>) -> String {
        let (low, high) = (DurationText.short(range.lowerBound), DurationText.short(range.upperBound))
        return low == high ? low : "\(low) to \(high)"
    }

    /// How often the trouble is known to have hit something. Of two the one that has hit less counts: both have to.
    ///
    /// - Parameters:
    ///   - slowed: requests that the controller has held up.
    ///   - bitten: how often a fault of the way to the database has hit something since `before`.
    func bites(
        _ before: TroubleAccount.Progress, _ now: TroubleAccount.Progress, slowed: Int, _ bitten: (ProxyFault) -> Int
    ) -> Int {
        var bites: [Int] = []
        switch controller {
        case nil: break
        case .latency: bites.append(slowed)
        // An instant may go by for another reason, too.
        case .gone: bites.append(now.missed(.plc) - before.missed(.plc))
        }
        let failed = now.failedDeliveries - before.failedDeliveries
        switch database {
        case nil: break
        case .latency: bites.append(bitten(.latency))
        case .resets: bites.append(bitten(.reset))
        // A delivery may fail for another reason, too.
        case .gone: bites.append(min(bitten(.down), failed))
        case .silent: bites.append(min(bitten(.freeze), failed))
        case .lockedLedger: bites.append(failed)
        }
        return bites.min() ?? 0
    }
}
