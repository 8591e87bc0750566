/// One scenario of the requirements, as data.
public struct Scenario: Sendable {
    /// As the requirement documents number it, for instance `DB-HF-01`; those without a number have a name of ours.
    public var id: String
    public var title: String
    /// What the documents ask for, in our words.
    public var requirement: String
    /// How long the documents want it to run.
    public var nominal: Duration
    /// How long it takes to show the same: rates, counts and criteria stay.
    public var short: Duration
    /// Whether it runs in virtual time, of which hours take seconds: both durations are virtual then.
    public var isVirtual = false
    public var criteria: [Criterion]
    /// What is done; `nil` as long as nobody has written it.
    public var work: (any ScenarioWork)?

    public init(
        _ id: String, _ title: String, requirement: String, nominal: Duration, short: Duration,
        isVirtual: Bool = false, criteria: [Criterion] = [], work: (any ScenarioWork)? = nil
    ) {
        self.id = id
        self.title = title
        self.requirement = requirement
        self.nominal = nominal
        self.short = short
        self.isVirtual = isVirtual
        self.criteria = criteria
        self.work = work
    }

    /// Which runs take the nominal time.
    public enum Gate: String, Sendable {
        /// Every run: it is short.
        case always
        case slow = "ALD_SLOW"
        case verySlow = "ALD_VERY_SLOW"
    }

    public var gate: Gate {
        if nominal <= short { return .always }
        return isVirtual || nominal <= .seconds(3600) ? .slow : .verySlow
    }

    public var isImplemented: Bool { work != nil }

    /// How long it runs under these gates.
    public func duration(isSlow: Bool, isVerySlow: Bool) -> Duration {
        switch gate {
        case .always: nominal
        case .slow: isSlow || isVerySlow ? nominal : short
        case .verySlow: isVerySlow ? nominal : short
        }
    }
}

/// What a scenario does: it acts on the real components and notes what it measures.
public protocol ScenarioWork: Sendable {
    /// - Throws: what kept it from measuring; the run has failed then.
    func run(_ run: ScenarioRun) async throws

    /// What may be asked for and changes nothing here, with the reason. Who asks for it is told so. Defaults to nothing.
    var unheeded: [RunOption: String] { get }
}

extension ScenarioWork {
    public var unheeded: [RunOption: String] { [:] }
}
