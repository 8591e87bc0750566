import Logging
import Synchronization

/// What has to be in place before batches can land. None of it is tried more often than necessary, and what one kind of
/// batches needs does not stand in the way of the others.
extension PostgresSink {
    /// What is known to be in place.
    struct Prepared {
        var hasSchema = false
        /// The day whose partitions, and those of the days around it, are there.
        var partitionsOf: Timestamp?
        /// Of every machine that something was delivered for.
        var parameters: [Int32: RegisteredParameters] = [:]
        /// Whether this user may `COPY` into the history; `nil` until it was asked.
        var mayCopy: Bool?
        /// See ``BatchSink/session``.
        private var session: Int?

        /// Behind a new connection there may be another database, or one that was restored: what was seen in it counts no
        /// more. That the schema is gone shows by itself.
        mutating func begin(session now: Int) {
            if session != now { (partitionsOf, parameters, mayCopy, session) = (nil, [:], nil, now) }
        }
    }

    /// How long making the schema may take where there is none.
    private static let creationPatience = Duration.seconds(120)

    /// History partitions that exist ahead of the rows, in days; the current day and the one before included.
    private static let partitionDays: Int32 = 5

    /// Creates the schema where there is none, registers the machine and creates the next days' partitions. Safe to
    /// repeat.
    ///
    /// ``deliver(_:deadline:)`` does this by itself when nobody has; a caller that wants to know of problems before it
    /// accepts anything calls it first. A schema of an earlier version is not touched: with its data that takes longer
    /// than a delivery may, so ``SchemaUpgrade`` does it beside.
    ///
    /// - Throws: `PostgresError`, ``Migrator/SchemaTooOld``, ``Migrator/SchemaTooNew``, ``Migrator/HistoryMismatch`` or
    ///   ``MachineRegistration/Conflict``.
    public func prepare(on connection: PostgresConnection, deadline: MonotonicInstant) async throws {
        prepared.withLock { $0 = Prepared() }
        try await prepareSchemaIfNeeded(on: connection, deadline: deadline)
        try await preparePartitions(on: connection, deadline: deadline)
    }

    func prepareSchemaIfNeeded(on connection: PostgresConnection, deadline: MonotonicInstant) async throws {
        guard !prepared.withLock(\.hasSchema) else { return }
        switch try await Migrator().standing(connection, deadline: deadline) {
        case .current: break
        case .missing: try await createSchema(on: connection, deadline: deadline)
        case .tooOld(let error):
            // That this is another machine is told all the same.
            try await registration.refuseConflict(connection, deadline: deadline)
            throw error
        }
        let changes = try await registration.register(connection, updatesExisting: false, deadline: deadline)
        if let first = changes.differences.first {
            logger.warning(
                "parameters differ between database and register map and stay; `ald database seed` adopts the map",
                metadata: [
                    "differences": "\(changes.differences.count)",
                    "first": "\(first.parameter) \(first.property): \(first.old) here, \(first.new) in the map",
                ])
        }
        prepared.withLock { $0.hasSchema = true }
    }

    private func createSchema(on connection: PostgresConnection, deadline: MonotonicInstant) async throws {
        // It is one transaction, which takes longer on a small or busy machine than a delivery may: begun anew with each
        // attempt it would never be done.
        let deadline = max(deadline, time.now + Self.creationPatience)
        let outcome = try await Migrator().migrate(connection, deadline: deadline)
        if !outcome.applied.isEmpty {
            logger.info("schema migrated", metadata: ["version": "\(outcome.version)"])
        }
        if !outcome.missingRoles.isEmpty {
            logger.warning(
                "this user may not create the roles of the schema; create them and run `ald database migrate`",
                metadata: ["roles": "\(outcome.missingRoles.joined(separator: ", "))"])
        }
    }

    /// Creates the partitions of the days to come, once a day.
    func preparePartitions(on connection: PostgresConnection, deadline: MonotonicInstant) async throws {
        let today = time.wallClock.startOfDay
        // A clock that was never set must not hold up what was accepted when it was right.
        guard prepared.withLock({ $0.partitionsOf.map { $0 < today } ?? true }), HistoryPartitions.days.contains(today)
        else { return }
        let yesterday = max(today.advanced(by: .seconds(-86_400)), HistoryPartitions.days.lowerBound)
        try await HistoryPartitions.ensure(
            from: yesterday, days: Self.partitionDays, connection, deadline: deadline)
        prepared.withLock { $0.partitionsOf = today }
    }

    /// The days a batch's rows fall on may be long past (a backlog) or ahead (a clock that was set).
    func createPartitions(
        for batches: [Batch], _ connection: PostgresConnection, deadline: MonotonicInstant
    ) async throws {
        let days = batches.flatMap { batch -> [Timestamp] in
            (batch.records.readings ?? []).map(\.time.startOfDay)
        }
        for day in Set(days).sorted() {
            logger.notice("creating a missing history partition", metadata: ["day": "\(day)"])
            try await HistoryPartitions.ensure(from: day, connection, deadline: deadline)
        }
        // Perhaps none was missing any more.
        try await HistoryPartitions.awaitOthers(connection, deadline: deadline)
    }

    /// For each batch the parameters in it that nobody has registered.
    func strangers(
        in batches: [Batch], _ connection: PostgresConnection, deadline: MonotonicInstant
    ) async throws -> [Set<Int32>] {
        guard let machine = batches.first?.machine else { return [] }
        var known = prepared.withLock { $0.parameters[machine] } ?? RegisteredParameters([])
        if batches.allSatisfy({ known.strangers(in: $0.records).isEmpty }) { return batches.map { _ in [] } }
        known = try await RegisteredParameters(of: machine, connection, deadline: deadline)
        if machine == registration.machine, registration.entries.contains(where: { !known.contains($0.id) }) {
            // The database was restored to a time before this machine was there, or somebody has removed them.
            try await registration.register(connection, updatesExisting: false, deadline: deadline)
            known = try await RegisteredParameters(of: machine, connection, deadline: deadline)
        }
        prepared.withLock { [known] in $0.parameters[machine] = known }
        return batches.map { known.strangers(in: $0.records) }
    }
}
