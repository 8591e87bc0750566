import ALDCore
import Synchronization

/// Asks for recipes in a ``World`` at seeded instants, and now and then for the end of what runs.
final class WorldShift: Sendable {
    private let table: WorldRecipeTable
    private let recipes: Int
    private let world: World
    private let end: MonotonicInstant
    private let random: Mutex<SeededGenerator>

    /// - Parameter end: from then on nobody asks.
    init(_ table: WorldRecipeTable, recipes: Int, until end: MonotonicInstant, world: World) {
        (self.table, self.recipes, self.world, self.end) = (table, recipes, world, end)
        random = Mutex(world.stream("shift"))
    }

    func begin() {
        if recipes > 0 { comeBack() }
    }

    private func comeBack() {
        let pause = random.withLock { Duration.milliseconds(Int.random(in: 1000...240_000, using: &$0)) }
        if world.now + pause >= end { return }
        world.schedule(at: world.now + pause) {
            self.ask()
            self.comeBack()
        }
    }

    private func ask() {
        let (recipe, isStopped, after) = random.withLock { random in
            (
                Int64.random(in: 1...Int64(recipes), using: &random), Int.random(in: 0..<4, using: &random) == 0,
                Duration.milliseconds(Int.random(in: 10...20_000, using: &random))
            )
        }
        table.ask(.start, recipe: recipe, timeout: .seconds(60))
        guard isStopped, world.now + after < end else { return }
        world.schedule(at: world.now + after) {
            if let process = self.table.running { self.table.ask(.stop, process: process, timeout: .seconds(60)) }
        }
    }

    /// What is asked for: pulses of each valve in turn, with purges between them.
    ///
    /// - Parameter valves: exclude each other.
    static func recipes(_ valves: [ParameterID]) -> [Recipe] {
        guard valves.count >= 2 else { return [] }
        return (1...3).map { number in
            let pulses = valves.enumerated().flatMap { index, valve in
                [
                    RecipeStep(
                        id: Int32(2 + 2 * index), .valve(valve, open: .milliseconds(20 * number * number + 30 * index))),
                    RecipeStep(
                        id: Int32(3 + 2 * index), .purge(gas: "N2", for: .milliseconds(300 * number), flow: nil)),
                ]
            }
            return Recipe(
                name: "recipe \(number)", steps: [RecipeStep(id: 1, .loop(iterations: 2 * number, pulses))])
        }
    }
}
