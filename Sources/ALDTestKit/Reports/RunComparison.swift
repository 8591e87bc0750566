/// What has changed between two runs: verdicts, scenarios that came or went, and judged numbers that became worse.
struct RunComparison {
    /// A judged measurement that is further on the wrong side than before.
    struct Worsening: Hashable {
        var measure: String
        var before: Double
        var now: Double
        var quantity: Quantity
    }

    /// Times of two runs differ by so much, as a part, without any cause.
    static let noise = 0.1

    /// The earlier results by scenario.
    let earlier: [String: ScenarioResult]
    /// Numbers of scenarios that the earlier run had and this one has not.
    let missing: [String]
    /// Numbers of scenarios that the earlier run had not.
    let new: [String]

    init(of results: [ScenarioResult], with earlier: [ScenarioResult]) {
        self.earlier = Dictionary(earlier.map { ($0.id, $0) }) { $1 }
        let ids = Set(results.map(\.id))
        missing = Set(earlier.map(\.id)).subtracting(ids).sorted()
        new = earlier.isEmpty ? [] : ids.subtracting(earlier.map(\.id)).sorted()
    }

    /// Judged measurements that became worse by more than noise.
    func worsenings(_ result: ScenarioResult) -> [Worsening] {
        guard let before = earlier[result.id] else { return [] }
        return result.findings.compactMap { finding in
            guard let now = finding.value, let old = before.measured(finding.criterion),
                Self.isWorse(now, than: old, finding.criterion)
            else { return nil }
            let quantity = result.quantity(of: finding.criterion)
            return Worsening(measure: finding.criterion.measure, before: old, now: now, quantity: quantity)
        }
    }

    /// Whether the verdict is worse than it was.
    func isVerdictWorse(_ result: ScenarioResult) -> Bool {
        guard let before = earlier[result.id] else { return false }
        return Self.rank(result.verdict) > Self.rank(before.verdict)
    }

    private static func rank(_ verdict: Verdict) -> Int {
        switch verdict {
        case .pass: 0
        case .unknown: 1
        case .fail: 2
        }
    }

    static func isWorse(_ now: Double, than before: Double, _ criterion: Criterion) -> Bool {
        guard !now.isNaN, !before.isNaN else { return false }
        let margin = abs(before) * noise
        switch criterion.relation {
        case .below, .atMost: return now > before + margin
        case .above, .atLeast: return now < before - margin
        // Counts, mostly: each step away is one.
        case .exactly: return abs(now - criterion.bound) > abs(before - criterion.bound)
        }
    }
}
