import ALDCore
import ArgumentParser
import Foundation

struct CommandCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "command", abstract: "Ask Terminal 3 to write a parameter, and see what became of it.",
        subcommands: [CommandSetCommand.self, CommandListCommand.self])
}

struct CommandSetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set",
        abstract: "Ask for one parameter to be written.",
        discussion: """
            The database refuses what is outside the parameter's limits. Otherwise the
            command is in its table when this program ends, and Terminal 3 carries it
            out once, or never if it does not begin in time.

            EXAMPLES
              ald command set "MFC 1.flow" 20
              ald command set "Chamber Heater.temperature" 150 --wait --timeout 5s
              ald command set "Valve 1.valve_state" 0 --wait --json | jq .status

            EXIT STATUS
              0   asked for; with --wait: written and read back
              1   refused, no such parameter; with --wait: failed or not begun in time
              11  with --wait: it may or may not have been written, look at the machine
              69  the database cannot be reached
            """)

    @OptionGroup var options: DatabaseOptions

    @Argument(help: "The parameter, for instance \"MFC 1.flow\".")
    var name: String

    @Argument(help: "The value, in the parameter's unit.")
    var value: Double

    @Flag(help: "Wait for its end.")
    var wait = false

    @Option(help: ArgumentHelp("Not begun by then, it never is (30s).", valueName: "duration"))
    var timeout: String = "30s"

    @Option(help: "Why, for the record.")
    var reason: String = ""

    @Option(help: "Who asks, for the record. Defaults to the user of this shell.")
    var by: String = ProcessInfo.processInfo.userName

    @Flag(help: "Write one JSON object.")
    var json = false

    func validate() throws {
        guard value.isFinite else { throw ValidationError("\(value) is no value a parameter can have") }
        guard let patience = DurationText.parse(timeout), patience <= .seconds(86_400) else {
            throw ValidationError("--timeout \(timeout) is no duration up to a day, such as 30s")
        }
    }

    func run() async throws {
        try await reportingFailures {
            let settings = try options.settings()
            let patience = DurationText.parse(timeout) ?? .seconds(30)
            let trace = try await DatabaseAccess(settings: settings).withRunningConnection(
                within: patience + DatabaseAccess.timeLimit
            ) { connection, deadline in
                let book = CommandBook(connection: connection, machine: settings.machineID, deadline: deadline)
                let parameter = try await book.parameter(named: name)
                let command = try await book.ask(
                    parameter, value, within: patience, by: by.isEmpty ? "unknown" : by, because: reason)
                return wait
                    ? try await book.end(of: command, within: patience) : try await book.trace(of: command)
            }
            StandardStream.output.write(try json ? CommandReport.json(trace) : CommandReport.line(trace))
            if wait, let status = CommandReport.exitStatus(of: trace) { throw ExitCode(status.rawValue) }
        }
    }
}

struct CommandListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Show the newest commands, newest first.",
        discussion: """
            EXAMPLES
              ald command list
              ald command list --open            those that have not ended
              ald command list --json | jq '.[] | select(.status == "unknown")'
            """)

    @OptionGroup var options: DatabaseOptions

    @Option(help: "How many at most.")
    var limit: Int = 20

    @Flag(help: "Only those that have not ended.")
    var open = false

    @Flag(help: "Write one JSON array.")
    var json = false

    func validate() throws {
        guard (1...10_000).contains(limit) else { throw ValidationError("--limit \(limit) must be 1 to 10000") }
    }

    func run() async throws {
        try await reportingFailures {
            let settings = try options.settings()
            let traces = try await DatabaseAccess(settings: settings).withRunningConnection { connection, deadline in
                try await CommandBook(connection: connection, machine: settings.machineID, deadline: deadline)
                    .newest(limit, onlyOpen: open)
            }
            StandardStream.output.write(
                try json ? CommandReport.json(traces) : CommandReport.table(traces, now: SystemTime().wallClock))
        }
    }
}

struct TraceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace",
        abstract: "Show how long each stage of a command took.",
        discussion: """
            T1 until Terminal 3 had seen it, T2 until it was validated, T3 until it was
            written, T4 until it was read back, T5 until its record said so. Log lines
            of Terminal 3 carry the same trace.

            EXAMPLES
              ald trace 17                                        a command's number
              ald trace 0d1c3c3e-8f0a-4e2f-9a53-0c0a4a1b7c11      or its trace

            EXIT STATUS
              0   shown     1   there is no such command
            """)

    @OptionGroup var options: DatabaseOptions

    @Argument(help: "The number or the trace of a command.")
    var id: String

    @Flag(help: "Write one JSON object.")
    var json = false

    func run() async throws {
        try await reportingFailures {
            let settings = try options.settings()
            let trace = try await DatabaseAccess(settings: settings).withRunningConnection { connection, deadline in
                try await CommandBook(connection: connection, machine: settings.machineID, deadline: deadline)
                    .trace(called: id)
            }
            StandardStream.output.write(try json ? CommandReport.json(trace) : CommandReport.breakdown(trace))
        }
    }
}
