import Testing

@testable import ALDCore

extension SchemaServerTests {
    /// What holds for everything in the schema, also for what later versions add.
    @Suite struct SchemaCatalog {
        private static let schemas = "('ald'::regnamespace, to_regnamespace('ald_history'))"

        /// Rules, each with a statement that finds what breaks it.
        private static let rules: [(String, String)] = [
            (
                "every table and function says what it is",
                """
                SELECT relname FROM pg_class WHERE relnamespace IN \(Self.schemas) AND relkind IN ('r', 'p', 'v')
                    AND NOT relispartition AND obj_description(oid) IS NULL
                UNION ALL SELECT proname FROM pg_proc WHERE pronamespace IN \(Self.schemas)
                    AND obj_description(oid, 'pg_proc') IS NULL
                    AND proname NOT IN ('claim_batch', 'apply_history_batch', 'apply_gap_batch',
                        'ensure_history_partitions')
                """
            ),
            (
                "every table has a key, and it begins with the machine",
                """
                SELECT c.relname FROM pg_class c
                JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'machine_id' AND NOT a.attisdropped
                JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'p'
                WHERE c.relnamespace IN \(Self.schemas) AND c.relkind IN ('r', 'p') AND k.conkey[1] <> a.attnum
                    AND c.relname <> 'audit_chain_heads'
                UNION ALL
                SELECT relname FROM pg_class c WHERE relnamespace = 'ald'::regnamespace AND relkind = 'r'
                    AND NOT relispartition AND relname NOT IN ('collection_gaps', 'machine_members')
                    AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'p')
                """
            ),
            (
                "every function has a fixed search path",
                """
                SELECT proname FROM pg_proc WHERE pronamespace IN \(Self.schemas)
                    AND NOT coalesce(proconfig && ARRAY['search_path=pg_catalog, pg_temp'], false)
                """
            ),
            (
                "every table and partition has row-level security, and PUBLIC has nothing",
                """
                SELECT relname FROM pg_class WHERE relnamespace IN \(Self.schemas) AND relkind IN ('r', 'p')
                    AND NOT relrowsecurity
                UNION ALL
                SELECT 'PUBLIC: ' || relname FROM pg_class, aclexplode(relacl) a
                WHERE relnamespace IN \(Self.schemas) AND a.grantee = 0
                UNION ALL
                SELECT 'PUBLIC: ' || proname FROM pg_proc,
                    aclexplode(coalesce(proacl, acldefault('f', proowner))) a
                WHERE pronamespace IN \(Self.schemas) AND a.grantee = 0
                UNION ALL
                SELECT 'PUBLIC: ' || nspname FROM pg_namespace, aclexplode(nspacl) a
                WHERE oid IN \(Self.schemas) AND a.grantee = 0
                """
            ),
            (
                "what belongs to a machine refers to it",
                """
                SELECT c.relname FROM pg_class c
                JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'machine_id' AND NOT a.attisdropped
                WHERE c.relnamespace = 'ald'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                    AND c.relname NOT IN ('machines', 'audit_log', 'audit_chain_heads', 'ingest_batches',
                        'collection_gaps', 'parameter_value_history')
                    AND c.relname !~ '^(parameter_[vr]|process_data_points|recording)'
                    AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f'
                        AND a.attnum = ANY (k.conkey))
                """
            ),
        ]

        @Test func everyRuleHolds() async throws {
            try await SchemaDatabase.with { connection, _ in
                try await connection.accept("SELECT ald.ensure_history_partitions('2026-01-01', 2)")
                for (rule, statement) in Self.rules { #expect(try await connection.rows(statement) == [], "\(rule)") }
            }
        }
    }
}
