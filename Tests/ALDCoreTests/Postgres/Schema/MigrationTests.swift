import ALDTestKit
import Testing

@testable import ALDCore

extension SchemaServerTests {
    @Suite struct Migrations {
        /// What a collector of version 1 and 2 leaves behind.
        static let old = """
            INSERT INTO ald.machines (machine_id, name) VALUES (7, 'Old');
            INSERT INTO ald.component_parameters (machine_id, parameter_id, component, name, data_type, min_value,
                max_value, read_location, write_location) VALUES
                (7, 1, 'Heater', 'temperature', 'float', 0, 100, 'i 0', 'h 0'),
                (7, 2, 'Heater', 'pid_output', 'int32', 0, 100, 'i 2', NULL);
            """
        static let history = """
            SELECT ald.ensure_history_partitions('2026-01-01', 2);
            SELECT ald.apply_history_batch(7, 1, 1, 2, sha256('a'), '{1,2}', '{2026-01-01 10:00Z,2026-01-02 10:00Z}',
                '{1.5,NULL}', '{192,0}');
            SELECT ald.apply_gap_batch(7, 1, 2, 1, sha256('b'), '{2026-01-01 11:00Z}', '{2026-01-01 11:00Z}', '{1}',
                '{plc}', '{"no answer"}');
            """

        @Test(arguments: Migration.all.dropLast().map(\.version))
        func everyOlderVersionWithDataInItBecomesTheNewest(version: Int32) async throws {
            try await SchemaDatabase.with(version: version) { connection, _ in
                if version >= 3 {
                    try await connection.accept(
                        Self.old.replacing("INSERT INTO ald.component", with: Self.component, maxReplacements: 1))
                } else {
                    try await connection.accept(Self.old)
                }
                if version >= 2 { try await connection.accept(Self.history) }
                // As it was before checksums were kept.
                if version == 2 {
                    try await connection.accept("ALTER TABLE ald.schema_migrations DROP COLUMN checksum")
                }
                let outcome = try await Migrator().migrate(connection, deadline: .patience)
                #expect(outcome.applied == Migration.all.map(\.version).filter { $0 > version })
                #expect(outcome.missingRoles.isEmpty)
                #expect(try await Migrator().migrate(connection, deadline: .patience).applied.isEmpty)
                let kept = try await connection.rows(
                    """
                    SELECT (SELECT count(*) FROM ald.component_parameters p WHERE is_writable = (parameter_id = 1)
                            AND machine_id = 7) AS parameters,
                        (SELECT string_agg(name, ',') FROM ald.machine_components WHERE machine_id = 7) AS components,
                        (SELECT status FROM ald.machine_state WHERE machine_id = 7) AS state,
                        (SELECT count(*) FROM ald.schema_migrations WHERE checksum IS NULL) AS unsealed
                    """)
                #expect(kept == ["2|Heater|idle|0"])
            }
        }

        private static let component =
            "INSERT INTO ald.machine_components (machine_id, name) VALUES (7, 'Heater'); INSERT INTO ald.component"

        @Test func historyOfAnOlderVersionIsStillThere() async throws {
            try await SchemaDatabase.with(version: 2) { connection, _ in
                try await connection.accept(Self.old + Self.history)
                _ = try await Self.newest(of: connection)
                #expect(
                    try await connection.rows(
                        "SELECT parameter_id, value, quality FROM ald.parameter_value_history ORDER BY 1") == [
                            "1|1.5|192", "2|0",
                        ])
                #expect(try await connection.rows("SELECT count(*) FROM ald.collection_gaps") == ["1"])
                #expect(try await connection.rows("SELECT count(*) FROM ald.ingest_batches") == ["2"])
            }
        }

        private static func newest(of connection: PostgresConnection) async throws -> Migrator.Outcome {
            try await SchemaDatabase.migrator(to: 5).migrate(connection, deadline: .patience)
        }

