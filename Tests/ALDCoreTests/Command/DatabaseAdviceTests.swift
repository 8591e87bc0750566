import ALDTestKit
import Testing

@testable import ALDCore

extension LetterServerTests {
    /// What people read when the database is not migrated or their login may not do what they ask for.
    @Suite("Advice") struct DatabaseAdviceTests {
        private static let looking = [
            ["dead-letters", "list"], ["dead-letters", "show", "3/2a/1/0"], ["dead-letters", "export"],
            ["verify", "--database-only"], ["database", "verify-audit"], ["database", "maintain"],
        ]
        private static let ann = ["--operator", "ann", "--reason", "r"]
        private static let changing = [
            ["dead-letters", "requeue", "3/2a/1/0"] + ann, ["dead-letters", "discard", "3/2a/1/0"] + ann,
            ["dead-letters", "edit", "3/2a/1/0", "--value", "1"] + ann,
        ]

        private static func ald(_ arguments: [String], _ url: String) async throws -> ChildResult {
            try await ChildProcess.run(
                try Executables.ald(), arguments, environment: ["ALD_DATABASE_URL": url], endsWithin: .seconds(60))
        }

        @Test("a database without our schema: every command says so and how to get it")
        func notMigrated() async throws {
            try await SchemaDatabase.with(version: 0) { _, database in
                for arguments in Self.looking + Self.changing {
                    let result = try await Self.ald(arguments, "\(database)")
                    #expect(result.exitCode == 78, "\(arguments): \(result.transcript)")
                    #expect(
                        result.transcript.contains("`ald database migrate`"), "\(arguments): \(result.transcript)")
                }
            }
        }

        @Test("a login without a role: every command says which role it needs, and from whom")
        func withoutRole() async throws {
            try await LetterFixture.with([LetterFixture.letter(1, LetterFixture.reading(5))]) {
                _, connection, database in
                let user = "nobody_" + String(UInt32.random(in: 0...UInt32.max), radix: 36)
                try await connection.accept("CREATE ROLE \(user) LOGIN")
                let words = "\(database)".split(separator: " ").filter { !$0.hasPrefix("user=") }
                let url = words.joined(separator: " ") + " user=\(user)"
                try await withCleanup {
                    for arguments in Self.looking + Self.changing {
                        let result = try await Self.ald(arguments, url)
                        #expect(result.exitCode == 78, "\(arguments): \(result.transcript)")
                        #expect(
                            result.transcript.contains("GRANT ald_reader (to look), ald_operator"),
                            "\(arguments): \(result.transcript)")
                    }
                    try await connection.accept("GRANT ald_operator TO \(user)")
                    let stranger = try await Self.ald(["verify", "--database-only"], url)
                    #expect(
                        stranger.exitCode == 78
                            && stranger.transcript.contains("INSERT INTO ald.machine_members (member, machine_id)"),
                        "\(stranger.transcript)")
                } cleanup: {
                    try await connection.execute(script: "DROP ROLE \(user)", deadline: .patience)
                }
            }
        }
    }
}
