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
