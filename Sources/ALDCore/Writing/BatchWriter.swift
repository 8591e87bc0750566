public import Logging
public import ServiceLifecycle
import Synchronization

/// Takes records, keeps them safe on this machine's disk and brings them into the database exactly once.
///
/// ``append(_:machine:)`` returns as soon as the records are durable, whatever state the database is in. ``run()``
/// sends them in the background, what is fresh before what has gathered during an outage, and after a graceful
/// shutdown request flushes for ``Configuration/flushTimeout``; what has not landed by then stays in the spool for the
/// next start. A record that the database refuses lands as a ``DeadLetter``.
public final class BatchWriter: Service {
    let spool: Spool
    let sink: any BatchSink
    let configuration: Configuration
    let time: any TimeSource
    let logger: Logger
    let progress = Mutex(Progress())
    private let random: Mutex<any RandomNumberGenerator & Sendable>
    private let shutdownDeadline = Mutex<MonotonicInstant?>(nil)
    let wakeup = Wakeup()
    private let alarm: Alarm
    /// What the calls under way have to say.
    let reports = Mutex<[Report]>([])

    /// What the statistics know beside the spool's account.
    struct Progress {
        var failed = 0
        var deadLettered = 0
        var lastFault: String?
        var heldBecause: String?
        var breaker = CircuitBreaker.StateName.closed
        var isReconciled = false
        /// Of the sink, when the database answered last.
        var session: Int?
        /// When the ledger was asked last what it has.
        var askedAt: MonotonicInstant?
        /// Other connections that were noticed and that the machine has not been told of.
        var doubts = 0
    }

    /// A call has ended.
    struct Report: Sendable {
        var event: WriterStateMachine.Event
        /// What the spool has brought.
        var batches: [StoredBatch] = []
        /// How the batch lives on whose name was closed.
        var decided: BatchCut?
    }

    /// - Parameter random: what varies the pauses between attempts.
    /// - Throws: every setting that is out of its range.
    public init(
        spool: Spool, sink: any BatchSink, configuration: Configuration = Configuration(),
        time: any TimeSource = SystemTime(),
        random: any RandomNumberGenerator & Sendable = SystemRandomNumberGenerator(), logger: Logger
    ) throws(ConfigurationProblems) {
        try configuration.validate()
        self.random = Mutex(random)
        alarm = Alarm(ringing: wakeup, time: time)
        self.spool = spool
        self.sink = sink
        self.configuration = configuration
        self.time = time
        self.logger = logger
    }

    public var statistics: Statistics {
        // The account is read inside: a dead letter is counted before it is confirmed, and must not be missing here.
        progress.withLock { progress in
            let account = spool.account
            var statistics = Statistics()
            statistics.carriedOver = account.carriedOver
            statistics.accepted = account.accepted
            statistics.resurrected = account.resurrected
            statistics.landed = account.acknowledged - progress.deadLettered
            statistics.deadLettered = progress.deadLettered
            statistics.lost = account.lost
            statistics.spooled = account.waiting.records
            statistics.failedAttempts = progress.failed
            statistics.lastFault = progress.lastFault
            statistics.heldBecause = progress.heldBecause
            statistics.breaker = progress.breaker
            statistics.isReconciled = progress.isReconciled
            return statistics
        }
    }

    /// Accepts `records` of one machine. When this returns they are durable and will land exactly once.
    ///
    /// - Throws: as ``Spool/append(_:machine:)``, and `invalidRecord` for readings of a time that the database can never
    ///   take, as a clock that was never set tells it: accepted, they would wait for ever, and others behind them.
    public func append(_ records: Records, machine: Int32) async throws(SpoolError) {
        try await append(together: [records], machine: machine)
    }

    /// The same for records of several kinds, of which a crash leaves all or none.
    func append(together parts: [Records], machine: Int32) async throws(SpoolError) {
        for part in parts { try checkTimes(of: part) }
        _ = try await spool.append(together: parts, machine: machine)
        wakeup.signal()
    }

    private func checkTimes(of records: Records) throws(SpoolError) {
        guard let times = sink.recordableTimes, case .history(let rows) = records,
            let row = rows.first(where: { !times.contains($0.time) })
        else { return }
        throw SpoolError(
            .invalidRecord, file: spool.directory,
            "parameter \(row.parameter) was read at \(row.time), and only readings of \(times.lowerBound) to "
                + "\(times.upperBound) can be recorded; check the clock of this machine")
    }

    /// Sends until shutdown or cancellation.
    public func run() async throws {
        let machine = try WriterStateMachine(
            configuration.machine(takesDeadLetters: sink.takesDeadLetters), carriedOver: spool.account.carriedOver > 0)
        await withTaskCancellationOrGracefulShutdownHandler {
            await sendUntilFinished(machine)
        } onCancelOrGracefulShutdown: {
            let deadline = self.time.now + self.configuration.flushTimeout
            self.shutdownDeadline.withLock { $0 = $0 ?? deadline }
            self.wakeup.signal()
        }
    }

