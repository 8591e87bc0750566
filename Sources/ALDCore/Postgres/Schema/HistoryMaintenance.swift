public import Logging
public import ServiceLifecycle

/// Keeps the recorded data in shape: partitions ahead, rollups up to date, what is old dropped.
///
/// The work is one function of the database, so any scheduler may do it instead; two at once do no harm.
public struct HistoryMaintenance: Service {
    /// What one run did.
    public struct Report: Hashable, Sendable {
        /// Buckets of five minutes, one per machine, that were summed up anew.
        public var rolledUp: Int32
        /// Readings that came after their day was dropped and were added to the rollups.
        public var late: Int32
        /// Partitions that were made, and dropped.
        public var created: Int32
        public var dropped: Int32
        /// Rows of the ledger that were removed: their writers have forgotten the batches long ago.
        public var pruned: Int32
        /// Why something had to wait for another run; `nil` when nothing had to.
        public var hindrance: String?
    }

    private let pool: ConnectionPool
    private let time: any TimeSource
    private let logger: Logger

    /// Between two runs.
    private static let interval: Duration = .seconds(60)
    /// How long one step may take; what it has not done then is undone and tried again.
    private static let patience: Duration = .seconds(30)
    /// Buckets that one step sums up, so that it stays far below its time also on a slow machine. A backlog takes
    /// several steps, one after the other.
    private static let stepBuckets: Int32 = 50

    public init(pool: ConnectionPool, time: any TimeSource = SystemTime(), logger: Logger) {
        self.pool = pool
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
                    while try await step().rolledUp >= Self.stepBuckets, time.now < end, !Task.isCancelled {}
                } catch {
                    logger.info("history not maintained", metadata: ["reason": "\(error)"])
                }
            }
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
