import ALDCore
import ALDTestKit
import Foundation
import Synchronization

/// What a person sees of scenarios that run: on a terminal a line that moves, and afterwards what came of each.
final class StressDisplay: Sendable {
    private let isQuiet: Bool
    private let isMoving: Bool
    private let total: Int
    private let words = Mutex("")

    init(isQuiet: Bool, total: Int) {
        self.isQuiet = isQuiet
        self.total = total
        isMoving = !isQuiet && StandardStream.error.isTerminal
    }

    /// Shows that `scenario` runs, and for how long, while `body` does so.
    func during(
        _ scenario: Scenario, _ number: Int,
        _ body: (@escaping @Sendable (String) -> Void) async -> ScenarioResult
    ) async -> ScenarioResult {
        words.withLock { $0 = "" }
        guard isMoving else {
            if !isQuiet { StandardStream.error.write("\(Self.beginning(scenario, number, of: total))\n") }
            return await body { _ in }
        }
        let time = SystemTime()
        let began = time.now
        return await withTaskGroup(of: Void.self) { group in
            group.addTask {
                do {
                    while true {
                        let seconds = Int((time.now - began).inSeconds)
                        let words = self.words.withLock(\.self)
                        let line = Self.line(
                            scenario, number, of: self.total, seconds: seconds, words,
                            width: StandardStream.error.width)
                        StandardStream.error.write("\r\u{1B}[K" + line)
                        try await time.sleep(for: .milliseconds(200))
                    }
                } catch {
                    StandardStream.error.write("\r\u{1B}[K")
                    StandardStream.error.flush()
                }
            }
            let result = await body { said in self.words.withLock { $0 = said } }
            group.cancelAll()
            await group.waitForAll()
            return result
        }
    }

    /// What is said where nothing can move.
    static func beginning(_ scenario: Scenario, _ number: Int, of total: Int) -> String {
        "[\(number + 1)/\(total)] \(scenario.id)  \(scenario.title)"
    }

    /// The line that moves: one character shorter than the terminal is wide, so that it never wraps, where it could not be
    /// erased.
    static func line(
        _ scenario: Scenario, _ number: Int, of total: Int, seconds: Int, _ words: String, width: Int
    ) -> String {
        let line = "[\(number + 1)/\(total)] \(scenario.id)  \(seconds) s  \(scenario.title)  \(words)"
        return String(line.replacing("\n", with: " ").prefix(max(0, width - 1)))
    }

    /// A scenario that has ended: its verdict, the numbers that it rests on, and why it is no pass.
    func text(_ result: ScenarioResult) -> String {
        var text =
            "\(result.id)  \(mark(result.verdict))  \(Quantity.seconds.text(result.elapsedSeconds))  \(result.title)\n"
        let rows = result.findings.map { finding in
            let quantity = result.quantity(of: finding.criterion)
            return [
                "   ", finding.criterion.measure, finding.value.map(quantity.text) ?? "not measured",
                finding.criterion.text(quantity),
                finding.verdict == .pass ? "" : finding.verdict.rawValue.uppercased(),
            ]
        }
        text += TextTable.lines(rows).map { $0 + "\n" }.joined()
        for reason in result.reasons { text += "    \(result.verdict.rawValue): \(reason)\n" }
        if result.verdict != .pass {
            for note in result.notes { text += "    said: \(note)\n" }
        }
        if result.verdict != .pass { text += "    again: \(result.replay)\n" }
        return text
    }

    func summary(_ results: [ScenarioResult], of all: Int) -> String {
        let counts = Verdict.allCases.map { verdict in
            "\(results.count { $0.verdict == verdict }) \(verdict == .pass ? "passed" : verdict == .fail ? "failed" : "unknown")"
        }
        let seconds = results.reduce(0) { $0 + $1.elapsedSeconds }
        let number = results.count < all ? "\(results.count) of \(all) scenarios" : TextTable.counted(all, "scenario")
        return "\(number) in \(Quantity.seconds.text(seconds)): "
            + counts.joined(separator: ", ")
    }

    private func mark(_ verdict: Verdict) -> String {
        switch verdict {
        case .pass: "pass   "
        case .fail: "FAIL   "
        case .unknown: "unknown"
        }
    }
}
