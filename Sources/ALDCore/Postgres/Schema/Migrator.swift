/// Brings a database's schema to what this version expects.
///
/// All missing migrations run in one transaction under an advisory lock: several terminals may start at once, one does
/// the work, and one that fails, is cancelled or dies half-way leaves nothing behind.
public struct Migrator: Sendable {
    public struct Outcome: Hashable, Sendable {
        /// Versions applied by this call, in order; empty when the schema was current.
        public var applied: [Int32]
        /// The schema's version now.
        public var version: Int32
        /// Roles this user was not allowed to create; without them everything belongs to the schema's owner alone.
        public var missingRoles: [String] = []
    }

    /// The database's schema is newer than this program.
    public struct SchemaTooNew: Error, Sendable, CustomStringConvertible {
        public var found: Int32
        public var known: Int32

        public var description: String {
            "the database's schema has version \(found), this program knows versions up to \(known); "
                + "update the program, or use another database"
        }
    }

    /// The database has a schema of an earlier version, with data: bringing it up to date may take minutes, and whoever
    /// asked has not got them.
    public struct SchemaTooOld: Error, Sendable, CustomStringConvertible {
        public var found: Int32
        public var needed: Int32

        public var description: String {
            "the database's schema has version \(found) and is brought to version \(needed) first, which may take "
                + "minutes; a running recorder does that by itself, `ald database migrate` does it as well"
        }
    }

    /// What was done to the database's schema is not what this program would have done.
    public struct HistoryMismatch: Error, Sendable, CustomStringConvertible {
        public var description: String
    }

    /// How long a migration waits for a lock. What runs beside it waits behind it for no longer than this, too; a
    /// migration that cannot have its locks fails with SQLSTATE 55P03, changes nothing and can be tried again.
    static let lockTimeout = "2s"

    /// For whoever sets no limit: longer than any migration takes.
    public static let ampleTime: Duration = .seconds(7 * 86_400)

    private let migrations: [Migration]

    public init() {
        migrations = Migration.all
    }

    init(migrations: [Migration]) {
        self.migrations = migrations
    }

    /// On a database with data some migrations look at every row: about ten seconds for a week of fifty readings a
    /// second, several times that on a slow disk. Whoever records meanwhile waits, so give it its time and not the
    /// deadline of a delivery. Limits that the server has for statements do not count here.
    ///
    /// - Parameters:
    ///   - deadline: for everything together; nothing is changed when it passes. Cancelling the task does the same.
    ///   - progress: is told of each migration before it begins.
    /// - Throws: ``SchemaTooNew``, ``HistoryMismatch``, or the `PostgresError` of the statement that failed.
    public func migrate(
        _ connection: PostgresConnection, deadline: MonotonicInstant,
        progress: @Sendable (Migration) -> Void = { _ in }
    ) async throws -> Outcome {
        // A user who may not create anything can still record into a schema that is current.
        let before = try await history(connection, deadline: deadline)
        if try before.pending(of: migrations).isEmpty { return Outcome(applied: [], version: before.version) }
        return try await connection.inTransaction(deadline: deadline) {
            // Waiting for another migrator is bounded by the deadline alone; the time limit on locks comes after it.
            _ = try await connection.execute(
                script: """
                    SET LOCAL statement_timeout = 0;
                    SET LOCAL lock_timeout = 0;
                    SET LOCAL idle_in_transaction_session_timeout = 0;
                    SELECT pg_advisory_xact_lock(hashtext('ald.schema'));
                    SET LOCAL lock_timeout = '\(Self.lockTimeout)';
                    CREATE SCHEMA IF NOT EXISTS ald;
                    CREATE TABLE IF NOT EXISTS ald.schema_migrations (
                        version int PRIMARY KEY,
                        name text NOT NULL,
                        applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
                    );
                    ALTER TABLE ald.schema_migrations
                        ADD COLUMN IF NOT EXISTS checksum bytea CHECK (octet_length(checksum) = 32);
                    """, deadline: deadline)
            return try await applyMissing(connection, deadline: deadline, progress: progress)
        }
    }

    /// Gives the schema's roles their rights, and creates those that are missing if this user may. Safe to repeat, and
    /// worth repeating when somebody has created roles since.
    ///
    /// - Returns: The roles that are still missing.
    public func applyGrants(_ connection: PostgresConnection, deadline: MonotonicInstant) async throws -> [String] {
        let exists = try await connection.query(
            "SELECT to_regproc('ald.apply_grants') IS NOT NULL", deadline: deadline)
        guard try exists.first?.decode(0, as: Bool.self) == true else { return [] }
        let missing = try await connection.query("SELECT ald.apply_grants()", deadline: deadline)
        return try missing.first?.decode(0, as: [String].self) ?? []
    }

