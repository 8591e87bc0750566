public import Logging
public import ServiceLifecycle
import Synchronization

/// Terminal 1: reads every parameter of the PLC once per period and hands the rows to the batch writer.
///
/// Instants lie on a fixed grid (``CollectionSchedule``). Each has three outcomes, and all three are counted: recorded,
/// missed because the controller could not be read in time, missed because the collector itself was late. Missed
/// instants leave gap records; so do those between an earlier collector and this one, which nobody counted.
///
/// A controller that needs longer than a period is given the time it needs (``ReadPatience``), and is recorded as often as
/// it answers.
public final class DataCollectionService: Service {
    public struct Configuration: Sendable {
        /// From one instant to the next. Defaults to 1 s.
        public var period: Duration = .seconds(1)
        /// How long the controller may take to answer, counted from the instant, as long as it is quick. Defaults to 80 % of
        /// the period.
        public var readTimeout: Duration?
        /// How long one may take that has turned out to be slow; the instants that go by meanwhile are missed. With less than
        /// ``readTimeout`` none is waited for longer than that. Defaults to 10 s.
        public var slowReadTimeout: Duration = .seconds(10)
        /// Stop by itself after this long; `nil` never does. Defaults to `nil`.
        public var duration: Duration?

        public init() {}

        var effectiveReadTimeout: Duration { readTimeout ?? period * 0.8 }
        /// A reading that begins later than this after its instant is a late one: a tenth of the period.
        public var mostLateness: Duration { period / 10 }

        /// - Throws: every setting that is out of its range.
        public func validate() throws(ConfigurationProblems) {
            var problems: [String] = []
            if period < .milliseconds(1) || period > .seconds(3600) {
                problems.append("period is \(period); allowed are 1 ms to 1 h")
            }
            if effectiveReadTimeout <= .zero || effectiveReadTimeout > period {
                problems.append("readTimeout is \(effectiveReadTimeout); it must be between zero and the period")
            }
            if slowReadTimeout <= .zero || slowReadTimeout > .seconds(3600) {
                problems.append("slowReadTimeout is \(slowReadTimeout); it must be between zero and 1 h")
            }
            if let duration, duration < period {
                problems.append("duration is \(duration); it must not be shorter than the period, \(period)")
            }
            if let problems = ConfigurationProblems(problems) { throw problems }
        }
    }

    private let plc: any PLC
    private let writer: BatchWriter
    private let machine: Int32
    private let configuration: Configuration
    private let metadata: MetadataCache?
    private let time: any TimeSource
    private let logger: Logger
    private let state = Mutex(CollectionStatistics())
    private let gaps = Mutex(GapLedger())
    private let reports = Mutex(ReportThrottle<CollectionGap.Cause>())
    private let degraded = Mutex(DegradedMode())
    private let isStopping = Mutex(false)
    private let wakeup = Wakeup()
    private let stopped = Wakeup()

    /// How long a reading may go on after the shutdown has begun.
    private static let shutdownGrace: Duration = .milliseconds(500)

    /// - Parameters:
    ///   - machine: the number under which this machine is registered in the database.
    ///   - metadata: limits that are narrower than those of the register map, by which readings are judged.
    /// - Throws: every setting that is out of its range.
    public init(
        plc: any PLC, writer: BatchWriter, machine: Int32, configuration: Configuration = Configuration(),
        metadata: MetadataCache? = nil, time: any TimeSource = SystemTime(), logger: Logger
    ) throws(ConfigurationProblems) {
        try configuration.validate()
        self.plc = plc
        self.writer = writer
        self.machine = machine
        self.configuration = configuration
        self.metadata = metadata
        self.time = time
        self.logger = logger
    }

    public var statistics: CollectionStatistics { state.withLock(\.self) }

    /// Whether cycles take so long that what is not essential has to give way.
    public var isDegraded: Bool { degraded.withLock(\.isDegraded) }

