public import Logging
public import ServiceLifecycle

/// Keeps the recorded data in shape: partitions ahead, rollups up to date, what is old dropped.
///
/// The work is one function of the database, so any scheduler may do it instead; two at once do no harm.
public struct HistoryMaintenance: Service {
    /// What one run did.
    public struct Report: Hashable, Sendable {
        /// Buckets of five minutes, one per machine, that were summed up anew.
        public var rolledUp: Int32 = 0
        /// Readings that came after their day was dropped and were added to the rollups.
        public var late: Int32 = 0
        /// Partitions that were made, and dropped.
        public var created: Int32 = 0
        public var dropped: Int32 = 0
        /// Rows of the ledger that were removed: their writers have forgotten the batches long ago.
        public var pruned: Int32 = 0
        /// Why something had to wait for another run; `nil` when nothing had to.
        public var hindrance: String?

        /// Another session maintains this database just now; nothing was done.
        public var isBusy: Bool { hindrance == "somebody else is at it" }

        /// Whether a step of this size has left something that could be done at once.
        public func leavesWork(limit: Int32) -> Bool {
            rolledUp >= limit || late >= limit * latePerBucket || pruned >= limit * prunedPerBucket
        }

        static func += (total: inout Report, step: Report) {
            total.rolledUp += step.rolledUp
            total.late += step.late
            total.created += step.created
            total.dropped += step.dropped
            total.pruned += step.pruned
            // What an earlier step had to wait for, this one may have done.
            total.hindrance = step.hindrance
        }
    }

    /// How many of the others a step takes for each bucket of its limit; `ald.maintain` has the same numbers.
    private static let latePerBucket: Int32 = 100
    private static let prunedPerBucket: Int32 = 20

    /// A writer's promise never to send a batch of `origin` up to `number` again, so that the ledger may forget it.
    public struct Forgotten: Hashable, Sendable {
        public var machine: Int32
        public var origin: Int64
        public var number: Int64

        public init(machine: Int32, origin: Int64, number: Int64) {
            self.machine = machine
            self.origin = origin
            self.number = number
        }
    }

    private let pool: ConnectionPool
    private let forgotten: @Sendable () async throws -> [Forgotten]
    private let time: any TimeSource
    private let logger: Logger

    /// Between two runs.
    private static let interval: Duration = .seconds(60)
    /// How long one step may take; what it has not done then is undone and tried again.
    private static let patience: Duration = .seconds(30)
    /// Buckets that one step sums up, so that it stays far below its time also on a slow machine. A backlog takes
    /// several steps, one after the other.
    private static let stepBuckets: Int32 = 50

    /// - Parameter forgotten: what the writer in this process has forgotten. Without it the ledger keeps everything.
    public init(
        pool: ConnectionPool, forgotten: @escaping @Sendable () async throws -> [Forgotten] = { [] },
        time: any TimeSource = SystemTime(), logger: Logger
    ) {
        self.pool = pool
        self.forgotten = forgotten
        self.time = time
        self.logger = logger
    }

    /// Runs every minute until it is cancelled. A run that fails is told at level info and tried again: whoever records
    /// notices a database that is away sooner.
    public func run() async throws {
        await cancelWhenGracefulShutdown {
            while true {
                do { try await time.sleep(for: Self.interval) } catch { return }
                do {
                    // While a whole step was used there is more: an interval's worth of steps at most, then a pause.
                    let end = time.now + Self.interval
                    while try await step().leavesWork(limit: Self.stepBuckets), time.now < end, !Task.isCancelled {}
                    try await passOnForgotten()
                } catch {
                    logger.info("history not maintained", metadata: ["reason": "\(error)"])
                }
            }
        }
    }

    private func passOnForgotten() async throws {
        let promises = try await forgotten()
        guard !promises.isEmpty else { return }
        let deadline = time.now + Self.patience
        try await pool.withConnection(holder: "maintenance", deadline: deadline) {
            try await Self.forget(promises, on: $0, deadline: deadline)
        }
    }

    private func step() async throws -> Report {
        let deadline = time.now + Self.patience
        let report = try await pool.withConnection(holder: "maintenance", deadline: deadline) {
            try await Self.maintain(on: $0, now: time.wallClock, limit: Self.stepBuckets, deadline: deadline)
        }
        if report.dropped > 0 {
            logger.info("old partitions dropped", metadata: ["partitions": "\(report.dropped)"])
        }
        return report
    }

    /// Tells the ledger what writers have forgotten. Safe to repeat: it never goes back.
    ///
    /// - Throws: `PostgresError`.
    public static func forget(
        _ promises: [Forgotten], on connection: PostgresConnection, deadline: MonotonicInstant
    ) async throws {
        for (machine, promises) in Dictionary(grouping: promises, by: \.machine) {
            _ = try await connection.query(
                "SELECT ald.forget_batches($1, o, n) FROM unnest($2, $3) u(o, n)",
                [
                    .int4(machine), .int8Array(promises.map(\.origin)), .int8Array(promises.map(\.number)),
                ], deadline: deadline)
        }
    }

    /// Everything there is to do now, step after step, each a transaction of its own.
    ///
    /// - Parameters:
    ///   - limit: as in ``maintain(on:now:limit:deadline:)``, for one step. Defaults to 50.
    ///   - deadline: for all steps; what was done until then stays done.
    ///   - progress: is told after each step what was done in all.
    /// - Throws: `PostgresError`.
    public static func maintainToTheEnd(
        on connection: PostgresConnection, now: Timestamp, limit: Int32 = 50, deadline: MonotonicInstant,
        progress: (Report) -> Void = { _ in }
    ) async throws -> Report {
        var total = Report()
        while true {
            let step = try await maintain(on: connection, now: now, limit: limit, deadline: deadline)
            total += step
            progress(total)
            if !step.leavesWork(limit: limit) { return total }
        }
    }

    /// One run. All or nothing, and safe to repeat.
    ///
    /// - Parameters:
    ///   - now: at most an hour ahead of the server's clock, because what is too old by it is dropped.
    ///   - limit: buckets of five minutes, one per machine, that are summed up at most. Defaults to 1000.
    /// - Throws: `PostgresError`.
    public static func maintain(
        on connection: PostgresConnection, now: Timestamp, limit: Int32 = 1000, deadline: MonotonicInstant
    ) async throws -> Report {
        let result = try await connection.query(
            "SELECT rolled_up, late, created, dropped, pruned, hindrance FROM ald.maintain($1, $2)",
            [.timestamptz(now), .int4(limit)], deadline: deadline)
        guard let row = result.first else {
            throw PostgresError(.decodingFailed, "ald.maintain returned no row", effect: .unknown)
        }
        return Report(
            rolledUp: try row.decode(0), late: try row.decode(1), created: try row.decode(2),
            dropped: try row.decode(3), pruned: try row.decode(4), hindrance: try row.decode(5))
    }
}
