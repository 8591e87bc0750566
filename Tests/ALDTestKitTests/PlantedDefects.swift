import Testing

@testable import ALDTestKit

/// What a run of a scenario of the catalogue has seen, without one, judged by the scenario's own criteria.
struct PlantedDefects<Seen: Sendable> {
    /// One defect, and the measures that a run with it fails by, no more and no fewer.
    typealias Defect = (measures: Set<String>, plant: @Sendable (inout Seen) -> Void)

    let id: String
    /// What a run sees in which all is well.
    let good: Seen
    let note: @Sendable (Seen, ScenarioRun) async throws -> Void

    private struct Work: ScenarioWork {
        var body: @Sendable (ScenarioRun) async throws -> Void
        func run(_ run: ScenarioRun) async throws { try await body(run) }
    }

    func result(_ plant: (inout Seen) -> Void = { _ in }) async throws -> ScenarioResult {
        var scenario = try #require(Catalogue.scenario(id))
        var seen = good
        plant(&seen)
        scenario.work = Work { [seen, note] run in try await note(seen, run) }
        return await ScenarioRunner(host: ScenarioHost()).run(scenario)
    }

    /// Expects the good run to pass, each defect to be found by its measures alone, and every criterion of the scenario to
    /// find one.
    func expectFound(
        _ defects: [Defect], and more: [Defect] = [], sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let defects = defects + more
        let good = try await result()
        #expect(good.verdict == .pass, "\(id): \(good.reasons)", sourceLocation: sourceLocation)
        for (number, defect) in defects.enumerated() {
            let bad = try await result(defect.plant)
            let failed = Set(bad.findings.filter { $0.verdict != .pass }.map(\.criterion.measure))
            #expect(
                bad.verdict == .fail && failed == defect.measures, "\(id), defect \(number): \(bad.reasons)",
                sourceLocation: sourceLocation)
        }
        let found = defects.reduce(into: Set<String>()) { $0.formUnion($1.measures) }
        let demanded = Set(try #require(Catalogue.scenario(id)).criteria.map(\.measure))
        #expect(demanded.subtracting(found) == [], "\(id): nothing is planted", sourceLocation: sourceLocation)
    }

    /// Expects a run that shows nothing, and says why.
    func expectUnknown(
        _ reason: String, sourceLocation: SourceLocation = #_sourceLocation, _ plant: (inout Seen) -> Void
    ) async throws {
        let result = try await result(plant)
        #expect(
            result.verdict == .unknown && result.reasons.contains { $0.contains(reason) }, "\(id): \(result.reasons)",
            sourceLocation: sourceLocation)
    }
}

/// What a process holds at the looks of a run, as it is told.
struct PlantedHoldings: Sendable {
    /// From one look to the next there is so much more of each.
    var gained: [String: Int] = [:]
    /// At every look, besides.
    var base: [String: Int] = [
        LeakWatch.heap: 100_000, LeakWatch.descriptors: 30, LeakWatch.sockets: 8, LeakWatch.threads: 6,
        LeakWatch.workers: 4,
    ]

    func value(_ name: String, at look: Int) -> Int { base[name, default: 0] + gained[name, default: 0] * look }

    /// What nobody plants, read once: there are thousands of looks.
    private static let process = ProcessProbe()

    func probe(at look: Int) -> ProcessProbe {
        var probe = Self.process
        probe.descriptors = value(LeakWatch.descriptors, at: look)
        probe.sockets = value(LeakWatch.sockets, at: look)
        probe.workerThreads = value(LeakWatch.workers, at: look)
        probe.threads = value(LeakWatch.threads, at: look) + value(LeakWatch.workers, at: look)
        return probe
    }
}

extension CommandAccount {
    /// Two commands, both of them carried out.
    static var planted: CommandAccount {
        let targets = [1, 2].map { Target(machine: 1, parameter: $0, value: 0.5) }
        return CommandAccount(
            asked: 2, commands: targets.map { Command(target: $0, status: "succeeded", total: .milliseconds(5)) },
            taken: 2, writes: Dictionary(targets.map { ($0, 1) }, uniquingKeysWith: +))
    }

    /// One more was asked for, whose insertion was confirmed, and which nobody knows.
    mutating func lose() { asked += 1 }

    /// One has succeeded by its record, and never reached the machine.
    mutating func pretend() { writes?[commands[0].target] = nil }

    /// One is carried out twice.
    mutating func double() { writes?[commands[0].target] = 2 }

    mutating func fail() {
        commands[0].status = "failed"
        writes?[commands[0].target] = nil
    }
}