    /// Collects until shutdown, cancellation or the end of ``Configuration/duration``. A cycle under way is finished if
    /// it takes no longer than half a second.
    public func run() async throws {
        await withTaskCancellationOrGracefulShutdownHandler {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await self.collect() }
                group.addTask { await self.losePatience() }
                await group.next()
                group.cancelAll()
            }
        } onCancelOrGracefulShutdown: {
            self.isStopping.withLock { $0 = true }
            self.wakeup.signal()
            self.stopped.signal()
        }
    }

    private func collect() async {
        let last = await recordedUntil()
        // One instant by two clocks: what comes before it was missed by nobody's fault, what comes after is on the grid.
        let (origin, startedAt) = (time.now, time.wallClock)
        if let last { noteStop(since: last, until: startedAt) }
        var schedule = CollectionSchedule(origin: origin, period: configuration.period)
        var patience = ReadPatience(configuration)
        // Until when the controller has kept the collector waiting.
        var waited: MonotonicInstant?
        let end = configuration.duration.map { origin + $0 }
        var previous: (instant: Int64, start: MonotonicInstant)?
        while !isStopping.withLock(\.self) {
            let now = time.now
            if let end, now >= end { break }
            switch schedule.next(now: now) {
            case .wait(let until):
                await wakeup.wait(until: min(until, end ?? until), time: time)
            case .collect(let instant, let lateness, let missed):
                if let previous, previous.instant == instant - 1 { noteInterval(now - previous.start) }
                previous = (instant, now)
                // Before the reading, which is not to be recorded without them.
                noteMissed(missed, waited: waited, schedule: schedule)
                waited = await cycle(at: schedule.time(of: instant), lateness: lateness, &patience)
            }
        }
        // Instants that were due before the end and never had their turn belong into the account as well.
        let outstanding = schedule.outstanding(now: min(time.now, (end ?? time.now) - .nanoseconds(1)))
        noteMissed(outstanding, waited: waited, schedule: schedule)
        await recordGaps(final: true)
        state.withLock { $0.endedAt = time.now }
    }

    /// - Returns: until when the controller has kept the collector waiting. What came after the deadline is not its fault.
    private func cycle(
        at instant: MonotonicInstant, lateness: Duration, _ patience: inout ReadPatience
    ) async -> MonotonicInstant {
        let (started, startedAt) = (time.now, time.wallClock)
        let deadline = instant + patience.timeout
        do throws(PLCError) {
            var scan = try await scan(deadline: deadline)
            let answered = time.now
            patience.answered(after: answered - instant)
            if let limits = metadata?.current { scan.readings = limits.judged(scan.readings) }
            await accept(scan, started: started, lateness: lateness)
            noteLoad(time.now - started)
            return min(answered, deadline)
        } catch {
            patience.failed(error)
            let waited = min(time.now, deadline)
            noteLoad(configuration.period)
            state.withLock { $0.missedPLC += 1 }
            await noteFailure("\(error)", cause: .plc, at: startedAt)
            return waited
        }
    }

    private func noteLoad(_ took: Duration) {
        switch degraded.withLock({ $0.happened(took: took, of: configuration.period) }) {
        case .begins:
            logger.warning(
                "cycles take long; set points are compared less often", metadata: ["took": "\(took)"])
        case .ends: logger.notice("cycles are fast again")
        case nil: break
        }
    }

    /// Until a reading that was under way when the shutdown began has had its moment; then it is given up.
    private func losePatience() async {
        // Cancelled when the collection has ended first. A wait may end without a reason, so the reason is asked for.
        while !isStopping.withLock(\.self), !Task.isCancelled { await stopped.wait() }
        do { try await time.sleep(for: Self.shutdownGrace) } catch {}
    }

    /// In this task, without one of its own: it is cancelled by ``losePatience()`` through the task that collects.
    private func scan(deadline: MonotonicInstant) async throws(PLCError) -> Scan {
        let result: Result<Scan, PLCError>
        do throws(PLCError) {
            result = .success(try await plc.scan(deadline: deadline))
        } catch {
            result = .failure(error)
        }
        guard Task.isCancelled else { return try result.get() }
        // What was given up in the middle is not recorded as if the controller had kept it back.
        if case .success(let scan) = result, scan.readings.allSatisfy({ $0.quality != .bad }) { return scan }
        throw .unreachable("the recorder was shut down before the controller had answered")
    }

    private func accept(_ scan: Scan, started: MonotonicInstant, lateness: Duration) async {
        do throws(SpoolError) {
            try await append(Records(scan))
            let took = time.now - started
            let recovered = state.withLock { statistics -> Bool in
                statistics.cycles += 1
                if lateness > configuration.mostLateness || took > configuration.period { statistics.lateCycles += 1 }
                statistics.rows += scan.readings.count
                statistics.badRows += scan.readings.count { $0.quality == .bad }
                statistics.cycleTime.record(took)
                defer { statistics.lastFailure = nil }
                return statistics.lastFailure != nil
            }
            await recordGaps()
            if recovered {
                reports.withLock { $0.reset() }
                logger.notice("recording again")
            }
        } catch {
            state.withLock { $0.missedSpool += 1 }
            await noteFailure("\(error)", cause: .spool, at: scan.time)
        }
    }

    /// With all that was missed before them, in one commit: whoever is killed leaves no readings behind which the next
    /// start would look for nothing.
    private func append(_ readings: Records) async throws(SpoolError) {
        let before = gaps.withLock(\.pending)
        do throws(SpoolError) {
            let parts = before.isEmpty ? [readings] : [.gaps(before), readings]
            try await writer.append(together: parts, machine: machine)
            state.withLock { $0.gapRecords += before.count }
            gaps.withLock { $0.settled() }
        } catch {
            guard error.code == .full, !before.isEmpty else { throw error }
            // The last room of a disk is for readings. What was missed waits in memory for more.
            try await writer.append(readings, machine: machine)
            gaps.withLock { $0.resumed() }
        }
    }

    private func noteInterval(_ interval: Duration) {
        let deviation = interval - configuration.period
        state.withLock { $0.jitter.record(deviation < .zero ? .zero - deviation : deviation) }
    }

    /// Instants that went by without a reading of their own.
    ///
    /// - Parameter waited: until when the controller has kept the collector waiting: those after it are the collector's.
    private func noteMissed(_ missed: Range<Int64>, waited: MonotonicInstant?, schedule: CollectionSchedule) {
        let free = waited.map { schedule.first(after: $0) } ?? missed.lowerBound
        let (slow, late) = (missed.clamped(to: Int64.min..<free), missed.clamped(to: free..<Int64.max))
        state.withLock { statistics in
            statistics.missedPLC += slow.count
            statistics.missedLate += late.count
        }
        noteMissed(slow, "the controller was still busy with an earlier instant", cause: .plc, schedule: schedule)
        noteMissed(
            late, "collection instants went by before the collector was ready", cause: .late, schedule: schedule)
        // One that was recorded came before them, and one in time after them: their gap is over as soon as it is known.
        let isOver = !late.isEmpty || !slow.isEmpty && state.withLock { $0.lastFailure == nil }
        if isOver { gaps.withLock { $0.resumed() } }
    }

    private func noteMissed(
        _ missed: Range<Int64>, _ detail: String, cause: CollectionGap.Cause, schedule: CollectionSchedule
    ) {
        guard !missed.isEmpty else { return }
        // Civil time of a past instant: as long ago on the real-time clock as on the monotonic one.
        let (now, wallClock) = (time.now, time.wallClock)
        let first = wallClock.advanced(by: schedule.time(of: missed.lowerBound) - now)
        let last = wallClock.advanced(by: schedule.time(of: missed.upperBound - 1) - now)
        noteMiss(detail, cause: cause, from: first, to: last, instants: Int32(clamping: missed.count))
    }

    private func recordedUntil() async -> Timestamp? {
        do throws(SpoolError) {
            return try await writer.spool.recordedUntil(machine: machine)
        } catch {
            logger.warning("what was missed before the start is not known", metadata: ["error": "\(error)"])
            return nil
        }
    }

    /// What went by between an earlier collector, however it ended, and this one. Recorded with the first instant: whoever
    /// is killed before that leaves it to the next start.
    private func noteStop(since last: Timestamp, until startedAt: Timestamp) {
        let gap = gaps.withLock { $0.wasStopped(since: last, until: startedAt, period: configuration.period) }
        guard let gap else { return }
        logger.notice(
            "nothing was recorded since an earlier collector ended",
            metadata: ["since": "\(last)", "missed": "\(gap.instants)"])
    }

    /// An instant was tried, and nothing was recorded.
    private func noteFailure(_ detail: String, cause: CollectionGap.Cause, at instant: Timestamp) async {
        state.withLock { $0.lastFailure = detail }
        noteMiss(detail, cause: cause, from: instant, to: instant, instants: 1)
        await recordGaps()
    }

    private func noteMiss(
        _ detail: String, cause: CollectionGap.Cause, from first: Timestamp, to last: Timestamp, instants: Int32
    ) {
        // One line when it begins and one a minute while it lasts; the gap records keep the count.
        if reports.withLock({ $0.isDue(cause, now: time.now) }) {
            logger.warning(
                "instants without readings",
                metadata: [
                    "cause": "\(cause.rawValue)", "detail": "\(detail)",
                    "missed": "\(state.withLock(\.missed))",
                ])
        }
        let gap = CollectionGap(
            firstMissedAt: first, lastMissedAt: last, instants: instants, cause: cause, detail: detail)
        gaps.withLock { $0.missed(gap) }
    }

    private func recordGaps(final: Bool = false) async {
        let due = gaps.withLock { $0.take(now: time.now, final: final) }
        guard !due.isEmpty else { return }
        do throws(SpoolError) {
            try await writer.append(.gaps(due), machine: machine)
            state.withLock { $0.gapRecords += due.count }
        } catch {
            // The disk that could not take the readings cannot take the gaps either: they wait here until it can.
            gaps.withLock { $0.giveBack(due) }
        }
    }
}
