import ALDCore
import Testing

@testable import ALDTestKit

/// What the benchmarks of the catalogue are made of.
@Suite("Parts of the benchmarks")
struct BenchmarkPartsTests {
    private let map: RegisterMap

    init() throws {
        map = try RegisterMap(file: Repository.machine51)
    }

    @Test(
        "a recipe has the steps and loops that the requirement names, however long it is planned to take",
        arguments: [
            (BenchmarkRecipe.simple, 5, 0, [Int]()), (.looped, 20, 0, [10]), (.nested, 50, 3, [2, 2, 2]),
            (.valves, 20, 0, []), (.writes, 100, 0, []),
        ])
    func recipes(recipe: BenchmarkRecipe, steps: Int, depth: Int, loops: [Int]) throws {
        for plan in [Duration.seconds(2), .seconds(450)] {
            let made = try recipe.recipe(on: map, lasting: plan)
            #expect(made.outline.count == steps)
            #expect(made.outline.map(\.step.id) == (1...Int32(steps)).map { $0 })
            #expect(made.outline.map(\.depth).max() == (loops.isEmpty ? 0 : max(depth, 1)))
            let iterations = made.outline.compactMap { entry -> Int? in
                if case .loop(let iterations, _) = entry.step.kind { iterations } else { nil }
            }
            #expect(iterations == loops)
            #expect(RecipeRules(map, interlocks: .cautious(on: map)).problems(of: made) == [])
            // Whole milliseconds a step; never more than was asked for.
            let planned = try #require(made.extent).duration
            #expect(recipe == .writes ? planned == .zero : planned > plan * 0.85 && planned <= plan)
        }
    }

    @Test("ten of a recipe's steps are valve operations, a hundred of another's are writes")
    func operations() throws {
        let valves = try BenchmarkRecipe.valves.recipe(on: map, lasting: .seconds(15))
        #expect(valves.outline.count { $0.step.kind.word == "valve" } == 10)
        let writes = try BenchmarkRecipe.writes.recipe(on: map, lasting: .seconds(15))
        #expect(writes.outline.count { $0.step.kind.word == "parameter" } == 100)
    }

    @Test("a reading that is lost and one that is doubled do not make up for each other")
    func lostAndDoubled() {
        #expect(RecordedRows(rows: 10, distinct: 10).lostOrDoubled(of: 10) == 0)
        #expect(RecordedRows(rows: 10, distinct: 9).lostOrDoubled(of: 10) == 2)
        #expect(RecordedRows(rows: 9, distinct: 9).lostOrDoubled(of: 10) == 1)
        #expect(RecordedRows(rows: 12, distinct: 10).lostOrDoubled(of: 10) == 2)
        #expect(RecordedRows(rows: 11, distinct: 11).lostOrDoubled(of: 10) == 1)
    }

    @Test("mean and standard deviation are those of a sample")
    func spread() {
        let spread = Spread([2, 4, 4, 4, 5, 5, 7, 9])
        #expect(spread.mean == 5 && abs(spread.standardDeviation - 2.138) < 0.001)
        #expect(Spread([3]).mean == 3 && Spread([3]).standardDeviation.isNaN)
        #expect(Spread([]).mean.isNaN)
    }

    @Test("a stage that is heard of again is the same stage, and they are noted in their order")
    func stages() {
        let book = StageBook()
        book.add("b", .seconds(1))
        book.add("a", .seconds(2))
        book.add("b", .seconds(3))
        let run = ScenarioRun(
            Scenario("X", "x", requirement: "x", nominal: .seconds(1), short: .seconds(1)), duration: .seconds(1),
            seed: 1, scale: 1, host: ScenarioHost()
        ) { _ in }
        book.note(run)
        #expect(run.content.distributions.map(\.name) == ["b", "a"])
        #expect(run.content.distributions.map(\.count) == [2, 1])
        #expect(run.value("b max") == 3)
    }
}
