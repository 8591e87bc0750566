import ALDCore
import ArgumentParser
import Foundation

struct SpoolCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "spool", abstract: "Look at what waits on this machine's disk for the database.",
        subcommands: [SpoolStatusCommand.self])
}

struct SpoolStatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show how much waits, since when, and how long the disk lasts.",
        discussion: """
            Reads the file that the recorder writes every second, so it disturbs
            nobody and works without a database. Says so when that recorder has died
            or writes no more.

            EXAMPLES
              ald spool status
              ald spool status --data-directory /var/lib/ald/oven --json
              ald spool status .ald/recipe-spool  what Terminal 2 has recorded of recipes
              ald spool status /var/lib/oven      a spool of your own program

            EXIT STATUS
              0   all well, or closed properly
              1   somebody should look: the recorder died, hangs, the disk fills,
                  or batches were lost
              69  there is no spool
            """)

    @OptionGroup var options: DatabaseOptions

    @Argument(help: "The spool's own directory; otherwise Terminal 1's in the data directory.")
    var directory: String?

    @Flag(help: "Write one JSON object.")
    var json = false

    func run() async throws {
        try await reportingFailures {
            let path = URL(fileURLWithPath: try directory ?? options.settings().dataDirectory + "/spool").path
            guard FileManager.default.fileExists(atPath: path + "/status.json") else {
                throw Failure(
                    .unavailable,
                    "\(path): no recorder has kept a spool here, or this user may not look into it; name the "
                        + "spool's directory, or the data directory of the recorder with --data-directory")
            }
            let status = try SpoolStatus.read(directory: path)
            let report = SpoolReport(
                directory: path, status: status, isOwnerAlive: Self.isAlive(status.processIdentifier),
                now: SystemTime().wallClock)
            StandardStream.output.write(try json ? report.json() : report.text())
            if !report.concerns.isEmpty { throw ExitCode(1) }
        }
    }

    /// Whether a process has this number. One that belongs to somebody else does as well.
    static func isAlive(_ process: Int32) -> Bool { kill(process, 0) == 0 || errno == EPERM }
}
