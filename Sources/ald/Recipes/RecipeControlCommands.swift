import ALDCore
import ArgumentParser

/// What stop, pause and resume have in common.
struct RecipeControl: ParsableArguments {
    @OptionGroup var options: RecipeOptions
    @OptionGroup var author: RecipeAuthor

    @Option(help: ArgumentHelp("This process (the one under way).", valueName: "number"))
    var process: Int64?

    func run(_ kind: String, done: String) async throws {
        try await reportingFailures {
            let settings = try options.settings()
            let (process, author, reason, json) = (process, try author.name, author.reason, options.json)
            let (end, meant) = try await cancelledBySignals {
                try await DatabaseAccess(settings: settings).withConnection(within: DatabaseAccess.noLimit) {
                    connection, deadline in
                    let desk = RecipeRequests(connection: connection, machine: settings.machineID, deadline: deadline)
                    let meant: Int64
                    if let process { meant = process } else { meant = try await desk.process() }
                    let command = try await desk.change(
                        kind, meant, within: .seconds(30), author: author, reason: reason)
                    return (try await desk.end(of: command, showing: ProgressLine(isShown: false)), meant)
                }
            }
            try end.report(json: json, done: done, of: "process \(meant)")
        }
    }
}

struct RecipeStopCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop",
        abstract: "Stop the recipe under way at once, also in the middle of a step.",
        discussion: """
            Returns when every valve that it opened is closed and the machine is in its
            safe state.

            EXAMPLE
              ald recipe stop --operator ann --reason "wrong wafer"

            EXIT STATUS
              0   stopped, and the machine is safe
              1   no recipe is under way, or it could not be stopped
              69  no recipe service took it in time
            """)

    @OptionGroup var control: RecipeControl

    func run() async throws { try await control.run("stop", done: "is stopped") }
}

struct RecipePauseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause",
        abstract: "Pause the recipe under way.",
        discussion: """
            A pulse and a ramp are finished first; a wait, a purge or a hold is interrupted
            and takes so much longer. No valve is open while a recipe pauses.

            EXAMPLE
              ald recipe pause

            EXIT STATUS
              0   it pauses
              1   no recipe is under way, or it could not be paused
              69  no recipe service took it in time
            """)

    @OptionGroup var control: RecipeControl

    func run() async throws { try await control.run("pause", done: "pauses") }
}

struct RecipeResumeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume",
        abstract: "Go on with the recipe that pauses.",
        discussion: """
            EXAMPLE
              ald recipe resume

            EXIT STATUS
              0   it goes on
              1   no recipe pauses, or it could not go on
              69  no recipe service took it in time
            """)

    @OptionGroup var control: RecipeControl

    func run() async throws { try await control.run("resume", done: "goes on") }
}

struct RecipeClearCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "clear",
        abstract: "Take the machine out of its error state, when its cause is gone.",
        discussion: """
            A recipe that fails leaves the machine in error, and no recipe starts until
            somebody has looked and says so here. The audit log keeps who and why.

            EXAMPLE
              ald recipe clear --operator ann --reason "valve 2 replaced"

            EXIT STATUS
              0   it is idle
              1   it was in no error
            """)

    @OptionGroup var options: RecipeOptions
    @OptionGroup var author: RecipeAuthor

    private struct Answer: Encodable {
        var cleared: String?
    }

    func run() async throws {
        try await reportingFailures {
            let settings = try options.settings()
            let (author, reason) = (try author.name, author.reason)
            guard !reason.isEmpty else {
                throw Failure(.configuration, "say --reason: what was found, and what was done about it")
            }
            let failure = try await DatabaseAccess(settings: settings).withConnection { connection, deadline in
                try await RecipeRequests(connection: connection, machine: settings.machineID, deadline: deadline)
                    .clear(author: author, reason: reason)
            }
            if options.json { try LineOutput.write(json: Answer(cleared: failure)) }
            guard let failure else { throw Failure(.mismatch, "the machine was in no error") }
            if !options.json { try LineOutput.write("the machine is idle; its failure was: \(failure)") }
        }
    }
}
