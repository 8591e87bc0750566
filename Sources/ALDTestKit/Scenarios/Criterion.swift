import ALDCore

/// A bound that a measurement has to keep, as the requirement says it.
public struct Criterion: Hashable, Sendable, Codable {
    public enum Relation: String, Codable, Sendable {
        case below = "<"
        case atMost = "≤"
        case above = ">"
        case atLeast = "≥"
        case exactly = "="

        func holds(_ value: Double, _ bound: Double) -> Bool {
            switch self {
            case .below: value < bound
            case .atMost: value <= bound
            case .above: value > bound
            case .atLeast: value >= bound
            case .exactly: value == bound
            }
        }
    }

    /// The name of the measurement.
    public var measure: String
    public var relation: Relation
    /// In the measurement's base unit.
    public var bound: Double

    public init(_ measure: String, _ relation: Relation, _ bound: Double) {
        self.measure = measure
        self.relation = relation
        self.bound = bound
    }

    public init(_ measure: String, _ relation: Relation, _ bound: Duration) {
        self.init(measure, relation, bound.inSeconds)
    }
}

/// What a run of a scenario has come to.
public enum Verdict: String, Codable, Sendable, CaseIterable {
    case pass
    case fail
    /// Nothing was shown: a fault without effect, a load that was not reached, a measurement that is missing.
    case unknown
}

/// One criterion beside what was measured.
public struct Finding: Hashable, Sendable, Codable {
    public var criterion: Criterion
    /// `nil`: nothing of that name was measured.
    public var value: Double?
    public var verdict: Verdict
}

/// Turns measurements into a verdict.
public struct Judgement: Hashable, Sendable {
    public var verdict: Verdict
    public var findings: [Finding]
    /// Why it is no pass; empty when it is one.
    public var reasons: [String]

    /// - Parameters:
    ///   - problems: what has gone wrong besides the numbers; each one makes the run a failure.
    ///   - doubts: why the numbers show nothing; each one makes a run that did not fail unknown.
    public init(
        _ criteria: [Criterion], measurements: [Measurement], problems: [String] = [], doubts: [String] = []
    ) {
        findings = criteria.map { criterion in
            let measured = measurements.first { $0.name == criterion.measure }
            guard let value = measured?.value, !value.isNaN else {
                return Finding(criterion: criterion, value: nil, verdict: .unknown)
            }
            let holds = criterion.relation.holds(value, criterion.bound)
            return Finding(criterion: criterion, value: value, verdict: holds ? .pass : .fail)
        }
        reasons = problems
        for finding in findings where finding.verdict == .fail {
            let measured = measurements.first { $0.name == finding.criterion.measure }
            let text = { (value: Double) in measured?.quantity.text(value) ?? "\(value)" }
            let (value, bound) = (text(finding.value ?? .nan), text(finding.criterion.bound))
            reasons.append(
                "\(finding.criterion.measure) is \(value), required \(finding.criterion.relation.rawValue) \(bound)")
        }
        let failed = !reasons.isEmpty
        reasons += doubts
        for finding in findings where finding.verdict == .unknown {
            reasons.append("\(finding.criterion.measure) was not measured")
        }
        // A scenario that demands nothing cannot be passed.
        if criteria.isEmpty { reasons.append("nothing is required") }
        verdict = failed ? .fail : reasons.isEmpty ? .pass : .unknown
    }
}
