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

        public init(environment: [String: String] = ProcessInfo.processInfo.environment) {
            isSlow = environment["ALD_SLOW"] == "1"
            isVerySlow = environment["ALD_VERY_SLOW"] == "1"
            seed = environment["ALD_SEED"].flatMap { UInt64($0) } ?? .random(in: 0...(.max / 2))
            scale = environment["ALD_SCALE"].flatMap { Double($0) }.flatMap { $0 > 0 ? $0 : nil } ?? 1
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
    /// - Returns: what it has come to; an error of the scenario is a failure, one that nobody has written or for which
    ///   this machine is not made is unknown.
    public func run(
        _ scenario: Scenario, progress: @escaping @Sendable (String) -> Void = { _ in }
    ) async -> ScenarioResult {
        let duration =
            options.duration ?? scenario.duration(isSlow: options.isSlow, isVerySlow: options.isVerySlow)
        let run = ScenarioRun(
            scenario, duration: duration, seed: options.seed, scale: options.scale, host: host, progress: progress)
        let startedAt = run.time.wallClock
        if let work = scenario.work {
            do {
                try await work.run(run)
            } catch let lacking as Unavailable {
                run.lack(lacking)
            } catch {
                run.fail("\(error)")
            }
        } else {
            run.doubt("nobody has written it yet")
        }
        let content = run.content
        let judgement = Judgement(
            scenario.criteria, measurements: content.measurements, problems: content.problems, doubts: content.doubts)
        // That nothing was measured then goes without saying.
        let isExcused = judgement.verdict == .unknown && content.unavailable != nil
        return ScenarioResult(
            id: scenario.id, title: scenario.title, requirement: scenario.requirement, verdict: judgement.verdict,
            reasons: isExcused ? content.doubts : judgement.reasons, unavailable: content.unavailable,
            findings: judgement.findings,
            measurements: content.measurements,
            distributions: content.distributions, series: content.series.values.sorted { $0.name < $1.name },
            faults: content.faults, notes: content.notes, seed: options.seed, scale: options.scale,
            nominalSeconds: scenario.nominal.inSeconds, plannedSeconds: duration.inSeconds,
            isVirtual: scenario.isVirtual, elapsedSeconds: run.elapsed.inSeconds, startedAt: "\(startedAt)",
            machine: .current)
    }
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
    /// Runs the scenario with this number, writes its result down, and demands that it passed.
    ///
    /// - Throws: ``ScenarioNotPassed`` when it did not: unknown is no pass.
    @discardableResult public func verify(_ id: String) async throws -> ScenarioResult {
        guard let scenario = Catalogue.scenario(id) else {
            throw NeverHappened(description: "no scenario \(id) in the catalogue")
        }
        let result = await run(scenario)
        try ResultFile.write(result, to: ResultFile.directory)
        guard result.verdict == .pass else { throw ScenarioNotPassed(result: result) }
        return result
    }
}
