import ALDCore
import ArgumentParser

struct DatabaseStatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show the schema's version, machines, partitions, size and roles.",
        discussion: """
            Changes nothing.

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
            StandardStream.output.write(try json ? SchemaReport.json(status) : SchemaReport.text(status))
            if !status.pending.isEmpty { throw ExitCode(Failure.Status.temporary.rawValue) }
        }
    }
}
