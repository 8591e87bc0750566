import ALDTestKit
import Testing

@testable import ALDCore

/// What happens between the order to stop and the end.
@Suite struct RecipeSecuringTests {
    let precursor = RecipeMachineTests.precursor
    let vent = RecipeMachineTests.oxidant

    func milliseconds(_ count: Int64) -> MonotonicInstant { MonotonicInstant(nanoseconds: count * 1_000_000) }

    @Test("A safe state that opens a vent waits until the valve that it excludes is closed", arguments: [1, 3, 8])
    func ventsAfterClosing(lost: Int) throws {
        let interlocks = Interlocks(exclusiveGroups: [[precursor, vent]], safeState: [SetPoint(vent, 1)])
        var machine = try RecipeMachine(
            Recipe(name: "test", steps: [RecipeStep(id: 1, .valve(precursor, open: .seconds(50)))]),
            interlocks: interlocks, start: milliseconds(0))
        var world = RecipeWorld()
        world.events = [(milliseconds(500), .stop("operator"))]
        // Call 0 opens; the closes are lost.
        for call in 1...lost { world.answers[call] = .lost }
        let ending = try world.run(&machine)
        #expect(ending.outcome == .aborted("operator") && ending.unsecured.isEmpty)
        #expect(world.log.map { "\($0.parameter) \($0.value)" } == ["29 1.0", "29 0.0", "30 1.0"])
    }

    @Test("A valve that the recipe has opened and that the safe state wants open is closed first, and open at the end")
    func reopened() throws {
        var machine = try RecipeMachine(
            Recipe(name: "test", steps: [RecipeStep(id: 1, .valve(vent, open: .seconds(50)))]),
            interlocks: Interlocks(safeState: [SetPoint(vent, 1)]), start: milliseconds(0))
        var world = RecipeWorld()
        world.events = [(milliseconds(500), .stop("operator"))]
        world.answers = [1: .lost]
        #expect(try world.run(&machine).unsecured.isEmpty)
        #expect(world.log.map(\.value) == [1, 0, 1])
    }

    @Test("A safe state that opens two valves of one exclusive group is refused")
    func contradiction() throws {
        let map = try RegisterMap(file: Repository.machine51)
        let valves = try (1...2).map { try map.parameter(named: "Valve \($0).valve_state").id }
        let interlocks = Interlocks(exclusiveGroups: [Set(valves)], safeState: valves.map { SetPoint($0, 1) })
        #expect(
            interlocks.problems(on: map) == [
                "safe state: it opens Valve 1.valve_state and Valve 2.valve_state, and exclusive group 1 lets one be open"
            ])
        #expect(
            Interlocks(exclusiveGroups: [Set(valves)], safeState: [SetPoint(valves[0], 1)]).problems(on: map).isEmpty)
    }
}
