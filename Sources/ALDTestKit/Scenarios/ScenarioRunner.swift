import ALDCore
public import Foundation

/// Executes scenarios and judges them.
public struct ScenarioRunner: Sendable {
    public struct Options: Sendable {
        /// Instead of what the gates say.
        public var duration: Duration?
        /// Multiplies load. Defaults to `ALD_SCALE`, or 1.
        public var scale = 1.0
        /// Defaults to `ALD_SEED`, or one drawn by chance.
        public var seed: UInt64
        public var isSlow: Bool
        public var isVerySlow: Bool
        /// What is wrong with the variables of the environment, in sentences. A runner does nothing while there are any.
        public private(set) var problems: [String] = []

        public init(environment: [String: String] = ProcessInfo.processInfo.environment) {
            isSlow = environment["ALD_SLOW"] == "1"
            isVerySlow = environment["ALD_VERY_SLOW"] == "1"
            seed = .random(in: 0...(.max / 2))
            if let text = environment["ALD_SEED"] {
                if let given = UInt64(text) {
                    seed = given
                } else {
                    problems.append(
                        "ALD_SEED is “\(text)”; it must be a whole number from 0 to \(UInt64.max), or unset")
                }
            }
            if let text = environment["ALD_SCALE"] {
                if let given = Double(text), Self.isScale(given) {
                    scale = given
                } else {
                    problems.append("ALD_SCALE is “\(text)”; it must be a number above 0 and up to 1000, or unset")
                }
            }
        }

        /// Whether load may be multiplied by this: more than 0, up to 1000.
        public static func isScale(_ scale: Double) -> Bool { scale > 0 && scale <= 1000 }

        /// What was asked for besides the defaults, as a person would write it.
        var gates: [String] {
            var gates: [String] = []
            if isSlow { gates.append("ALD_SLOW=1") }
            if isVerySlow { gates.append("ALD_VERY_SLOW=1") }
            if let duration { gates.append("--duration \(Self.text(duration.inSeconds))s") }
            if scale != 1 { gates.append("--scale \(Self.text(scale))") }
            return gates
        }

        private static func text(_ value: Double) -> String {
            value == value.rounded() && abs(value) < 1e15 ? "\(Int(value))" : "\(value)"
        }
    }

    public var options: Options
    public let host: ScenarioHost

    public init(options: Options = Options(), host: ScenarioHost) {
        self.options = options
        self.host = host
    }

    /// Runs a scenario to its end.
    ///
    /// - Parameter progress: told in words what goes on.
    /// - Returns: what it has come to; an error of the scenario is a failure. One that nobody has written, for which this
    ///   machine is not made, or whose task was cancelled before its end is unknown.
    public func run(
        _ scenario: Scenario, progress: @escaping @Sendable (String) -> Void = { _ in }
    ) async -> ScenarioResult { await execute(scenario, progress: progress).result }

    /// - Returns: what it has come to, and what of what may be asked for it wanted to know.
    func execute(
        _ scenario: Scenario, progress: @escaping @Sendable (String) -> Void
    ) async -> (result: ScenarioResult, heeded: Set<RunOption>) {
        let duration =
            options.duration ?? scenario.duration(isSlow: options.isSlow, isVerySlow: options.isVerySlow)
        let run = ScenarioRun(
            scenario, duration: duration, seed: options.seed, scale: options.scale, host: host, progress: progress)
        let startedAt = run.time.wallClock
        var isPossible = true
        if !options.problems.isEmpty {
            for problem in options.problems { run.doubt(problem) }
        } else if let work = scenario.work {
            for option in options.asked {
                guard let reason = work.unheeded[option] else { continue }
                run.say("\(option.rawValue) has no effect here: \(reason)")
            }
            do {
                try await work.run(run)
            } catch let lacking as Unavailable {
                run.lack(lacking)
            } catch let impossible as ImpossibleLoad {
                isPossible = false
                run.doubt("\(impossible)")
            } catch {
                run.fail("\(error)")
            }
        } else {
            run.doubt("nobody has written it yet")
        }
        let content = run.content
        let series = content.series.values.sorted { $0.name < $1.name }
        var judgement = Judgement(
            scenario.criteria, measurements: content.measurements, series: series, problems: content.problems,
            doubts: content.doubts)
        var notes = content.notes
        // Half of a run shows nothing, neither good nor bad: what looks like a loss may be what the end has cut off.
        if Task.isCancelled {
            notes += content.problems.map { "when it was interrupted: \($0)" }
            (judgement.verdict, judgement.reasons) = (.unknown, [Self.interrupted])
        }
        // That nothing was measured then goes without saying.
        let isExcused =
            judgement.verdict == .unknown && (content.unavailable != nil || !isPossible) && !Task.isCancelled
        let result = ScenarioResult(
            id: scenario.id, title: scenario.title, requirement: scenario.requirement, verdict: judgement.verdict,
            reasons: isExcused ? content.doubts : judgement.reasons, unavailable: content.unavailable,
            findings: judgement.findings,
            measurements: content.measurements,
            distributions: content.distributions, series: series,
            faults: content.faults, notes: notes, seed: options.seed, scale: options.scale,
            nominalSeconds: scenario.nominal.inSeconds, plannedSeconds: duration.inSeconds,
            isVirtual: scenario.isVirtual, elapsedSeconds: run.elapsed.inSeconds, startedAt: "\(startedAt)",
            machine: .current, postgres: await host.serverVersion, gates: options.gates,
            commit: await Repository.commit(), parameters: scenario.parameters)
        return (result, content.heeded)
    }

    /// The reason of a run whose task was cancelled.
    public static let interrupted = "interrupted"
}

/// A scenario that was not passed, for tests.
public struct ScenarioNotPassed: Error, CustomStringConvertible {
    public var result: ScenarioResult

    public var description: String {
        let lines = (result.reasons + result.notes.map { "said: \($0)" }).map { "\n  " + $0 }.joined()
        return "\(result.id) \(result.verdict.rawValue), replay with ALD_SEED=\(result.seed):\(lines)"
    }
}

extension ScenarioRunner {
    /// Runs the scenario with this number, writes its result down, and demands that it passed and that it is true what it
    /// says of the options that it does not heed.
    ///
    /// - Throws: ``ScenarioNotPassed`` when it did not: unknown is no pass; ``FalseStatement``.
    @discardableResult public func verify(_ id: String) async throws -> ScenarioResult {
        guard let scenario = Catalogue.scenario(id) else {
            throw NeverHappened(description: "no scenario \(id) in the catalogue")
        }
        let (result, heeded) = await execute(scenario) { _ in }
        let wrong = FalseStatement(of: scenario, heeded: heeded)
        var written = result
        if let wrong, result.verdict == .pass { (written.verdict, written.reasons) = (.fail, ["\(wrong)"]) }
        try ResultFile.write(written, to: ResultFile.directory)
        guard result.verdict == .pass else { throw ScenarioNotPassed(result: result) }
        if let wrong { throw wrong }
        return result
    }
}
