public import Logging
import Synchronization

/// Lands batches in PostgreSQL: one statement per batch claims the ledger entry and inserts the rows.
///
/// Before the first batch, and again whenever the machine's registration is not known to be in place, the sink brings
/// the schema up to date and registers the machine, so a collector may start before its database does.
public final class PostgresSink: BatchSink {
    /// What is written of a batch of readings.
    public enum Recording: Sendable {
        /// History, process points while a process runs, and current values, together.
        case synchronized
        /// History alone: about half the work, for a database that nobody looks at while the machine runs.
        case historyOnly
    }

    private let pool: ConnectionPool
    private let recording: Recording
    private let registration: MachineRegistration
    private let time: any TimeSource
    private let logger: Logger
    /// The day up to which schema, registration and partitions are known to be in place; `nil` when they are not.
    private let preparedOn = Mutex<Timestamp?>(nil)

    /// How long a batch waits for a connection. Shorter than an attempt may take, so that a database that is away is
    /// known to be away within this time.
    private static let acquireTimeout: Duration = .seconds(2)
    /// History partitions that exist ahead of the rows, in days; the current day and the one before included.
    private static let partitionDays: Int32 = 5

    public init(
        pool: ConnectionPool, registration: MachineRegistration, recording: Recording = .synchronized,
        time: any TimeSource = SystemTime(), logger: Logger
    ) {
        self.pool = pool
        self.recording = recording
        self.registration = registration
        self.time = time
        self.logger = logger
    }

    /// Migrates the schema, registers the machine and creates the next days' partitions. Safe to repeat.
    ///
    /// ``apply(_:deadline:)`` does this by itself when nobody has; a caller that wants to know of problems before it
    /// accepts anything calls it first.
    ///
    /// - Throws: `PostgresError`, ``Migrator/SchemaTooNew``, ``Migrator/HistoryMismatch`` or
    ///   ``MachineRegistration/Conflict``.
    public func prepare(on connection: PostgresConnection, deadline: MonotonicInstant) async throws {
        let outcome = try await Migrator().migrate(connection, deadline: deadline)
        try await registration.register(connection, deadline: deadline)
        try await ensurePartitions(from: time.wallClock, connection, deadline: deadline)
        preparedOn.withLock { $0 = time.wallClock.startOfDay }
        if !outcome.applied.isEmpty {
            logger.info("schema migrated", metadata: ["version": "\(outcome.version)"])
        }
        if !outcome.missingRoles.isEmpty {
            logger.warning(
                "this user may not create the roles of the schema; create them and run `ald database migrate`",
                metadata: ["roles": "\(outcome.missingRoles.joined(separator: ", "))"])
        }
    }

    public func apply(_ batch: Batch, deadline: MonotonicInstant) async throws(SinkFault) {
        do {
            let acquireBy = min(deadline, time.now + Self.acquireTimeout)
            try await pool.withConnection(holder: "writer", lane: .writer, deadline: acquireBy) { connection in
                try await self.prepareIfNeeded(on: connection, deadline: deadline)
                do {
                    try await self.send(batch, connection, deadline: deadline)
                } catch let error as PostgresError where FaultClassifier.isMissingPartition(error) {
                    try await self.createPartitions(for: batch, connection, deadline: deadline)
                    try await self.send(batch, connection, deadline: deadline)
                }
            }
        } catch let error as PostgresError {
            // Somebody has removed the schema or a part of it: the next attempt looks after it first.
            if FaultClassifier.isMissingSchema(error) { preparedOn.withLock { $0 = nil } }
            throw FaultClassifier.classify(error)
        } catch let fault as SinkFault {
            throw fault
        } catch is CancellationError {
            throw SinkFault(.inDoubt, "cancelled while a batch was under way")
        } catch {
            throw SinkFault(.misconfigured, "\(error)")
        }
    }

    /// Prepares what is not known to be in place, and every day the partitions of the days to come.
    private func prepareIfNeeded(on connection: PostgresConnection, deadline: MonotonicInstant) async throws {
        let today = time.wallClock.startOfDay
        guard let day = preparedOn.withLock(\.self) else {
            return try await prepare(on: connection, deadline: deadline)
        }
        if day < today {
            try await ensurePartitions(from: today, connection, deadline: deadline)
            preparedOn.withLock { $0 = today }
        }
    }

    private func send(_ batch: Batch, _ connection: PostgresConnection, deadline: MonotonicInstant) async throws {
        let head: [PostgresValue] = [
            .int4(batch.machine), .int8(batch.id.origin), .int8(batch.id.number), .int4(Int32(batch.records.count)),
            .bytea(batch.digest),
        ]
        let result: PostgresResult
        switch (batch.records, recording) {
        case (.history(let rows), .synchronized):
            do {
                _ = try await SynchronizedRecorder.send(batch, rows, connection, deadline: deadline)
                return
            } catch let refused as SynchronizedRecorder.Refused {
                throw SinkFault(.ownBug, refused.description)
            }
        case (.history(let rows), .historyOnly):
            result = try await connection.query(
                "SELECT ald.apply_history_batch($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                head + [
                    .int4Array(rows.map(\.parameter.rawValue)), .timestamptzArray(rows.map(\.time)),
                    .float8Array(rows.map(\.value)), .int2Array(rows.map(\.quality.rawValue)),
                ], deadline: deadline)
        case (.gaps(let gaps), _):
            result = try await connection.query(
                "SELECT ald.apply_gap_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                head + [
                    .timestamptzArray(gaps.map(\.firstMissedAt)), .timestamptzArray(gaps.map(\.lastMissedAt)),
                    .int4Array(gaps.map(\.instants)), .textArray(gaps.map(\.cause.rawValue)),
                    .textArray(gaps.map(\.detail)),
                ], deadline: deadline)
        }
        if let problem = LedgerStatus.problem(of: try result.first?.decode(0), batch.id) {
            throw SinkFault(.ownBug, problem)
        }
    }

    /// The days a batch's rows fall on may be long past (a backlog) or ahead (a clock that was set).
    private func createPartitions(
        for batch: Batch, _ connection: PostgresConnection, deadline: MonotonicInstant
    ) async throws {
        guard case .history(let rows) = batch.records else { return }
        for day in Set(rows.map(\.time.startOfDay)).sorted() {
            logger.notice("creating a missing history partition", metadata: ["day": "\(day)"])
            try await HistoryPartitions.ensure(from: day, connection, deadline: deadline)
        }
    }

    private func ensurePartitions(
        from today: Timestamp, _ connection: PostgresConnection, deadline: MonotonicInstant
    ) async throws {
        try await HistoryPartitions.ensure(
            from: today.advanced(by: .seconds(-86_400)), days: Self.partitionDays, connection, deadline: deadline)
    }
}
