import ALDCore
import ArgumentParser

struct DatabaseMigrateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate",
        abstract: "Bring the database's schema up to date.",
        discussion: """
            Everything that is missing is done in one transaction, or nothing: Ctrl-C
            ends it at any time and changes nothing. There is no time limit. With
            data in it a step may look at every reading: about ten seconds for a week
            of a machine with 51 parameters on a PC, several times that on a slow disk.

            A recorder beside it goes on into its spool; nothing is lost, and the rows
            land when the migration has ended. When somebody else holds a lock for
            more than 2 seconds, nothing is changed and the command can be repeated.
            `ald run` does the same by itself, beside recording, when it may.

            Also gives the roles ald_collector, ald_recipes, ald_commands,
            ald_operator, ald_reader, ald_auditor and ald_maintainer their rights and
            creates those that are missing, if this user may create roles.

            EXAMPLES
              ald database migrate --dry-run
              ALD_DATABASE_URL=postgres://owner@db/plant ald database migrate
            """)

    @OptionGroup var options: DatabaseOptions

    @Flag(help: "Only say what would be done.")
    var dryRun = false

    func run() async throws {
        try await reportingFailures {
            let settings = try options.settings()
            let dryRun = dryRun
            let text = try await interruptibly {
                try await DatabaseAccess(settings: settings).withConnection(within: DatabaseAccess.noLimit) {
                    try await dryRun
                        ? Self.plan(try await Migrator().pending($0, deadline: $1)) : Self.migrate($0, deadline: $1)
                }
            }
            StandardStream.output.write(text)
        }
    }

    private static func plan(_ pending: [Migration]) -> String {
        guard !pending.isEmpty else { return "The schema is up to date.\n" }
        return "Would apply:\n" + lines(pending)
    }

    private static func migrate(
        _ connection: PostgresConnection, deadline: MonotonicInstant
    ) async throws -> String {
        let migrator = Migrator()
        let pending = try await migrator.pending(connection, deadline: deadline)
        let outcome: Migrator.Outcome
        do {
            outcome = try await withTicker { ticker in
                try await migrator.migrate(connection, deadline: deadline) {
                    ticker.begin("migrating to version \($0.version), \($0.name)")
                }
            }
        } catch let error as PostgresError where error.sqlState?.rawValue == "55P03" {
            throw Failure(
                .temporary,
                "somebody holds a lock that the migration needs for longer than 2 seconds; nothing was changed, try again"
                    + " when fewer long statements run (\(error.message))")
        }
        // A migration gives all rights itself; to do it once more beside those who begin to work would collide with them.
        let missing =
            outcome.applied.isEmpty
            ? try await migrator.applyGrants(connection, deadline: deadline) : outcome.missingRoles
        let applied = pending.filter { outcome.applied.contains($0.version) }
        let done =
            applied.isEmpty
            ? "The schema was up to date (version \(outcome.version)).\n"
            : "Applied:\n" + lines(applied) + "The schema is up to date (version \(outcome.version)).\n"
        guard !missing.isEmpty else { return done }
        return done + """
            This user may not create roles, and these are missing: \(missing.joined(separator: ", ")).
            Until somebody creates them and this command is repeated, only the schema's owner may use it.

            """
    }

    private static func lines(_ migrations: [Migration]) -> String {
        migrations.map { "  \(padded($0.version))  \($0.name)\n" }.joined()
    }

    private static func padded(_ version: Int32) -> String {
        let text = "\(version)"
        return String(repeating: " ", count: max(0, 3 - text.count)) + text
    }
}
