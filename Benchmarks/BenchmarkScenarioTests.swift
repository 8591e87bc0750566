import ScenarioCase

/// The benchmarks of the catalogue: cycles of the collection, recipes, parameter commands, paths through all terminals and
/// what these use. One class, and so one server for all of them.
final class BenchmarkScenarioTests: ScenarioCase {
    func test_BENCH_DC_01_tenParameters() async throws { try await Self.verify("BENCH-DC-01") }
    func test_BENCH_DC_02_fifty() async throws { try await Self.verify("BENCH-DC-02") }
    func test_BENCH_DC_03_aHundred() async throws { try await Self.verify("BENCH-DC-03") }
    func test_BENCH_DC_04_fiveHundred() async throws { try await Self.verify("BENCH-DC-04") }
    func test_BENCH_DC_05_tenTimesASecond() async throws { try await Self.verify("BENCH-DC-05") }

    func test_BENCH_RE_01_fiveSteps() async throws { try await Self.verify("BENCH-RE-01") }
    func test_BENCH_RE_02_aLoop() async throws { try await Self.verify("BENCH-RE-02") }
    func test_BENCH_RE_03_nestedLoops() async throws { try await Self.verify("BENCH-RE-03") }
    func test_BENCH_RE_04_valves() async throws { try await Self.verify("BENCH-RE-04") }
    func test_BENCH_RE_05_writes() async throws { try await Self.verify("BENCH-RE-05") }

    func test_BENCH_PW_01_aSingleWrite() async throws { try await Self.verify("BENCH-PW-01") }
    func test_BENCH_PW_02_tenAtOnce() async throws { try await Self.verify("BENCH-PW-02") }
    func test_BENCH_PW_03_aBatch() async throws { try await Self.verify("BENCH-PW-03") }
    func test_BENCH_PW_04_confirmed() async throws { try await Self.verify("BENCH-PW-04") }

    func test_E2E_01_aCommandUntilItsRecord() async throws { try await Self.verify("E2E-01") }
    func test_E2E_02_aRecipesFirstStep() async throws { try await Self.verify("E2E-02") }
    func test_E2E_03_aWholeRecipe() async throws { try await Self.verify("E2E-03") }
    func test_E2E_04_fromOutside() async throws { try await Self.verify("E2E-04") }

    func test_PROF_01_idle() async throws { try await Self.verify("PROF-01") }
    func test_PROF_02_light() async throws { try await Self.verify("PROF-02") }
    func test_PROF_03_normal() async throws { try await Self.verify("PROF-03") }
    func test_PROF_04_heavy() async throws { try await Self.verify("PROF-04") }
    func test_PROF_05_extreme() async throws { try await Self.verify("PROF-05") }
}
