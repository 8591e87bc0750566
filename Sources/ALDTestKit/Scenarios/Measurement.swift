/// One number that a run has measured.
public struct Measurement: Hashable, Sendable, Codable {
    public var name: String
    /// In the base unit of `quantity`.
    public var value: Double
    public var quantity: Quantity

    public init(_ name: String, _ value: Double, _ quantity: Quantity) {
        self.name = name
        self.value = value
        self.quantity = quantity
    }

    /// For people.
    public var text: String { quantity.text(value) }
}

/// A distribution of durations, as its percentiles.
public struct Distribution: Hashable, Sendable, Codable {
    /// What reports draw, in percent.
    public static let percents: [Double] = [0, 10, 25, 50, 75, 90, 95, 99, 99.9, 100]

    public var name: String
    public var count: Int
    /// Seconds, one for each of ``percents``.
    public var values: [Double]
}

/// One number over time.
public struct Series: Hashable, Sendable, Codable {
    public struct Point: Hashable, Sendable, Codable {
        /// Seconds since the run began.
        public var at: Double
        public var value: Double
    }

    public var name: String
    public var quantity: Quantity
    public var points: [Point]
}

/// A fault that was on, and what it did.
public struct FaultRecord: Hashable, Sendable, Codable {
    public var name: String
    /// Seconds since the run began.
    public var from: Double
    public var to: Double
    /// How often it is known to have hit something. A fault that never did proves nothing.
    public var bites: Int
}

/// Everything a run has come to, as it is written to disk.
public struct ScenarioResult: Hashable, Sendable, Codable {
    /// Of this format.
    public private(set) var version = 1
    public var id: String
    public var title: String
    public var requirement: String
    public var verdict: Verdict
    public var reasons: [String]
    /// What this machine could not do, when that is why the verdict is unknown.
    public var unavailable: Unavailable?
    public var findings: [Finding]
    public var measurements: [Measurement]
    public var distributions: [Distribution]
    public var series: [Series]
    public var faults: [FaultRecord]
    /// What was said while it ran.
    public var notes: [String]
    /// Replays the run.
    public var seed: UInt64
    /// Load was multiplied by this.
    public var scale: Double
    /// What the requirement document asks for, in seconds.
    public var nominalSeconds: Double
    /// What was run, in seconds; virtual ones when ``isVirtual``.
    public var plannedSeconds: Double
    public var isVirtual: Bool
    /// Real time from the first step to the last.
    public var elapsedSeconds: Double
    /// Civil time, ISO 8601.
    public var startedAt: String
    public var machine: MachineFingerprint
    /// The version of the server that the run's host had; `nil` when no scenario has asked for one yet.
    public var postgres: String?
    /// Options and variables that were set besides the seed, as a person writes them; `nil` in files of earlier versions.
    public var gates: [String]?
    /// Of the code, see ``Repository/commit()``; `nil` in files of earlier versions.
    public var commit: String?
    /// What the scenario was set to, see ``Scenario/parameters``; `nil` in files of earlier versions.
    public var parameters: [String: String]?

    public func measurement(_ name: String) -> Double? { measurements.first { $0.name == name }?.value }

    /// Of what the criterion judges; a count where nothing of that name was measured.
    public func quantity(of criterion: Criterion) -> Quantity { criterion.quantity(measurements, series) }

    /// What this run has measured of what the criterion judges: the worst where it holds in every window.
    func measured(_ criterion: Criterion) -> Double? {
        guard criterion.scope != nil else { return measurement(criterion.measure) }
        let finding = findings.first { finding in
            finding.criterion.measure == criterion.measure && finding.criterion.scope == criterion.scope
        }
        return finding?.value
    }
}

extension ScenarioResult {
    /// The command that runs it again, with what was asked for besides the seed.
    public var replay: String {
        let given = gates ?? (scale == 1 ? [] : ["--scale \(scale)"])
        let variables = given.filter { !$0.hasPrefix("--") }
        let options = given.filter { $0.hasPrefix("--") }
        return (variables + ["ald stress \(id) --seed \(seed)"] + options).joined(separator: " ")
    }

    /// The verdict and the numbers that it rests on, in one line.
    public var line: String {
        let numbers = findings.compactMap { finding -> String? in
            finding.value.map { "\(finding.criterion.measure) \(quantity(of: finding.criterion).text($0))" }
        }
        return "\(id) \(verdict.rawValue) in \(Quantity.seconds.text(elapsedSeconds)): "
            + numbers.joined(separator: ", ")
    }
}
