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
        guard isMoving else { return await body { _ in } }
        let time = SystemTime()
        let began = time.now
        return await withTaskGroup(of: Void.self) { group in
            group.addTask {
                do {
                    while true {
                        let seconds = Int((time.now - began).inSeconds)
                        let words = self.words.withLock(\.self)
                        let line =
                            "[\(number + 1)/\(self.total)] \(scenario.id)  \(seconds) s  \(scenario.title)  \(words)"
                        StandardStream.error.write("\r\u{1B}[K" + line.prefix(100))
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

    /// A scenario that has ended: its verdict, the numbers that it rests on, and why it is no pass.
    func text(_ result: ScenarioResult) -> String {
        var text =
            "\(result.id)  \(mark(result.verdict))  \(Quantity.seconds.text(result.elapsedSeconds))  \(result.title)\n"
        let rows = result.findings.map { finding in
            let quantity = result.measurements.first { $0.name == finding.criterion.measure }?.quantity ?? .count
            return [
                "   ", finding.criterion.measure, finding.value.map(quantity.text) ?? "not measured",
                "\(finding.criterion.relation.rawValue) \(quantity.text(finding.criterion.bound))",
                finding.verdict == .pass ? "" : finding.verdict.rawValue.uppercased(),
            ]
        }
        text += TextTable.lines(rows).map { $0 + "\n" }.joined()
        for reason in result.reasons { text += "    \(result.verdict.rawValue): \(reason)\n" }
        if result.verdict != .pass {
            for note in result.notes { text += "    said: \(note)\n" }
        }
        if result.verdict != .pass { text += "    again: ald stress \(result.id) --seed \(result.seed)\n" }
        return text
    }

    func summary(_ results: [ScenarioResult]) -> String {
        let counts = Verdict.allCases.map { verdict in
            "\(results.count { $0.verdict == verdict }) \(verdict == .pass ? "passed" : verdict == .fail ? "failed" : "unknown")"
        }
        let seconds = results.reduce(0) { $0 + $1.elapsedSeconds }
        return "\(TextTable.counted(results.count, "scenario")) in \(Quantity.seconds.text(seconds)): "
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
