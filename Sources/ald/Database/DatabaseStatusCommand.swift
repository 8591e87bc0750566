import ALDCore
import ArgumentParser

struct DatabaseStatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show the schema's version, machines, partitions, size, roles and upkeep.",
        discussion: """
            Changes nothing. For each machine: whether the rollups are up to date (they
            lag a minute when all is well), how many batches the ledger knows, and how
            many dead letters wait for somebody.

            A transaction that is left open keeps its locks, and one that touches a
            process holds up recording. Recorders limit their own; PostgreSQL does not
            let a login inherit such a limit from its roles, so every login of people
            needs its own, and those without are marked.

            EXAMPLES
              ald database status
              ald database status --json

            EXIT STATUS
              0   the schema is up to date     75  migrations are pending
              78  it is newer than this program, or not ours
            """)

    @OptionGroup var options: DatabaseOptions

    @Flag(help: "Write one JSON object.")
    var json = false

    func run() async throws {
        try await reportingFailures {
            let settings = try options.settings()
            let status = try await DatabaseAccess(settings: settings).withConnection { connection, deadline in
                try await SchemaStatus(connection, deadline: deadline)
            }
            let now = SystemTime().wallClock
            StandardStream.output.write(
                try json ? SchemaReport.json(status, now: now) : SchemaReport.text(status, now: now))
            if !status.pending.isEmpty { throw ExitCode(Failure.Status.temporary.rawValue) }
        }
    }
}
