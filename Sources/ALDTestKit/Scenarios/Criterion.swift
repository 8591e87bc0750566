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

        /// The one of some points that is furthest on the wrong side; `nil` for none, and where one is not a number.
        func worst(_ points: [Series.Point], _ bound: Double) -> Series.Point? {
            guard points.allSatisfy({ !$0.value.isNaN }) else { return nil }
            return switch self {
            case .below, .atMost: points.max { $0.value < $1.value }
            case .above, .atLeast: points.min { $0.value < $1.value }
            case .exactly: points.max { abs($0.value - bound) < abs($1.value - bound) }
            }
        }
    }

    /// Where a bound holds that does not hold over the whole run alone.
    public enum Scope: String, Codable, Sendable {
        /// At each point of a series, for instance of one that has a point for each window of time of a load: what is bad
        /// for a while and well on the whole.
        case everyWindow = "in every window"
    }

    /// The name of the measurement, or of the series.
    public var measure: String
    public var relation: Relation
    /// In the measurement's base unit.
    public var bound: Double
    /// `nil`: over the whole run, and in files of earlier versions.
    public var scope: Scope?

    public init(_ measure: String, _ relation: Relation, _ bound: Double, _ scope: Scope? = nil) {
        self.measure = measure
        self.relation = relation
        self.bound = bound
        self.scope = scope
    }

    public init(_ measure: String, _ relation: Relation, _ bound: Duration) {
        self.init(measure, relation, bound.inSeconds)
    }

    /// What is required, for people: `≥ 50 % in every window`.
    public func text(_ quantity: Quantity) -> String {
        let bound = "\(relation.rawValue) \(quantity.text(bound))"
        return scope.map { "\(bound) \($0.rawValue)" } ?? bound
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
    /// Of a criterion that holds in every window, the worst; `nil`: nothing of that name was measured.
    public var value: Double?
    public var verdict: Verdict
    /// Where the worst window begins, in seconds since the run began; `nil` for a criterion over the whole run.
    public var at: Double?
}

/// Turns measurements into a verdict.
public struct Judgement: Hashable, Sendable {
    public var verdict: Verdict
    public var findings: [Finding]
    /// Why it is no pass; empty when it is one.
    public var reasons: [String]

    /// - Parameters:
    ///   - series: for criteria that hold in every window.
    ///   - problems: what has gone wrong besides the numbers; each one makes the run a failure.
    ///   - doubts: why the numbers show nothing; each one makes a run that did not fail unknown.
    public init(
        _ criteria: [Criterion], measurements: [Measurement], series: [Series] = [], problems: [String] = [],
        doubts: [String] = []
    ) {
        findings = criteria.map { criterion in
            let (value, at) = Self.measured(criterion, measurements, series)
            guard let value, !value.isNaN else { return Finding(criterion: criterion, value: nil, verdict: .unknown) }
            let holds = criterion.relation.holds(value, criterion.bound)
            return Finding(criterion: criterion, value: value, verdict: holds ? .pass : .fail, at: at)
        }
        reasons = problems
        for finding in findings where finding.verdict == .fail {
            let criterion = finding.criterion
            let quantity = criterion.quantity(measurements, series)
            let place = finding.at.map { " at \(Quantity.seconds.text($0))" } ?? ""
            reasons.append(
                "\(criterion.measure) is \(quantity.text(finding.value ?? .nan))\(place), required "
                    + criterion.text(quantity))
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

    private static func measured(
        _ criterion: Criterion, _ measurements: [Measurement], _ series: [Series]
    ) -> (value: Double?, at: Double?) {
        switch criterion.scope {
        case nil: return (measurements.first { $0.name == criterion.measure }?.value, nil)
        case .everyWindow:
            let points = series.first { $0.name == criterion.measure }?.points ?? []
            let worst = criterion.relation.worst(points, criterion.bound)
            return (worst?.value, worst?.at)
        }
    }
}

extension Criterion {
    /// Of what it judges; a count where nothing of that name was measured.
    func quantity(_ measurements: [Measurement], _ series: [Series]) -> Quantity {
        let quantity =
            switch scope {
            case nil: measurements.first { $0.name == measure }?.quantity
            case .everyWindow: series.first { $0.name == measure }?.quantity
            }
        return quantity ?? .count
    }
}
