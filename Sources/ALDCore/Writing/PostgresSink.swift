public import Logging
import Synchronization

/// Lands batches in PostgreSQL: one transaction claims the ledger entries of a delivery's batches and inserts the rows.
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
    let recording: Recording
    let copiedRows: Int
    let failPoints: FailPoints
    let registration: MachineRegistration
    let time: any TimeSource
    let logger: Logger
    let prepared = Mutex(Prepared())

    /// How long a batch waits for a connection. Shorter than an attempt may take, so that a database that is away is
    /// known to be away within this time.
    private static let acquireTimeout: Duration = .seconds(2)

    public convenience init(
        pool: ConnectionPool, registration: MachineRegistration, recording: Recording = .synchronized,
        time: any TimeSource = SystemTime(), logger: Logger
    ) {
        self.init(
            pool: pool, registration: registration, recording: recording, copiedRows: Self.copiedRows, time: time,
            logger: logger)
    }

    /// - Parameter copiedRows: from so many rows on a delivery is copied.
    package init(
        pool: ConnectionPool, registration: MachineRegistration, recording: Recording = .synchronized,
        copiedRows: Int, failPoints: FailPoints = .none, time: any TimeSource, logger: Logger
    ) {
        self.copiedRows = copiedRows
        self.failPoints = failPoints
        self.pool = pool
        self.recording = recording
        self.registration = registration
        self.time = time
        self.logger = logger
    }

    public var recordableTimes: ClosedRange<Timestamp>? { HistoryPartitions.days }

    /// With every connection that comes or goes it is another: where one of two led to a server that is no more, the other
    /// is used from then on, and nobody connects.
    public var session: Int {
        let statistics = pool.statistics
        return statistics.connectsSucceeded + statistics.closes.total
    }

    public func deliver(
        _ batches: [Batch], deadline: MonotonicInstant
    ) async throws(SinkFault) -> [BatchLanding] {
        if let landings = try await deliver(batches, endsBlindSession: true, deadline: deadline) { return landings }
        guard let landings = try await deliver(batches, endsBlindSession: false, deadline: deadline) else {
            throw SinkFault(.ownBug, "a session that was to be kept was ended")
        }
        return landings
    }

    /// - Parameter endsBlindSession: a session that finds no place for a row after its partition was made is ended.
    /// - Returns: `nil` when it was; nothing has landed then, and another session sees more.
    private func deliver(
        _ batches: [Batch], endsBlindSession: Bool, deadline: MonotonicInstant
    ) async throws(SinkFault) -> [BatchLanding]? {
        try await withPrepared(deadline: deadline) { connection in
            guard batches.first?.records.readings != nil else {
                return try await self.land(batches, connection, deadline: deadline)
            }
            do {
                return try await self.deliverReadings(batches, connection, deadline: deadline)
            } catch let error as PostgresError where endsBlindSession && FaultClassifier.isMissingPartition(error) {
                // Story: it was reading which partitions there are when it was told of a new one, and has kept what it had
                // begun to read. It may know of the new one only when the next one comes, tomorrow.
                self.logger.notice("a session does not see a partition that is there, and is ended")
                await connection.close()
                return nil
            }
        }
    }

    /// Those with strangers in them wait; the others need not.
    private func deliverReadings(
        _ batches: [Batch], _ connection: PostgresConnection, deadline: MonotonicInstant
    ) async throws -> [BatchLanding] {
        try await preparePartitions(on: connection, deadline: deadline)
        let strangers = try await strangers(in: batches, connection, deadline: deadline)
        var landings = zip(batches, strangers).map { batch, strangers in
            let isWhole = batch.records.readings?.allSatisfy { strangers.contains($0.parameter.rawValue) } ?? false
            return BatchLanding.unregistered(strangers, isWhole: isWhole)
        }
        let places = batches.indices.filter { strangers[$0].isEmpty }
        guard !places.isEmpty else { return landings }
        let ready = places.map { batches[$0] }
        let landed: [BatchLanding]
        do {
            landed = try await land(ready, connection, deadline: deadline)
        } catch let error as PostgresError where FaultClassifier.isMissingPartition(error) {
            try await createPartitions(for: ready, connection, deadline: deadline)
            landed = try await land(ready, connection, deadline: deadline)
        }
        for (place, landing) in zip(places, landed) { landings[place] = landing }
        return landings
    }

    public func void(
        _ batch: Batch, as cut: BatchCut, deadline: MonotonicInstant
    ) async throws(SinkFault) -> BatchClosing {
        try await withPrepared(deadline: deadline) { connection in
            let statement = BatchStatement(voiding: batch, as: cut)
            let result = try await connection.query(statement.text, statement.parameters, deadline: deadline)
            guard let row = result.first else { throw SinkFault(.ownBug, "the ledger said nothing of the batch") }
            switch try row.decode(0, as: Int32.self) {
            case 0, 3: return .landed
            case 1: return .closed(try Self.decided(row))
            case 2: return .collision
            case let status: throw SinkFault(.ownBug, "the ledger has status \(status), which nobody knows")
            }
        }
    }

    private static func decided(_ row: PostgresRow) throws -> BatchCut {
        let text: String = try row.decode(3)
        guard let way = BatchCut.Way(text: text) else {
            throw SinkFault(
                .ownBug, "a batch was cut in a way that this version does not know: \(text); update the program",
                cause: "a batch was cut in a way that this version does not know")
        }
        let letter = try row.decode(4, as: [UInt8]?.self).map { bytes in
            try BatchCoding.decode(bytes, format: BatchCoding.Format.deadLetters.rawValue, count: 1)
        }
        var cut = BatchCut(way: way, first: BatchID(origin: try row.decode(1), number: try row.decode(2)))
        if case .deadLetters(let letters) = letter { cut.letter = letters.first }
        return cut
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
                    self.prepared.withLock { $0.begin(session: self.session) }
                    try await self.prepareSchemaIfNeeded(on: connection, deadline: deadline)
                    return try await body(connection)
                } catch {
                    origin = await connection.isBehindPooler ? .pooler : .server
                    throw error
                }
            }
        } catch let error as PostgresError {
            // Somebody has removed the schema or a part of it: the next attempt looks after it first.
            if FaultClassifier.isMissingSchema(error) { prepared.withLock { $0 = Prepared() } }
            throw FaultClassifier.classify(error, from: origin)
        } catch let fault as SinkFault {
            throw fault
        } catch let error as Migrator.SchemaTooOld {
            throw SinkFault(.unsent, "\(error)", cause: "the schema is brought up to date first")
        } catch is CancellationError {
            throw SinkFault(.inDoubt, "cancelled while batches were under way")
        } catch {
            throw SinkFault(.misconfigured, "\(error)")
        }
    }

    func landings(
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
}
