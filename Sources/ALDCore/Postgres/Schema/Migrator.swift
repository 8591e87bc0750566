/// Brings a database's schema to what this version expects.
///
/// All missing migrations run in one transaction under an advisory lock: several terminals may start at once, and one
/// that fails half-way leaves nothing behind.
public struct Migrator: Sendable {
    public struct Outcome: Hashable, Sendable {
        /// Versions applied by this call, in order; empty when the schema was current.
        public var applied: [Int32]
        /// The schema's version now.
        public var version: Int32
    }

    /// The schema cannot be brought to what this version expects.
    public struct SchemaTooNew: Error, Sendable, CustomStringConvertible {
        public var found: Int32
        public var known: Int32

        public var description: String {
            "the database's schema has version \(found), this program knows versions up to \(known); "
                + "update the program, or use another database"
        }
    }

    private let migrations: [Migration]

    public init() {
        migrations = Migration.all
    }

    init(migrations: [Migration]) {
        self.migrations = migrations
    }

    /// - Throws: ``SchemaTooNew``, or the `PostgresError` of the statement that failed.
    public func migrate(_ connection: PostgresConnection, deadline: MonotonicInstant) async throws -> Outcome {
        let known = migrations.last?.version ?? 0
        // A user who may not create anything can still record into a schema that is current.
        if try await version(connection, deadline: deadline) == known { return Outcome(applied: [], version: known) }
        return try await connection.inTransaction(deadline: deadline) {
            _ = try await connection.execute(
                script: """
                    SELECT pg_advisory_xact_lock(hashtext('ald.schema'));
                    CREATE SCHEMA IF NOT EXISTS ald;
                    CREATE TABLE IF NOT EXISTS ald.schema_migrations (
                        version int PRIMARY KEY,
                        name text NOT NULL,
                        applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
                    );
                    """, deadline: deadline)
            return try await applyMissing(connection, deadline: deadline)
        }
    }

    /// The version the database's schema has; 0 when there is none.
    ///
    /// - Throws: ``SchemaTooNew`` when it is newer than this program.
    public func version(_ connection: PostgresConnection, deadline: MonotonicInstant) async throws -> Int32 {
        let exists = try await connection.query(
            "SELECT to_regclass('ald.schema_migrations') IS NOT NULL", deadline: deadline)
        guard try exists.first?.decode(0, as: Bool.self) == true else { return 0 }
        let found = try await connection.query(
            "SELECT coalesce(max(version), 0) FROM ald.schema_migrations", deadline: deadline)
        let current = try found.first?.decode(0, as: Int32.self) ?? 0
        let known = migrations.last?.version ?? 0
        guard current <= known else { throw SchemaTooNew(found: current, known: known) }
        return current
    }

    private func applyMissing(
        _ connection: PostgresConnection, deadline: MonotonicInstant
    ) async throws -> Outcome {
        // Looked at again, now that nobody else can migrate.
        let current = try await version(connection, deadline: deadline)
        var applied: [Int32] = []
        for migration in migrations where migration.version > current {
            _ = try await connection.execute(script: migration.script, deadline: deadline)
            _ = try await connection.query(
                "INSERT INTO ald.schema_migrations (version, name) VALUES ($1, $2)",
                [.int4(migration.version), .text(migration.name)], deadline: deadline)
            applied.append(migration.version)
        }
        return Outcome(applied: applied, version: migrations.last?.version ?? 0)
    }
}
