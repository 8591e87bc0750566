import ALDCore
import Logging
import Modbus

/// Terminals 1 and 3 at a machine and a database, one or both of which are in trouble for the duration. What is judged:
/// nothing accepted is lost, no command is lost or done twice, both go on, and both are back within half a minute.
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
    /// Parameters of the machine.
    var parameters = 20
    /// From one reading to the next. Defaults to 200 ms, and to 500 ms where the controller is well and no instant may be
    /// missed for its sake.
    var period: Duration?

    var unheeded: [RunOption: String] {
        [.scale: "the machine, its readings and the commands a second are those of the requirement"]
    }

    func run(_ run: ScenarioRun) async throws {
        let map = try GeneratedMachine.registerMap(parameters: parameters, seed: run.seed)
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
                            map, fromPort: port, into: proxied, directory: directory,
                            period: period ?? .milliseconds(controller == nil ? 500 : 200), logger: book.logger(),
                            configure: { $0.attemptTimeout = .seconds(2) }
                        ) { rig in try await act(run, rig, stage, map, proxied) }
                    }
                    var account = stage.account
                    try await account.end(summary, in: own)
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

    private func act(
        _ run: ScenarioRun, _ rig: RecordingRig, _ stage: FaultStage, _ map: RegisterMap,
        _ proxied: PostgresConfiguration
    ) async throws {
        try await eventually("recording has begun") { rig.writer.statistics.landed > 0 }
        guard commands else { return try await disturb(run, rig, stage) }
        let channel = CommandChannel(rate: 2, executesOn: rig.plc, execution: execution)
        try await channel.serve(map, run, stage.database, through: proxied) { terminals in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await disturb(run, rig, stage) }
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
            let end = run.time.now + run.duration
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
            await stage.end(self)
            stage.note { account in
                (account.before, account.after) = (before, TroubleAccount.Progress(of: rig))
                account.cycleTime = rig.collection.statistics.cycleTime
            }
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
