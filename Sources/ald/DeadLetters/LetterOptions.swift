import ALDCore
import ArgumentParser

/// A moment as people write it: ISO 8601, or how long ago, for instance `6d` or `2h ago`.
struct Moment: ExpressibleByArgument {
    var time: Timestamp

    init?(argument: String) {
        if let time = Timestamp(iso8601: argument) {
            self.time = time
        } else if let ago = DurationText.parse(argument.replacing(/\s+ago$/, with: "")) {
            time = SystemTime().wallClock.advanced(by: .zero - ago)
        } else {
            return nil
        }
    }
}

/// A letter's name.
struct LetterArgument: ExpressibleByArgument {
    var name: DeadLetterName

    init?(argument: String) {
        guard let name = DeadLetterName(argument) else { return nil }
        self.name = name
    }
}

/// Which letters, by what is the same for them.
struct LetterFilter: ParsableArguments {
    @Option(help: "Of this machine.")
    var machine: Int32?

    @Option(
        help: ArgumentHelp("Refused then or later: 2026-11-28T10:00Z, or how long ago: 90m, 2h, 6d.", valueName: "time")
    )
    var since: Moment?

    @Option(help: ArgumentHelp("Refused before then; as --since.", valueName: "time"))
    var until: Moment?

    @Option(help: "Refused by this table.")
    var table: String?

    @Option(help: ArgumentHelp("Refused with this code.", valueName: "code"))
    var sqlstate: String?

    @Option(help: "Breaking this rule, as `list --group` shows it.")
    var fingerprint: String?

    func filter(_ states: Set<StoredDeadLetter.State>) -> DeadLetterQueue.Filter {
        var filter = DeadLetterQueue.Filter()
        filter.machine = machine
        filter.since = since?.time
        filter.until = until?.time
        filter.table = table
        filter.sqlState = sqlstate
        filter.fingerprint = fingerprint
        filter.states = states
        return filter
    }

    var isEmpty: Bool {
        machine == nil && since == nil && until == nil && table == nil && sqlstate == nil && fingerprint == nil
    }
}

/// Which letters a change is for: some by name, or all that match and no more.
struct LetterSelection: ParsableArguments {
    @Argument(help: ArgumentHelp("Letters, by name.", valueName: "letter"))
    var given: [LetterArgument] = []

    @OptionGroup(title: "OR BY WHAT IS THE SAME FOR THEM") var filter: LetterFilter

    @Option(
        help: ArgumentHelp(
            "All that match; refused unless there are exactly so many.", valueName: "count"))
    var allMatching: Int?

    func validate() throws {
        switch (given.isEmpty, allMatching) {
        case (true, nil):
            throw ValidationError(
                "name the letters, or give --all-matching with the number of letters that you expect")
        case (false, .some): throw ValidationError("give either letters or --all-matching")
        case (false, nil) where !filter.isEmpty:
            throw ValidationError("letters that are named need no --machine, --since, …")
        default: break
        }
    }

    /// - Throws: ``Failure`` when there are not exactly as many as were expected.
    func letters(
        in queue: DeadLetterQueue, _ states: Set<StoredDeadLetter.State>, deadline: MonotonicInstant
    ) async throws -> [LetterOutcome.Chosen] {
        guard let allMatching else {
            var chosen: [LetterOutcome.Chosen] = []
            for name in given.map(\.name) {
                chosen.append(.init(name: name, letter: try await queue.letter(name, deadline: deadline)))
            }
            return chosen
        }
        let filter = filter.filter(states)
        let count = try await queue.count(filter, deadline: deadline)
        guard count == allMatching else {
            throw Failure(
                .mismatch,
                "\(TextTable.counted(count, "letter")) match, \(allMatching) were expected; nothing was changed")
        }
        return try await queue.list(filter, limit: count, deadline: deadline).map {
            .init(name: $0.name, letter: $0)
        }
    }
}

/// What every change has in common.
struct LetterChange: ParsableArguments {
    @Option(name: .customLong("operator"), help: ArgumentHelp("Who wants it.", valueName: "name"))
    var author: String

    @Option(help: "Why; kept with it.")
    var reason: String?

    @Flag(help: "Let the database try it, undo it and say what would happen.")
    var dryRun = false

    @Flag(help: "Write one JSON object.")
    var json = false

    /// - Parameter otherwise: the reason when none is given; `nil` when there must be one.
    func author(otherwise: String?) throws -> DeadLetterQueue.Author {
        guard !author.allSatisfy(\.isWhitespace) else { throw ValidationError("--operator must not be empty") }
        guard let reason = reason ?? otherwise, !reason.allSatisfy(\.isWhitespace) else {
            throw ValidationError("--reason says why, and must not be empty")
        }
        return DeadLetterQueue.Author(name: author, reason: reason)
    }
}