    /// The version the database's schema has; 0 when there is none.
    ///
    /// - Throws: ``SchemaTooNew`` or ``HistoryMismatch``.
    public func version(_ connection: PostgresConnection, deadline: MonotonicInstant) async throws -> Int32 {
        let history = try await history(connection, deadline: deadline)
        _ = try history.pending(of: migrations)
        return history.version
    }

    /// The migrations that ``migrate(_:deadline:)`` would apply now, in order.
    ///
    /// - Throws: ``SchemaTooNew`` or ``HistoryMismatch``.
    public func pending(_ connection: PostgresConnection, deadline: MonotonicInstant) async throws -> [Migration] {
        try await history(connection, deadline: deadline).pending(of: migrations)
    }

    /// What a program finds.
    enum Standing {
        case missing
        case tooOld(SchemaTooOld)
        case current
    }

    /// - Throws: ``SchemaTooNew`` or ``HistoryMismatch``.
    func standing(_ connection: PostgresConnection, deadline: MonotonicInstant) async throws -> Standing {
        let history = try await history(connection, deadline: deadline)
        if try history.pending(of: migrations).isEmpty { return .current }
        if history.version == 0 { return .missing }
        return .tooOld(SchemaTooOld(found: history.version, needed: migrations.last?.version ?? 0))
    }

    func history(_ connection: PostgresConnection, deadline: MonotonicInstant) async throws -> MigrationHistory {
        let exists = try await connection.query(
            "SELECT to_regclass('ald.schema_migrations') IS NOT NULL", deadline: deadline)
        guard try exists.first?.decode(0, as: Bool.self) == true else { return MigrationHistory(applied: []) }
        // By way of JSON, because early versions have no column for the checksum.
        let rows = try await connection.query(
            """
            SELECT version, name, decode(substr(to_jsonb(m) ->> 'checksum', 3), 'hex') FROM ald.schema_migrations m
            ORDER BY version
            """, deadline: deadline)
        return MigrationHistory(
            applied: try rows.map { row in
                MigrationHistory.Entry(
                    version: try row.decode(0, as: Int32.self), name: try row.decode(1, as: String.self),
                    checksum: try row.decode(2, as: [UInt8]?.self))
            })
    }

    private func applyMissing(
        _ connection: PostgresConnection, deadline: MonotonicInstant, progress: @Sendable (Migration) -> Void
    ) async throws -> Outcome {
        // Looked at again, now that nobody else can migrate.
        let before = try await history(connection, deadline: deadline)
        let pending = try before.pending(of: migrations)
        // Who was waited for has done it all. To give the rights again would collide with who makes the first partitions by
        // now: a GRANT waits for nobody.
        if pending.isEmpty { return Outcome(applied: [], version: before.version) }
        var applied: [Int32] = []
        for migration in pending {
            progress(migration)
            _ = try await connection.execute(script: migration.changes, deadline: deadline)
            _ = try await connection.query(
                "INSERT INTO ald.schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
                [.int4(migration.version), .text(migration.name), .bytea(migration.checksum)], deadline: deadline)
            applied.append(migration.version)
        }
        try await sealOldEntries(before, connection, deadline: deadline)
        // Roles belong to the whole server: another database's migration may be about to create the same ones.
        _ = try await connection.execute(script: "SET LOCAL lock_timeout = 0", deadline: deadline)
        let missing = try await applyGrants(connection, deadline: deadline)
        return Outcome(applied: applied, version: migrations.last?.version ?? 0, missingRoles: missing)
    }

    /// Entries from before checksums were kept get the checksum of what this program has under their number.
    private func sealOldEntries(
        _ before: MigrationHistory, _ connection: PostgresConnection, deadline: MonotonicInstant
    ) async throws {
        for entry in before.applied where entry.checksum == nil {
            guard let migration = migrations.first(where: { $0.version == entry.version }) else { continue }
            _ = try await connection.query(
                "UPDATE ald.schema_migrations SET checksum = $2 WHERE version = $1",
                [.int4(entry.version), .bytea(migration.checksum)], deadline: deadline)
        }
    }
}