        @Test func anEditedAnUnknownAndALostMigrationAreRefused() async throws {
            try await SchemaDatabase.with(version: 3) { connection, _ in
                for script in [
                    "UPDATE ald.schema_migrations SET checksum = sha256('edited') WHERE version = 2",
                    "UPDATE ald.schema_migrations SET version = 0 WHERE version = 3",
                    "DELETE FROM ald.schema_migrations WHERE version = 2",
                ] {
                    try await connection.accept("BEGIN; \(script)")
                    await #expect(throws: Migrator.HistoryMismatch.self) {
                        try await Migrator().migrate(connection, deadline: .patience)
                    }
                    try await connection.accept("ROLLBACK")
                }
                #expect(try await Migrator().version(connection, deadline: .patience) == 3)
            }
        }

        @Test func aMigratorThatDiesHalfWayLeavesNothingAndTheNextOneDoesItAll() async throws {
            try await SchemaDatabase.with(version: 2) { connection, database in
                let dying = Migrator(
                    migrations: Migration.all + [
                        Migration(version: 99, name: "dies", script: "SELECT pg_terminate_backend(pg_backend_pid())")
                    ])
                let error = try await failure {
                    try await TestDatabase.withConnection(database) { _ = try await dying.migrate($0, deadline: $1) }
                }
                #expect(error.code == .connectionLost)
                #expect(try await Migrator().version(connection, deadline: .patience) == 2)
                let outcome = try await Migrator().migrate(connection, deadline: .patience)
                #expect(outcome.applied == Migration.all.map(\.version).filter { $0 > 2 })
            }
        }

        @Test func aMigrationThatCannotHaveItsLocksGivesUpAndChangesNothing() async throws {
            try await SchemaDatabase.with(version: 2) { connection, database in
                try await connection.accept("BEGIN; SELECT count(*) FROM ald.component_parameters")
                let error = try await failure {
                    try await TestDatabase.withConnection(database) {
                        _ = try await Migrator().migrate($0, deadline: $1)
                    }
                }
                #expect(error.sqlState?.rawValue == "55P03")
                try await connection.accept("COMMIT")
                #expect(try await Migrator().version(connection, deadline: .patience) == 2)
                #expect(try await Self.newest(of: connection).applied == [3, 4, 5])
            }
        }

        @Test func whoMayOnlyReadAnUpToDateSchemaNeedsNoRightToMigrate() async throws {
            try await SchemaDatabase.with { connection, _ in
                try await connection.accept("SET ROLE ald_reader")
                #expect(try await Migrator().migrate(connection, deadline: .patience).applied.isEmpty)
            }
        }

        @Test func anOwnerWhoMayNotCreateRolesMigratesAllTheSameAndSaysWhichAreMissing() async throws {
            try await SchemaDatabase.with(version: 0) { connection, _ in
                let tag = String((0..<12).compactMap { _ in "abcdefghijklm".randomElement() })
                let (owner, role) = ("owner_\(tag)", "ald_\(tag)")
                try await connection.accept("CREATE ROLE \(owner)")
                try await withCleanup {
                    try await connection.accept(
                        """
                        DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO \(owner)', current_database()); END $$;
                        SET ROLE \(owner)
                        """)
                    _ = try await SchemaDatabase.migrator(to: 5).migrate(connection, deadline: .patience)
                    try await connection.accept(
                        "INSERT INTO ald.role_grants VALUES ('\(role)', 'SELECT', 'TABLE ald.role_grants')")
                    let missing = try await Migrator().applyGrants(connection, deadline: .patience)
                    #expect(missing.contains(role))
                    try await connection.accept("RESET ROLE; CREATE ROLE \(role); SET ROLE \(owner)")
                    let later = try await Migrator().applyGrants(connection, deadline: .patience)
                    #expect(!later.contains(role))
                    let mayRead = try await connection.rows(
                        "SELECT has_table_privilege('\(role)', 'ald.role_grants', 'SELECT')")
                    #expect(mayRead == ["true"])
                } cleanup: {
                    try await connection.accept(
                        """
                        RESET ROLE; DROP OWNED BY \(owner) CASCADE; DROP ROLE \(owner);
                        DO $$ BEGIN
                            IF to_regrole('\(role)') IS NOT NULL THEN DROP OWNED BY \(role); DROP ROLE \(role); END IF;
                        END $$
                        """)
                }
            }
        }

        @Test func versionsCountFromOneWithoutHoles() {
            #expect(Migration.all.map(\.version) == (1...Int32(Migration.all.count)).map { $0 })
            #expect(Set(Migration.all.map(\.checksum)).count == Migration.all.count)
        }
    }
}
