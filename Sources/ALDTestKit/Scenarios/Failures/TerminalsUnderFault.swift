import ALDCore
import Logging
import Modbus
import Synchronization

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

    func run(_ run: ScenarioRun) async throws {
        let map = try GeneratedMachine.registerMap(parameters: parameters, seed: run.seed)
        let device = SimulatedPLC(map, seed: run.seed)
        let faults = FaultInjector(seed: run.seed)
        var behavior = DeviceBehavior.ideal
        behavior.faults = faults
        let server = device.makeServer(behavior: behavior)
        let port = try await server.start()
        let book = LogBook()
        try await withCleanup {
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
                    try await judge(run, summary, own)
                }
            }
        } cleanup: {
            await server.stop()
        }
        run.note("errors logged", count: book.count(.warning))
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
        let (before, evidence) = ((rig.collection.statistics, rig.writer.statistics), stage.proxy.evidence)
        try await run.fault(words) {
            try await stage.begin(self, run)
            func bites() -> Int {
                self.bites(before, (rig.collection.statistics, rig.writer.statistics), stage, evidence)
            }
            let end = run.time.now + run.duration
            // A delivery that hangs is given up after seconds, so a short trouble lasts until it has been felt.
            while run.time.now < end || bites() == 0 && run.time.now < end + Self.mostExtension {
                try await run.time.sleep(for: .milliseconds(100))
                try await stage.goOn(self, now: run.time.now)
                run.sample("records in the spool", Double(rig.writer.statistics.spooled), .count)
                run.sample("missed instants", Double(rig.collection.statistics.missed), .count)
            }
            try await stage.end(self)
            let after = (rig.collection.statistics, rig.writer.statistics)
            run.note("cycles under the fault", count: after.0.cycles - before.0.cycles)
            run.note("violations", count: after.0.missed - before.0.missed)
            // Without those at which this machine itself was late.
            let lost = { (of: CollectionStatistics) in of.missedPLC + of.missedSpool }
            run.note("violations for want of controller or disk", count: lost(after.0) - lost(before.0))
            run.note("failed deliveries", count: after.1.failedAttempts - before.1.failedAttempts)
            run.note("cycle time", after.0.cycleTime)
            return bites()
        }
        let healed = run.time.now
        let cycles = rig.collection.statistics.cycles
        try await eventually("it records again, and nothing waits", within: .seconds(60)) {
            rig.collection.statistics.cycles > cycles + 2 && rig.writer.statistics.spooled < parameters * 5
                && rig.writer.statistics.breaker != .open
        }
        run.note("recovery", run.time.now - healed)
    }

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

    /// How often the trouble is known to have hit something.
    private func bites(
        _ before: (CollectionStatistics, BatchWriter.Statistics),
        _ after: (CollectionStatistics, BatchWriter.Statistics), _ stage: FaultStage,
        _ evidence: FaultProxy.Evidence
    ) -> Int {
        var bites: [Int] = []
        if controller != nil { bites.append(after.0.missed - before.0.missed + stage.slowed) }
        let now = stage.proxy.evidence
        func bitten(_ fault: ProxyFault) -> Int { now.bites(of: fault) - evidence.bites(of: fault) }
        let failed = after.1.failedAttempts - before.1.failedAttempts
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

    private func judge(
        _ run: ScenarioRun, _ summary: RecordingRig.Summary, _ database: PostgresConfiguration
    ) async throws {
        let collection = summary.collection
        let recorded = try await RecordedRows(in: database)
        run.note("rows", count: recorded.rows)
        run.note("lost or doubled", count: recorded.lostOrDoubled(of: collection.rows))
        run.note("cycles", count: collection.cycles)
        run.note("missed instants", count: collection.missed)
        let gaps = "SELECT coalesce(sum(instants), 0)::bigint FROM ald.collection_gaps"
        let explained = try await TestDatabase.number(gaps, database)
        // The last gap may be open when the collection ends.
        run.note("violations without a record", count: max(0, collection.missed - explained - 1))
        run.note("jitter", collection.jitter)
    }
}

/// What can be broken, and how.
private struct FaultStage: Sendable {
    let proxy: FaultProxy
    /// Not through the proxy.
    let database: PostgresConfiguration
    let server: ModbusServer
    let faults: FaultInjector
    let state = LockHolder()

    /// Requests that were held up.
    var slowed: Int { faults.counts.values.reduce(0, +) }

    func begin(_ work: TerminalsUnderFault, _ run: ScenarioRun) async throws {
        switch work.database {
        case nil: break
        case .latency(let range):
            var slow = StreamFaults()
            slow.latency = (range.lowerBound + range.upperBound) / 2
            slow.jitter = (range.upperBound - range.lowerBound) / 2
            proxy.set(slow, .downstream)
        case .gone: proxy.down()
        case .silent: proxy.freeze()
        case .resets: proxy.reset()
        case .lockedLedger: try await state.lock("ald_history.ingest_batches", database)
        }
        switch work.controller {
        case nil: break
        case .latency(let range, let functions):
            // Several rules of equal share, since a rule has one delay.
            let steps = 8
            for step in 0..<steps {
                let delay = range.lowerBound + (range.upperBound - range.lowerBound) * step / (steps - 1)
                var rule = FaultRule("slow \(step)", .request(.delay(delay)))
                rule.functions = functions
                rule.probability = 1 / Double(steps - step)
                try faults.add(rule)
            }
        case .gone: await server.strike(.reboot(run.duration + .seconds(1)))
        }
    }

    /// What has to be done over and over.
    func goOn(_ work: TerminalsUnderFault, now: MonotonicInstant) async throws {
        if case .resets(let every) = work.database, state.isDue(every, now: now) { proxy.reset() }
    }

    func end(_ work: TerminalsUnderFault) async throws {
        proxy.heal()
        faults.clear()
        try await state.unlock()
        if case .gone = work.controller { await server.strike(.reboot(.zero)) }
    }
}

/// Holds a lock in the database for as long as it is told to.
private actor LockHolder {
    private var connection: PostgresConnection?
    private let last = Mutex(MonotonicInstant(nanoseconds: 0))

    func lock(_ table: String, _ database: PostgresConfiguration) async throws {
        let time = SystemTime()
        let made = try await PostgresConnection.connect(
            database, deadline: time.now + .seconds(30), time: time, logger: TestDatabase.quiet)
        connection = made
        _ = try await made.execute(
            script: "BEGIN; LOCK TABLE \(table) IN ACCESS EXCLUSIVE MODE", deadline: time.now + .seconds(30))
    }

    func unlock() async throws {
        guard let connection else { return }
        self.connection = nil
        await connection.close()
    }

    nonisolated func isDue(_ period: Duration, now: MonotonicInstant) -> Bool {
        last.withLock { last in
            guard now - last >= period else { return false }
            last = now
            return true
        }
    }
}
