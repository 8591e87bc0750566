import ALDCore
import ArgumentParser
import Foundation

struct RecipeStartCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "start",
        abstract: "Ask the recipe service to run a recipe.",
        discussion: """
            The service starts it when the machine is idle, its idle conditions hold and
            its controller answers; one that cannot be begun in time never is. Without
            --wait the command returns when the recipe is asked for. With it, it shows the
            progress and returns when the recipe has ended; Ctrl-C ends the waiting and not
            the recipe.

            EXAMPLES
              ald recipe start "TMA and water" --operator ann --reason "wafer 17" --wait
              ald recipe start Demonstration --json

            EXIT STATUS
              0   asked for; with --wait: it has run to its end
              1   with --wait: it did not start or did not run to its end, and why; or
                  the machine is in error (`ald recipe clear`)
              69  no recipe service took it in time, or the database is not there
              75  another recipe is under way
            """)

    @OptionGroup var options: RecipeOptions
    @OptionGroup var author: RecipeAuthor
    @Argument(help: "The recipe's name.")
    var name: String

    @Option(help: ArgumentHelp("This version (the newest that is released).", valueName: "number"))
    var recipeVersion: Int32?

    @Option(help: ArgumentHelp("Not begun by then, it never is (30s).", valueName: "duration"))
    var within = "30s"

    @Flag(help: "Wait for the end.")
    var wait = false

    func run() async throws {
        try await reportingFailures {
            let settings = try options.settings()
            guard let patience = DurationText.parse(within), patience <= .seconds(86_400) else {
                throw Failure(.configuration, "--within is \"\(within)\", must be a time up to 24h, such as 30s")
            }
            let (name, number, author, reason, wait) = (name, recipeVersion, try author.name, author.reason, wait)
            let json = options.json
            let end = try await cancelledBySignals {
                try await DatabaseAccess(settings: settings).withConnection(within: DatabaseAccess.noLimit) {
                    connection, deadline in
                    let desk = RecipeRequests(connection: connection, machine: settings.machineID, deadline: deadline)
                    let version = try await RecipeStore(machine: settings.machineID).version(
                        named: name, number, on: connection, deadline: deadline)
                    try await desk.requireIdle()
                    let command = try await desk.start(version, within: patience, author: author, reason: reason)
                    guard wait else { return CommandEnd(command: command, status: "pending") }
                    return try await desk.end(of: command, showing: ProgressLine(isShown: !json))
                }
            }
            try end.report(json: json, done: wait ? "has run to its end" : "is asked for", of: name)
        }
    }
}

/// A command's record, as far as whoever asked wants to know it.
struct CommandEnd: Encodable {
    var command: Int64
    var process: Int64?
    var status: String
    var error: String?
    var steps_done: Int64?

    /// Says how it ended, and ends this program accordingly.
    func report(json: Bool, done: String, of what: String) throws {
        if json { try LineOutput.write(json: self) }
        switch status {
        case "succeeded", "pending":
            if !json {
                let place = process.map { "process \($0)" } ?? "command \(command)"
                try LineOutput.write("\(what) \(done), \(place)")
            }
        case "expired":
            throw Failure(
                .unavailable, "no recipe service took it in time; is `ald run`, or `ald recipes`, running?")
        default: throw Failure(.mismatch, "\(what): \(error ?? status)")
        }
    }
}
