public import Logging
public import ServiceLifecycle
import Synchronization

/// Takes records, keeps them safe on this machine's disk and brings them into the database exactly once.
///
/// ``append(_:machine:)`` returns as soon as the records are durable, whatever state the database is in. ``run()``
/// sends them in the background, oldest first, and after a graceful shutdown request flushes for
/// ``Configuration/flushTimeout``; what has not landed by then stays in the spool for the next start.
public final class BatchWriter: Service {
    public struct Configuration: Sendable {
        /// How long one attempt to write a batch may take. Defaults to 10 s.
        public var attemptTimeout: Duration = .seconds(10)
        /// The pause after a failed attempt. Defaults to 100 ms growing to 5 s.
        public var backoff = Backoff.Configuration()
        /// The pause after the database refused a batch. Defaults to 15 s.
        public var rejectedPause: Duration = .seconds(15)
        /// How long a shutdown may go on sending. Defaults to 2 s.
        public var flushTimeout: Duration = .seconds(2)

        public init() {}

        func validate() throws(ConfigurationProblems) {
            var problems = backoff.problems(named: "backoff")
            for (name, value) in [("attemptTimeout", attemptTimeout), ("rejectedPause", rejectedPause)]
            where value <= .zero {
                problems.append("\(name) is \(value); it must be longer than zero")
            }
            if flushTimeout < .zero { problems.append("flushTimeout is \(flushTimeout); it must not be negative") }
            if let problems = ConfigurationProblems(problems) { throw problems }
        }
    }

    /// Counted since the spool was opened, in records. `accepted + carriedOver = landed + spooled` holds at every
    /// moment.
    public struct Statistics: Hashable, Sendable {
        /// Found in the spool at the start, left by an earlier run.
        public var carriedOver = 0
        public var accepted = 0
        public var landed = 0
        /// In the spool now.
        public var spooled = 0
        /// Attempts that failed.
        public var failedAttempts = 0
        /// Why the last attempt failed; `nil` after one that succeeded.
        public var lastFault: String?

        public init() {}
    }

    private let spool: Spool
    private let sink: any BatchSink
    private let configuration: Configuration
    private let time: any TimeSource
    private let logger: Logger
    private let attempts = Mutex((failed: 0, lastFault: String?.none))
    private let shutdownDeadline = Mutex<MonotonicInstant?>(nil)
    private let wakeup = Wakeup()

    /// - Throws: every setting that is out of its range.
    public init(
        spool: Spool, sink: any BatchSink, configuration: Configuration = Configuration(),
        time: any TimeSource = SystemTime(), logger: Logger
    ) throws(ConfigurationProblems) {
        try configuration.validate()
        self.spool = spool
        self.sink = sink
        self.configuration = configuration
        self.time = time
        self.logger = logger
    }

    public var statistics: Statistics {
        let account = spool.account
        var statistics = Statistics()
        statistics.carriedOver = account.carriedOver
        statistics.accepted = account.accepted
        statistics.landed = account.acknowledged
        statistics.spooled = account.waiting.records
        (statistics.failedAttempts, statistics.lastFault) = attempts.withLock(\.self)
        return statistics
    }

    /// Accepts `records` of one machine. When this returns they are durable and will land exactly once.
    public func append(_ records: Records, machine: Int32) async throws(SpoolError) {
        _ = try await spool.append(records, machine: machine)
        wakeup.signal()
    }

    /// Sends until shutdown or cancellation.
    public func run() async throws {
        await withTaskCancellationOrGracefulShutdownHandler {
            await sendUntilFinished()
        } onCancelOrGracefulShutdown: {
            let deadline = self.time.now + self.configuration.flushTimeout
            self.shutdownDeadline.withLock { $0 = $0 ?? deadline }
            self.wakeup.signal()
        }
    }

    private func sendUntilFinished() async {
        var machine = SenderStateMachine(
            backoff: configuration.backoff, rejectedPause: configuration.rejectedPause)
        var random = SystemRandomNumberGenerator()
        while true {
            if let deadline = shutdownDeadline.withLock(\.self) { machine.shutDown(by: deadline) }
            switch machine.next(waitingBatches: spool.contents.batches, now: time.now) {
            case .sendOldest:
                let deadline = machine.attemptDeadline(now: time.now, timeout: configuration.attemptTimeout)
                if let fault = await sendOldest(deadline: deadline) {
                    machine.failed(fault.faultClass, now: time.now, random: &random)
                } else {
                    machine.landed()
                }
            case .waitForWork:
                await wakeup.wait()
            case .wait(let until):
                await wakeup.wait(until: until, time: time)
            case .finish:
                return
            }
        }
    }

    /// - Returns: `nil` when the batch has landed and left the spool.
    private func sendOldest(deadline: MonotonicInstant) async -> SinkFault? {
        do {
            let one = Spool.Limits(batches: 1)
            guard let stored = try await spool.waiting(in: .fresh, limits: one).first else { return nil }
            let batch = try stored.batch()
            do throws(SinkFault) {
                try await sink.apply(batch, deadline: deadline)
            } catch {
                noteFault(error, batch: batch)
                return error
            }
            noteLanded(batch)
            spool.acknowledge([stored.header])
            return nil
        } catch {
            // The spool itself cannot be read: nothing may be skipped, so this waits for somebody to look at it.
            let fault = SinkFault(.ownBug, "\(error)")
            noteFault(fault, batch: nil)
            return fault
        }
    }

    private func noteLanded(_ batch: Batch) {
        let recovered = attempts.withLock { attempts -> Bool in
            defer { attempts.lastFault = nil }
            return attempts.lastFault != nil
        }
        if recovered { logger.info("batches land again", metadata: ["batch": "\(batch.id)"]) }
    }

    private func noteFault(_ fault: SinkFault, batch: Batch?) {
        let isNews = attempts.withLock { attempts -> Bool in
            attempts.failed += 1
            defer { attempts.lastFault = fault.cause }
            return attempts.lastFault != fault.cause
        }
        // The same fault is reported once, not once per attempt: an outage must not fill the log.
        if isNews {
            logger.warning(
                "a batch did not land and stays in the spool",
                metadata: ["batch": "\(batch.map { "\($0.id)" } ?? "none")", "fault": "\(fault.message)"])
        }
    }
}
