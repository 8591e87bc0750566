public import ALDCore
import Foundation
import Synchronization

/// A run of a scenario that is under way: how much of everything, where, and what was measured so far.
public final class ScenarioRun: Sendable {
    public let scenario: Scenario
    public let seed: UInt64
    public let host: ScenarioHost
    public let time = SystemTime()

    struct State {
        var measurements: [Measurement] = []
        var distributions: [Distribution] = []
        var series: [String: Series] = [:]
        var faults: [FaultRecord] = []
        var problems: [String] = []
        var doubts: [String] = []
        var unavailable: Unavailable?
        var notes: [String] = []
        var virtualTime: Duration?
        /// What the scenario has asked for.
        var heeded: Set<RunOption> = []
    }

    /// Further words are forgotten.
    private static let mostNotes = 100

    private let asked: (duration: Duration, scale: Double)
    private let state = Mutex(State())
    private let beginning: MonotonicInstant
    private let progress: @Sendable (String) -> Void

    init(
        _ scenario: Scenario, duration: Duration, seed: UInt64, scale: Double, host: ScenarioHost,
        progress: @escaping @Sendable (String) -> Void
    ) {
        self.scenario = scenario
        asked = (duration, scale)
        self.seed = seed
        self.host = host
        self.progress = progress
        beginning = time.now
    }

    var content: State { state.withLock(\.self) }

    /// How long the load goes on.
    public var duration: Duration {
        heed(.duration)
        return asked.duration
    }

    /// Load is to be multiplied by this.
    public var scale: Double {
        heed(.scale)
        return asked.scale
    }

    private func heed(_ option: RunOption) { state.withLock { _ = $0.heeded.insert(option) } }

    /// Since the run began.
    public var elapsed: Duration { time.now - beginning }

    /// For a single operation: only a hang reaches it.
    public var patience: MonotonicInstant { time.now + .seconds(30) }

    /// `count`, multiplied by the scale and at least one.
    public func scaled(_ count: Int) -> Int { max(1, Int((Double(count) * scale).rounded())) }

    /// A machine with `count` parameters, multiplied by the scale.
    ///
    /// - Throws: ``ImpossibleLoad`` when no machine has so many.
    func generatedMachine(parameters count: Int) throws -> RegisterMap {
        let (asked, most) = (Double(count) * scale, GeneratedMachine.sizes.upperBound)
        guard asked <= Double(most) else {
            throw ImpossibleLoad(
                description: "a machine has at most \(most) parameters, and \(count) times \(scale) are more: "
                    + "the scale of \(scenario.id) is at most \(most / count)")
        }
        return try GeneratedMachine.registerMap(parameters: scaled(count), seed: seed)
    }

    // MARK: What was measured

    /// A later number of the same name replaces the earlier one.
    public func note(_ name: String, _ value: Double, _ quantity: Quantity) {
        state.withLock { state in
            state.measurements.removeAll { $0.name == name }
            state.measurements.append(Measurement(name, value, quantity))
        }
    }

    public func note(_ name: String, _ duration: Duration) { note(name, duration.inSeconds, .seconds) }

    /// What was noted under this name.
    public func value(_ name: String) -> Double? {
        state.withLock { $0.measurements.first { $0.name == name }?.value }
    }

    public func note(_ name: String, count: Int) { note(name, Double(count), .count) }

    /// Notes p50, p95, p99 and the maximum of a distribution, and draws it in the report.
    public func note(_ name: String, _ histogram: DurationHistogram) {
        // Without a single duration there is nothing to note, and a criterion on it stays open.
        guard histogram.count > 0 else { return }
        note("\(name) p50", histogram.percentile(50))
        note("\(name) p95", histogram.percentile(95))
        note("\(name) p99", histogram.percentile(99))
        note("\(name) max", histogram.max)
        let distribution = Distribution(
            name: name, count: histogram.count,
            values: Distribution.percents.map {
                $0 == 100 ? histogram.max.inSeconds : histogram.percentile($0).inSeconds
            })
        state.withLock { state in
            state.distributions.removeAll { $0.name == name }
            state.distributions.append(distribution)
        }
    }

    /// Says how much of its virtual time a run has behind it: samples and faults belong there from now on, and not where
    /// the run itself is.
    public func advance(toVirtual time: Duration) { state.withLock { $0.virtualTime = time } }

    /// Where in the run, in seconds.
    private var place: Double { (state.withLock(\.virtualTime) ?? elapsed).inSeconds }

    /// One more point of a series.
    ///
    /// - Parameter instant: when it was so; `nil` for now.
    public func sample(
        _ name: String, _ value: Double, _ quantity: Quantity, at instant: MonotonicInstant? = nil
    ) {
        let point = Series.Point(at: instant.map { ($0 - beginning).inSeconds } ?? place, value: value)
        state.withLock { state in
            state.series[name, default: Series(name: name, quantity: quantity, points: [])].points.append(point)
        }
    }

    // MARK: Faults and verdict

    /// Has `body` run under a fault. What it returns is how often the fault is known to have hit something.
    @discardableResult public func fault(_ name: String, _ body: () async throws -> Int) async throws -> Int {
        say("fault: \(name)")
        let from = place
        let bites = try await body()
        let record = FaultRecord(name: name, from: from, to: place, bites: bites)
        state.withLock { $0.faults.append(record) }
        if bites == 0 { doubt("the fault “\(name)” had no effect") }
        return bites
    }

    /// Something that must never happen has happened.
    public func fail(_ problem: String) { state.withLock { $0.problems.append(problem) } }

    /// A reason why the run shows nothing, even if all criteria hold.
    public func doubt(_ reason: String) { state.withLock { $0.doubts.append(reason) } }

    /// This machine cannot do what the scenario needs: nothing is shown, and there is nobody to blame.
    func lack(_ lacking: Unavailable) {
        doubt("\(lacking)")
        state.withLock { $0.unavailable = lacking }
    }

    /// Something that has to have happened at least once for the run to show anything.
    public func sometimes(_ what: String, _ happened: Bool) {
        if !happened { doubt("never happened: \(what)") }
    }

    /// Tells a person what goes on, now and in the result.
    public func say(_ words: String) {
        state.withLock { state in
            if state.notes.count < Self.mostNotes { state.notes.append(words) }
        }
        progress(words)
    }
}

/// What a run was asked for cannot be had anywhere: nothing is shown, and nothing is wrong with what would be tested.
struct ImpossibleLoad: Error, CustomStringConvertible {
    /// What is asked for, and how much of it there can be.
    var description: String
}
