import ALDTestKit
import Foundation
import Testing

@testable import ALDCore

/// `ald database migrate`, `status` and `seed`, as people and scripts run them.
@Suite("ald database", .timeLimit(.minutes(3))) struct DatabaseCommandTests {
    private static func withDatabase(
        _ body:
            @Sendable (_ ald: @Sendable ([String]) async throws -> ChildResult, PostgresConfiguration) async throws ->
            Void
    ) async throws {
        try await TestDatabase.withPrivateServer { server, lease in
            let url = try #require(await server.connectionString)
            try await body(
                { arguments in
                    try await ChildProcess.run(
                        try Executables.ald(), ["database"] + arguments, environment: ["ALD_DATABASE_URL": url])
                }, lease.configuration)
        }
    }

    @Test("the schema is planned, migrated once and shown; the exit status says whether it is up to date")
    func migration() async throws {
        try await Self.withDatabase { ald, _ in
            let newest = Migration.all.count
            let before = try await ald(["status"])
            #expect(before.exitCode == 75)
            #expect(
                before.output.contains("schema      none, \(newest) pending; run `ald database migrate`"))
            let plan = try await ald(["migrate", "--dry-run"])
            #expect(plan.exitCode == 0 && plan.output.count == newest + 1 && plan.output[0] == "Would apply:")
            #expect(try await ald(["status"]).exitCode == 75, "a plan changes nothing")
            let done = try await ald(["migrate"])
            #expect(done.exitCode == 0 && done.output[0] == "Applied:" && done.output.count == newest + 2)
            let again = try await ald(["migrate"])
            #expect(again.output == ["The schema was up to date (version \(newest))."])
            let after = try await ald(["status"])
            #expect(after.exitCode == 0 && after.errors.isEmpty)
            #expect(after.output.contains("schema      version \(newest), up to date"))
            #expect(after.output.contains { $0.hasPrefix("roles       ald_auditor") && $0.hasSuffix("0 members") })
        }
    }

    /// A machine with a week of old readings, one a day, and a dead letter.
    private static let week = """
        INSERT INTO ald.machines (machine_id, name) VALUES (1, 'ALD-1');
        SELECT ald.ensure_history_partitions('2026-01-01', 7);
        SELECT ald.apply_history_batch(1, 9, n, 1, sha256('x'), '{1}',
            ARRAY['2025-12-31 12:00Z'::timestamptz + n * interval '1 day'], '{1}', '{192}') FROM generate_series(1, 7) n;
        UPDATE ald_history.ingest_batches SET applied_at = '2026-01-08Z';
        SELECT ald.forget_batches(1, 9, 5);
        INSERT INTO ald_history.dead_letters (machine_id, origin, batch_number, row_number, format, payload, recorded_at,
            refused_at, attempts, message) VALUES (1, 1, 1, 0, 1, '', now(), '2026-01-08Z', 1, 'm');
        """

    @Test("maintenance says what it would do, does it to the end, and the status shows how far it is")
    func maintenance() async throws {
        try await Self.withDatabase { ald, database in
            _ = try await ald(["migrate"])
            try await SchemaDatabase.run(Self.week, on: database)
            let before = try await ald(["status"])
            #expect(
                before.output.contains { $0.hasPrefix("rollups     1  ALD-1  7 buckets waiting  the oldest ended") })
            #expect(before.output.contains { $0.hasPrefix("ledger      1  ALD-1  7 batches") })
            #expect(before.output.contains { $0.hasPrefix("letters     1  ALD-1  1 OPEN  the oldest from") })
            let plan = try await ald(["maintain", "--dry-run"])
            #expect(plan.exitCode == 0 && plan.output.first == "Would:", "\(plan.transcript)")
            #expect(plan.output.contains("sum up      7 buckets of five minutes"))
            #expect(plan.output.contains("remove      5 batches from the ledger"))
            #expect(plan.output.count { $0.contains("parameter_value_history_2026010") } == 7)
            let partitions =
                "SELECT count(*) FROM pg_class WHERE relname ~ '^parameter_value_history_2026010' AND relkind = 'r'"
            #expect(try await TestDatabase.number(partitions, database) == 7, "a plan changes nothing")
            let done = try await ald(["maintain"])
            #expect(done.exitCode == 0, "\(done.transcript)")
            #expect(done.output.contains("summed up   7 buckets of five minutes"))
            #expect(done.output.contains("ledger      5 batches removed"))
            #expect(done.errors.contains("7 of 7 buckets summed up"))
            #expect(try await TestDatabase.number(partitions, database) == 0)
            let after = try await ald(["status", "--json"])
            let report = try #require(
                try JSONSerialization.jsonObject(with: Data(after.output.joined(separator: "\n").utf8))
                    as? [String: Any])
            let upkeep = try #require((report["upkeep"] as? [[String: Any]])?.first)
            #expect(upkeep["rollups_waiting"] as? Int == 0 && upkeep["rollups_lag_seconds"] as? Double == 0)
            #expect(upkeep["ledger_batches"] as? Int == 2 && upkeep["dead_letters_open"] as? Int == 1)
        }
    }

    @Test("a login without a limit for idle transactions is shown with what to do about it")
    func logins() async throws {
        try await Self.withDatabase { ald, database in
            _ = try await ald(["migrate"])
            try await SchemaDatabase.run(
                """
                CREATE ROLE "Ann" LOGIN IN ROLE ald_operator; CREATE ROLE bob LOGIN IN ROLE ald_reader;
                CREATE ROLE carl LOGIN IN ROLE bob; CREATE ROLE nobody LOGIN;
                ALTER ROLE ald_operator SET idle_in_transaction_session_timeout = '1min';
                ALTER ROLE bob SET idle_in_transaction_session_timeout = '5min';
                """, on: database)
            let status = try await ald(["status"])
            let remedy = "SET idle_in_transaction_session_timeout = '1min'"
            #expect(
                Array(status.output.suffix(3)) == [
                    // What a group is set to does not reach its members.
                    "logins      Ann   ald_operator  NO LIMIT: ALTER ROLE \"Ann\" \(remedy)",
                    "            bob   ald_reader    an idle transaction ends after 5min",
                    "            carl  ald_reader    NO LIMIT: ALTER ROLE carl \(remedy)",
                ], "\(status.transcript)")
            try await SchemaDatabase.run(
                """
                DO $$ BEGIN
                    EXECUTE format('ALTER DATABASE %I SET idle_in_transaction_session_timeout = ''2min''',
                        current_database());
                END $$
                """, on: database)
            let all = try await ald(["status"])
            #expect(all.output.suffix(3).allSatisfy { $0.contains("an idle transaction ends after ") })
        }
    }

    @Test("an audit that was tampered with is found, named and told by the exit status")
    func audit() async throws {
        try await Self.withDatabase { ald, database in
            _ = try await ald(["migrate"])
            try await SchemaDatabase.run(SchemaDatabase.plant, on: database)
            let sound = try await ald(["verify-audit"])
            #expect(sound.exitCode == 0, "\(sound.transcript)")
            #expect(sound.output.allSatisfy { $0.hasSuffix("sound") } && sound.output.count >= 4)
            try await SchemaDatabase.run(
                "SET session_replication_role = replica; UPDATE ald.audit_log SET actor = 'x' WHERE seq = 2 "
                    + "AND machine_id = 1", on: database)
            let broken = try await ald(["verify-audit"])
            #expect(broken.exitCode == 1)
            #expect(
                broken.output.contains {
                    $0.hasPrefix("machine 1") && $0.contains("audit_log")
                        && $0.hasSuffix("BROKEN at entry 2: was altered")
                }, "\(broken.transcript)")
            let json = try await ald(["verify-audit", "--machine", "1", "--json"])
            let report = try #require(
                try JSONSerialization.jsonObject(with: Data(json.output.joined(separator: "\n").utf8)) as? [String: Any]
            )
            #expect(json.exitCode == 1 && report["is_sound"] as? Bool == false)
            #expect((report["chains"] as? [[String: Any]])?.first?["first_broken"] as? Int == 2)
            #expect(try await ald(["verify-audit", "--machine", "2"]).exitCode == 0)
            #expect(try await ald(["verify-audit", "--machine", "9"]).transcript.contains("there is no machine 9"))
        }
    }

    @Test("a machine is loaded from its register map, once, and what changes is said")
    func seed() async throws {
        try await Self.withDatabase { ald, database in
            try await withTemporaryDirectory { directory in
                let map = try String(contentsOfFile: "Fixtures/Machine/machine-51.csv", encoding: .utf8)
                let file = directory + "/map.csv"
                try map.write(toFile: file, atomically: true, encoding: .utf8)
                let seed = ["seed", file, "--machine", "7", "--name", "ALD-7"]
                let first = try await ald(seed)
                #expect(first.exitCode == 0, "\(first.transcript)")
                #expect(first.output == ["machine 7 \"ALD-7\":", "  new machine", "  51 of 51 parameters added"])
                let second = try await ald(seed)
                #expect(second.output == ["machine 7 \"ALD-7\":", "  nothing to change, 51 parameters"])
                try map.replacing("temperature,°C,0,1000,yes,2018", with: "temperature,°C,0,900,yes,2018")
                    .write(toFile: file, atomically: true, encoding: .utf8)
                let third = try await ald(seed)
                #expect(
                    third.output == [
                        "machine 7 \"ALD-7\":", "  changed  Chamber Heater.temperature  max_value  1000.0 → 900.0",
                    ])
                #expect(
                    try await TestDatabase.number(
                        "SELECT count(*) FROM ald.audit_log WHERE reason = 'register map map.csv' AND action = 'UPDATE'",
                        database) == 1)
                let other = try await ald(["seed", file, "--machine", "8", "--name", "ALD-7"])
                #expect(other.exitCode == 78 && other.transcript.contains("has number 7 in this database"))
                let status = try await ald(["status", "--json"])
                let report = try #require(
                    try JSONSerialization.jsonObject(with: Data(status.output.joined(separator: "\n").utf8))
                        as? [String: Any])
                #expect(report["is_up_to_date"] as? Bool == true)
                let machines = try #require(report["machines"] as? [[String: Any]])
                #expect(machines.count == 1 && machines[0]["parameters"] as? Int == 51)
            }
        }
    }
}
