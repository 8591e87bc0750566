public import Logging
import Synchronization

/// Lands batches in PostgreSQL: one statement claims the ledger entries of a delivery's batches and inserts the rows.
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
    /// ``deliver(_:deadline:)`` does this by itself when nobody has; a caller that wants to know of problems before it
    /// accepts anything calls it first.
    ///
    /// - Throws: `PostgresError`, ``Migrator/SchemaTooNew``, ``Migrator/HistoryMismatch`` or
    ///   ``MachineRegistration/Conflict``.
    public func prepare(on connection: PostgresConnection, deadline: MonotonicInstant) async throws {
        let outcome = try await Migrator().migrate(connection, deadline: deadline)
        let changes = try await registration.register(connection, updatesExisting: false, deadline: deadline)
        if let first = changes.differences.first {
            logger.warning(
                "parameters differ between database and register map and stay; `ald database seed` adopts the map",
                metadata: [
                    "differences": "\(changes.differences.count)",
                    "first": "\(first.parameter) \(first.property): \(first.old) here, \(first.new) in the map",
                ])
        }
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

    public func deliver(
        _ batches: [Batch], deadline: MonotonicInstant
    ) async throws(SinkFault) -> [BatchLanding] {
        try await withPrepared(deadline: deadline) { connection in
            let statement = try BatchStatement(batches, recording: self.recording)
            do {
                return try await self.landings(statement, connection, deadline: deadline)
            } catch let error as PostgresError where FaultClassifier.isMissingPartition(error) {
                try await self.createPartitions(for: batches, connection, deadline: deadline)
                return try await self.landings(statement, connection, deadline: deadline)
            }
        }
    }

    public func void(_ batch: Batch, deadline: MonotonicInstant) async throws(SinkFault) -> BatchLanding {
        try await withPrepared(deadline: deadline) { connection in
            let claim = BatchStatement(voiding: batch)
            if try await self.landings(claim, connection, deadline: deadline) != [.collision] { return .voided }
            // The name is taken, so this writes nothing: it only asks by whom.
            let question = try BatchStatement([batch], recording: self.recording)
            return try await self.landings(question, connection, deadline: deadline).first ?? .collision
        }
    }

    public func missing(
        of batches: [BatchHeader], deadline: MonotonicInstant
    ) async throws(SinkFault) -> [BatchHeader]? {
        guard let machine = batches.first?.machine else { return [] }
        return try await withPrepared(deadline: deadline) { connection in
            // 1: the ledger does not know it. One that was pruned or has other contents would not land again.
            let result = try await connection.query(
                "SELECT origin, batch_number FROM ald.missing_batches($1, $2, $3, $4) WHERE status = 1",
                [
                    .int4(machine), .int8Array(batches.map(\.id.origin)), .int8Array(batches.map(\.id.number)),
                    .array(try PostgresArray(batches.map(\.digest))),
                ], deadline: deadline)
            let missing = Set(
                try result.map { row in BatchID(origin: try row.decode(0), number: try row.decode(1)) })
            return batches.filter { missing.contains($0.id) }
        }
    }

    /// Lends a connection to a database whose schema is in place, and classifies what goes wrong.
    private func withPrepared<Value: Sendable>(
        deadline: MonotonicInstant, _ body: @Sendable (PostgresConnection) async throws -> Value
    ) async throws(SinkFault) -> Value {
        // As long as there is no connection, nobody knows who speaks.
        var origin = FaultClassifier.Origin.unknown
        do {
            let acquireBy = min(deadline, time.now + Self.acquireTimeout)
            return try await pool.withConnection(holder: "writer", lane: .writer, deadline: acquireBy) { connection in
                do {
                    try await self.prepareIfNeeded(on: connection, deadline: deadline)
                    return try await body(connection)
                } catch {
                    origin = await connection.isBehindPooler ? .pooler : .server
                    throw error
                }
            }
        } catch let error as PostgresError {
            // Somebody has removed the schema or a part of it: the next attempt looks after it first.
            if FaultClassifier.isMissingSchema(error) { preparedOn.withLock { $0 = nil } }
            throw FaultClassifier.classify(error, from: origin)
        } catch let fault as SinkFault {
            throw fault
        } catch is CancellationError {
            throw SinkFault(.inDoubt, "cancelled while batches were under way")
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

    private func landings(
        _ statement: BatchStatement, _ connection: PostgresConnection, deadline: MonotonicInstant
    ) async throws -> [BatchLanding] {
        let result = try await connection.query(statement.text, statement.parameters, deadline: deadline)
        guard let row = result.first else { throw SinkFault(.ownBug, "the ledger said nothing of the batches") }
        return try (0..<statement.batches).map { column in
            switch try row.decode(column, as: Int32.self) {
            case 0: .known
            case 1: .landed
            case 2: .collision
            case 3: .forgotten
            case let status: throw SinkFault(.ownBug, "the ledger has status \(status), which nobody knows")
            }
        }
    }

    /// The days a batch's rows fall on may be long past (a backlog) or ahead (a clock that was set).
    private func createPartitions(
        for batches: [Batch], _ connection: PostgresConnection, deadline: MonotonicInstant
    ) async throws {
        let days = batches.flatMap { batch -> [Timestamp] in
            if case .history(let rows) = batch.records { rows.map(\.time.startOfDay) } else { [] }
        }
        for day in Set(days).sorted() {
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
