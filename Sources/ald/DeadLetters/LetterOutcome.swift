import ALDCore
import ArgumentParser

/// What became of the letters that a command was told to change.
struct LetterOutcome {
    /// A letter that was asked for, and whether it is there.
    struct Chosen {
        var name: DeadLetterName
        var letter: StoredDeadLetter?
    }

    /// What was asked for, in the past tense: "requeued".
    let verb: String
    let isRehearsal: Bool
    private(set) var outcomes: [(name: DeadLetterName, outcome: DeadLetterOutcome)] = []

    init(_ verb: String, isRehearsal: Bool) {
        self.verb = verb
        self.isRehearsal = isRehearsal
    }

    mutating func add(_ name: DeadLetterName, _ outcome: DeadLetterOutcome) { outcomes.append((name, outcome)) }

    var isFulfilled: Bool { !outcomes.isEmpty && outcomes.allSatisfy(\.outcome.isFulfilled) }

    func text() -> String {
        guard !outcomes.isEmpty else { return "No letter matches.\n" }
        let lines = TextTable.lines(outcomes.map { ["\($0.name)", sentence($0.outcome)] })
        let done = outcomes.count { $0.outcome == .done }
        let already = outcomes.count { $0.outcome == .unchanged }
        let others = outcomes.count - done - already
        var summary = "\(TextTable.counted(outcomes.count, "letter")): \(done) \(isRehearsal ? "would be " : "")\(verb)"
        if already > 0 { summary += ", \(already) already so" }
        if others > 0 { summary += ", \(others) not" }
        return lines.map { $0 + "\n" }.joined() + summary + (isRehearsal ? "; nothing was changed" : "") + "\n"
    }

    private func sentence(_ outcome: DeadLetterOutcome) -> String {
        switch outcome {
        case .done: (isRehearsal ? "would be " : "") + verb
        case .unchanged: "is so already, nothing to do"
        case .refused(let message): (isRehearsal ? "would be refused: " : "refused again, stays open: ") + message
        case .stale: "somebody has revised it meanwhile; look again"
        case .closed(let state): "is \(state.rawValue) and not open; nothing was done"
        case .absent: "there is no such letter, or you are no member of its machine"
        case .collision: "another record has its name; nothing was done"
        }
    }

    // MARK: JSON

    private struct Report: Encodable {
        struct Letter: Encodable {
            var letter: String
            var outcome: String
            var message: String?
        }
        var is_dry_run: Bool
        var letters: [Letter]
    }

    func json() throws -> String {
        try LetterReport.json(
            Report(
                is_dry_run: isRehearsal,
                letters: outcomes.map {
                    .init(letter: "\($0.name)", outcome: word($0.outcome), message: message($0.outcome))
                }))
    }

    private func word(_ outcome: DeadLetterOutcome) -> String {
        switch outcome {
        case .done: verb
        case .unchanged: "unchanged"
        case .refused: "refused"
        case .stale: "stale"
        case .closed(let state): state.rawValue
        case .absent: "absent"
        case .collision: "collision"
        }
    }

    private func message(_ outcome: DeadLetterOutcome) -> String? {
        if case .refused(let message) = outcome { message } else { nil }
    }

    /// Prints what was done before something went wrong, which is done and stays so.
    ///
    /// - Returns: what went wrong, with what to do.
    func broken(off error: any Error, at name: DeadLetterName, json isJSON: Bool) throws -> Failure {
        if !outcomes.isEmpty { try LineOutput.write(text: isJSON ? json() : text()) }
        var failure = Failure(error)
        let rest =
            isRehearsal
            ? "Nothing was changed."
            : (outcomes.isEmpty ? "Nothing was done before." : "What is listed above is done and stays so.")
                + " Repeating the command is safe."
        failure.message =
            "letter \(name) was not \(verb), and none behind it was tried: \(failure.message)\n  \(rest)"
        return failure
    }

    /// Prints it and sets the exit status.
    func finish(json isJSON: Bool) throws {
        try LineOutput.write(text: isJSON ? try json() : text())
        if !isFulfilled { throw ExitCode(Failure.Status.mismatch.rawValue) }
    }
}
