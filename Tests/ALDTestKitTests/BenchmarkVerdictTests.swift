import ALDCore
import Testing

@testable import ALDTestKit

/// The checks of the benchmarks find what they are made to find.
@Suite("Verdicts of the benchmarks")
struct BenchmarkVerdictTests {
    /// The scenario with this number, changed, for a moment.
    private func result(
        _ id: String, on host: ScenarioHost, for duration: Duration = .milliseconds(500),
        _ change: (inout Scenario) -> Void
    ) async throws -> ScenarioResult {
        var scenario = try #require(Catalogue.scenario(id))
        change(&scenario)
        var options = ScenarioRunner.Options()
        options.duration = duration
        return await ScenarioRunner(options: options, host: host).run(scenario)
    }

    /// Bounds that nothing can keep.
    private func tighten(_ scenario: inout Scenario) {
        for place in scenario.criteria.indices where scenario.criteria[place].relation == .below {
            scenario.criteria[place].bound /= 1000
        }
    }

    @Test("a bound of a thousandth, a step that nobody has recorded and a rate that is not kept are no pass")
    func noPass() async throws {
        let host = ScenarioHost()
        try await withCleanup {
            let cycle = try await result("BENCH-DC-05", on: host, tighten)
            #expect(cycle.verdict == .fail && cycle.reasons.contains { $0.contains("cycle p95 is") })
            let write = try await result("BENCH-PW-04", on: host, tighten)
            #expect(write.verdict == .fail && write.reasons.contains { $0.contains("round p95") })
            let recipe = try await result("BENCH-RE-05", on: host) { scenario in
                tighten(&scenario)
                scenario.work = UnrecordedStep()
            }
            #expect(recipe.verdict == .fail)
            #expect(recipe.reasons.contains { $0.contains("part of what is allowed") })
            #expect(recipe.reasons.contains { $0.contains("steps without a record is 1") })
            // No thousand parameters are read in a millisecond.
            let behind = try await result("BENCH-DC-05", on: host, for: .milliseconds(50)) { scenario in
                scenario.criteria = [Criterion("lost or doubled", .exactly, 0)]
                scenario.work = CycleBenchmark(parameters: 1000, rate: 1000)
            }
            #expect(behind.verdict == .unknown)
            #expect(behind.reasons.contains { $0.contains("went by without a cycle") })
        } cleanup: {
            try await host.stop()
        }
    }

    /// A recipe of which one step was never begun.
    private struct UnrecordedStep: ScenarioWork {
        func run(_ run: ScenarioRun) async throws {
            let map = try RegisterMap(file: Repository.machine51)
            let whole = try BenchmarkRecipe.writes.recipe(on: map, lasting: .zero)
            try await run.host.withDatabase { database in
                try await withTemporaryDirectory(in: run.host.directory()) { directory in
                    try await RecipeRig.run(map, in: database, directory: directory) { rig in
                        let part = Recipe(name: "part", steps: whole.steps.dropLast())
                        let command = try await rig.start(try await rig.store(part))
                        let account = RunAccount(run: run, recipe: whole, database: database)
                        try await account.waitForEnd(of: command, within: .seconds(120))
                        try await account.note(command, allowed: .milliseconds(100))
                    }
                }
            }
        }
    }
}