    private func sendUntilFinished(_ machine: WriterStateMachine) async {
        await withDiscardingTaskGroup { group in
            // In here: what a closure captures is copied as a whole whenever somebody looks at it.
            var machine = machine
            var bench: [SpoolPosition: StoredBatch] = [:]
            var decided: [Spool.Lane: BatchCut] = [:]
            while true {
                if let deadline = shutdownDeadline.withLock(\.self) { machine.shutDown(by: deadline) }
                take(&machine, &bench, &decided)
                let action = machine.next(waiting, now: time.now, chance: chance)
                publish(&machine)
                switch action {
                case .moveBoundary: spool.moveBoundary()
                case .reconcile(let position, let batches, let deadline):
                    group.addTask { await self.reconcile(after: position, batches: batches, by: deadline) }
                case .read(let lane, let limits, let kinds):
                    let (excluded, position) = (claimed(by: &machine), machine[lane].readsAfter)
                    group.addTask {
                        await self.read(lane, after: position, limits, excluding: excluded, kinds: kinds)
                    }
                case .readAhead(let lane, let limits):
                    let excluded = claimed(by: &machine)
                    group.addTask { await self.readAhead(lane, limits, excluding: excluded) }
                case .deliver(let lane, let count, let deadline):
                    let batches = machine[lane].bench.prefix(count).compactMap { bench[$0.position] }
                    group.addTask { await self.deliver(batches, of: lane, by: deadline) }
                case .void(let lane, let deadline):
                    let batch = machine[lane].bench.first.flatMap { bench[$0.position] }
                    let (way, fault) = (machine[lane].cut ?? .again, machine[lane].fault)
                    group.addTask { await self.void(batch, of: lane, way, because: fault, by: deadline) }
                case .cut(let lane, _):
                    let batch = machine[lane].bench.first.flatMap { bench[$0.position] }
                    let cut = decided.removeValue(forKey: lane)
                    group.addTask { await self.cut(batch, of: lane, cut) }
                case .wait(let until):
                    alarm.set(until)
                    await wakeup.waitThroughCancellation()
                case .abandon: group.cancelAll()
                case .finish:
                    alarm.set(nil)
                    return
                }
            }
        }
    }

    /// In 0..<1, as the standard library draws it; through a generator of any type that would take longer than the rest
    /// of a decision.
    private var chance: Double { random.withLock { Double($0.next() & ((1 << 53) - 1)) * 0x1p-53 } }

    private var waiting: WriterStateMachine.Waiting {
        let kinds = spool.kinds
        return WriterStateMachine.Waiting(fresh: kinds[.fresh], backlog: kinds[.backlog], end: spool.lastPosition)
    }

    /// Tells the machine what has happened, and forgets the payloads that it needs no more.
    private func take(
        _ machine: inout WriterStateMachine, _ bench: inout [SpoolPosition: StoredBatch],
        _ decided: inout [Spool.Lane: BatchCut]
    ) {
        let reports = reports.withLock { reports in
            defer { reports = [] }
            return reports
        }
        guard !reports.isEmpty else { return }
        for report in reports {
            for batch in report.batches { bench[batch.position] = batch }
            if case .answered(let lane, _) = report.event { decided[lane] = report.decided }
            if case .reconnected = report.event { progress.withLock { $0.doubts -= 1 } }
            machine.happened(report.event, now: time.now, chance: chance)
        }
        let needed = claimed(by: &machine)
        if needed.count < bench.count { bench = bench.filter { needed.contains($0.key) } }
    }

    /// In place, as below: a machine is a large value.
    private func claimed(by machine: inout WriterStateMachine) -> Set<SpoolPosition> {
        Set(machine.fresh.claimed + machine.backlog.claimed)
    }

    private func publish(_ machine: inout WriterStateMachine) {
        let (breaker, held) = (machine.breaker.state.name, machine.heldBecause)
        let before = progress.withLock { progress in
            let before = progress
            progress.breaker = breaker
            progress.isReconciled = machine.isReconciled && progress.doubts == 0
            progress.heldBecause = held?.cause
            // Under the lock, so that no doubt comes in between.
            if progress.isReconciled, !before.isReconciled {
                spool.acknowledge([], comparedAt: progress.askedAt)
                spool.doubt(false)
            }
            return before
        }
        if let fault = held, fault.cause != before.heldBecause {
            logger.error(
                "batches are held until somebody changes something; nothing is lost",
                metadata: ["class": "\(fault.faultClass.rawValue)", "fault": "\(fault.message)"])
        }
        if breaker != before.breaker {
            logger.notice("the breaker has changed", metadata: ["state": "\(breaker.rawValue)"])
        }
    }

    func report(_ event: WriterStateMachine.Event, _ batches: [StoredBatch] = []) {
        report(Report(event: event, batches: batches))
    }

    func report(_ report: Report) {
        reports.withLock { $0.append(report) }
        wakeup.signal()
    }
}
