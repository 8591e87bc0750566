import ALDCore
import ArgumentParser

struct LettersRequeueCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "requeue",
        abstract: "Send records again: history, process points and current values, once.",
        discussion: """
            Each letter is one transaction: its record lands and the letter is closed,
            or the database refuses it again and the letter stays open with the new
            reason. Repeating the command, also after it was cut off, is safe.

            EXAMPLES
              ald dead-letters requeue 1/5d0f2a/17/4 --operator ann
              ald dead-letters requeue --fingerprint 23514/t//temp_range \\
                  --all-matching 38 --operator ann --reason "rule relaxed" --dry-run

            EXIT STATUS
              0   all have landed, now or before
              1   nothing matched, or a record was refused again
            """)

    @OptionGroup var options: DatabaseOptions
    @OptionGroup var selection: LetterSelection
    @OptionGroup var change: LetterChange

    func run() async throws {
        let author = try change.author(otherwise: "sent again")
        try await changeLetters(options, selection, change, [.open], "requeued") { queue, letter, deadline in
            try await queue.requeue(
                letter.name, revision: letter.revision, by: author, isRehearsal: change.dryRun, deadline: deadline)
        }
    }
}

struct LettersDiscardCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "discard",
        abstract: "Give records up, by name and with a reason. They stay as evidence.",
        discussion: """
            EXAMPLES
              ald dead-letters discard 1/5d0f2a/17/4 --operator ann --reason "test data"
              ald dead-letters discard --machine 2 --since 2026-11-28 --all-matching 12 \\
                  --operator ann --reason "sensor unplugged" --dry-run

            EXIT STATUS
              0   all are discarded, now or before
              1   nothing matched, or a record has landed already
            """)

    @OptionGroup var options: DatabaseOptions
    @OptionGroup var selection: LetterSelection
    @OptionGroup var change: LetterChange

    func run() async throws {
        let author = try change.author(otherwise: nil)
        try await changeLetters(options, selection, change, [.open], "discarded") { queue, letter, deadline in
            try await queue.discard(letter.name, by: author, isRehearsal: change.dryRun, deadline: deadline)
        }
    }
}

struct LettersReopenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reopen",
        abstract: "Take a discarding back.",
        discussion: """
            EXAMPLE
              ald dead-letters reopen 1/5d0f2a/17/4 --operator ann --reason "wrong letter"
            """)

    @OptionGroup var options: DatabaseOptions
    @OptionGroup var selection: LetterSelection
    @OptionGroup var change: LetterChange

    func run() async throws {
        let author = try change.author(otherwise: nil)
        try await changeLetters(options, selection, change, [.discarded], "reopened") { queue, letter, deadline in
            try await queue.reopen(letter.name, by: author, isRehearsal: change.dryRun, deadline: deadline)
        }
    }
}

/// One after the other, each in a transaction of its own.
///
/// - Parameter states: which letters `--all-matching` means.
private func changeLetters(
    _ options: DatabaseOptions, _ selection: LetterSelection, _ change: LetterChange,
    _ states: Set<StoredDeadLetter.State>, _ verb: String,
    _ body:
        @escaping @Sendable (DeadLetterQueue, StoredDeadLetter, _ deadline: MonotonicInstant) async throws ->
        DeadLetterOutcome
) async throws {
    try await reportingFailures {
        let access = DatabaseAccess(settings: try options.settings())
        let report = try await access.withConnection { connection, deadline in
            let queue = DeadLetterQueue(connection)
            var report = LetterOutcome(verb, isRehearsal: change.dryRun)
            for chosen in try await selection.letters(in: queue, states, deadline: deadline) {
                guard let letter = chosen.letter else {
                    report.add(chosen.name, .absent)
                    continue
                }
                // Many letters may take longer than one command usually may; each has its own time.
                let patience = SystemTime().now + DatabaseAccess.timeLimit
                do {
                    report.add(chosen.name, try await body(queue, letter, patience))
                } catch let error as PostgresError where error.sqlState == .featureNotSupported {
                    // A record of a kind that this version does not know keeps none of the others from being done.
                    report.add(chosen.name, .refused(error.message))
                } catch {
                    throw try report.broken(off: error, at: chosen.name, json: change.json)
                }
            }
            return report
        }
        try report.finish(json: change.json)
    }
}
