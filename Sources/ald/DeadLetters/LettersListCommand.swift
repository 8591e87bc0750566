import ALDCore
import ArgumentParser

struct LettersListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Show dead letters, or the rules that they break.",
        discussion: """
            EXAMPLES
              ald dead-letters list                      the first 100 open ones
              ald dead-letters list --group              one line per broken rule
              ald dead-letters list --machine 1 --since 24h --state discarded --json

            EXIT STATUS
              0   there are some     1  nothing matches
            """)

    enum State: String, ExpressibleByArgument, CaseIterable { case open, requeued, discarded, all }

    @OptionGroup var options: DatabaseOptions
    @OptionGroup var filter: LetterFilter

    @Option(help: ArgumentHelp("In this state.", valueName: "state"))
    var state = State.open

    @Option(help: "At most so many.")
    var limit = 100

    @Flag(help: "Group by the rule that they break.")
    var group = false

    @Flag(help: "Write one JSON object.")
    var json = false

    func validate() throws {
        if limit < 1 { throw ValidationError("--limit is \(limit), must be 1 or more") }
    }

    func run() async throws {
        try await reportingFailures {
            let access = DatabaseAccess(settings: try options.settings())
            let states =
                StoredDeadLetter.State(rawValue: state.rawValue).map { [$0] } ?? StoredDeadLetter.State.allCases
            let chosen = filter.filter(Set(states))
            let (text, isEmpty) = try await access.withConnection { connection, deadline in
                let queue = DeadLetterQueue(connection)
                let total = try await queue.count(chosen, deadline: deadline)
                if group {
                    let groups = try await queue.groups(chosen, limit: limit, deadline: deadline)
                    return (
                        try json ? LetterReport.json(groups, total: total) : LetterReport.text(groups, total: total),
                        groups.isEmpty
                    )
                }
                let letters = try await queue.list(chosen, limit: limit, deadline: deadline)
                let names = try await LetterReport.names(of: letters, queue, deadline: deadline)
                return (
                    try json
                        ? LetterReport.json(letters, names, total: total)
                        : LetterReport.text(letters, names, total: total), letters.isEmpty
                )
            }
            try LineOutput.write(text: text)
            if isEmpty { throw ExitCode(Failure.Status.mismatch.rawValue) }
        }
    }
}

struct LettersShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show one letter: the record, the reason, its revisions and its history.",
        discussion: """
            EXAMPLE
              ald dead-letters show 1/5d0f2a/17/4
            """)

    @OptionGroup var options: DatabaseOptions

    @Argument(help: ArgumentHelp("The letter, as `list` shows it.", valueName: "letter"))
    var given: LetterArgument

    @Flag(help: "Write one JSON object.")
    var json = false

    private var name: DeadLetterName { given.name }

    func run() async throws {
        try await reportingFailures {
            let access = DatabaseAccess(settings: try options.settings())
            let text = try await access.withConnection { connection, deadline -> String? in
                let queue = DeadLetterQueue(connection)
                guard let letter = try await queue.letter(name, deadline: deadline) else { return nil }
                let events = try await queue.history(of: name, deadline: deadline)
                let names = try await LetterReport.names(of: [letter], queue, deadline: deadline)
                return try json ? LetterReport.json(letter, events, names) : LetterReport.text(letter, events, names)
            }
            guard let text else {
                throw Failure(.mismatch, "there is no letter \(name), or you are no member of its machine")
            }
            try LineOutput.write(text: text)
        }
    }
}
