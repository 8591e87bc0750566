import Testing

@testable import ALDCore

/// Thousands of random recipes, each with random faults, stops and losses: no two exclusive valves are ever open
/// together, and none stays open. Judged by the controller's own log.
@Suite struct RecipeSchedulesTests {
    static let valves = (29...32).map { ParameterID(rawValue: $0) }
    static let flow = ParameterID(rawValue: 8)
    static let interlocks = Interlocks(exclusiveGroups: [Set(valves)], safeState: [SetPoint(flow, 0)])

    @Test(arguments: 0..<20) func noTwoOpenAndNoneStaysOpen(part: Int) throws {
        for number in 0..<250 {
            let seed = UInt64(part * 1000 + number)
            do {
                try Self.story(seed: seed)
            } catch {
                Issue.record("seed \(seed): \(error)")
                return
            }
        }
    }

    struct Broken: Error, CustomStringConvertible {
        let description: String
    }

    static func story(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var number: Int32 = 0
        let recipe = Recipe(name: "random", steps: steps(depth: 0, &number, &random))
        guard let extent = recipe.extent else { throw Broken(description: "no extent") }
        var machine = try RecipeMachine(recipe, interlocks: interlocks, start: MonotonicInstant(nanoseconds: 0))
        var world = RecipeWorld(outputs: [flow: 50])
        world.latency = .microseconds(Int64.random(in: 200...8000, using: &random))
        world.lateness = .microseconds(Int64.random(in: 0...2000, using: &random))
        if Int.random(in: 0..<4, using: &random) == 0 {
            world.latency = .milliseconds(Int64.random(in: 20...240, using: &random))
        }
        var faults = 0
        if Bool.random(using: &random) {
            let kinds: [RecipeWorld.Answer] = [.lost, .refused, .executedInDoubt, .ignoredInDoubt]
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                world.answers[Int.random(in: 0..<60, using: &random)] = kinds.randomElement(using: &random)
                faults += 1
            }
        }
        let end = extent.duration.wholeNanoseconds
        func someTime() -> MonotonicInstant {
            MonotonicInstant(nanoseconds: Int64.random(in: 0...max(1, end), using: &random))
        }
        if Int.random(in: 0..<4, using: &random) == 0 {
            let from = someTime()
            world.outage = (from, from + .milliseconds(Int64.random(in: 1...20_000, using: &random)))
            faults += 1
        }
        if Bool.random(using: &random) {
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                world.blindLooks.insert(Int.random(in: 0..<20, using: &random))
            }
            faults += 1
        }
        var stops = 0
        if Int.random(in: 0..<3, using: &random) == 0 {
            let events: [RecipeMachine.Event] = [
                .stop("operator"), .shutDown(by: someTime() + .seconds(3600)),
            ]
            if let event = events.randomElement(using: &random) { world.events.append((someTime(), event)) }
            stops += 1
        }
        if Int.random(in: 0..<4, using: &random) == 0 {
            let from = someTime()
            world.events += [(from, .pause), (from + .seconds(3), .resume)]
        }
        let ending = try world.run(&machine)
        try judge(world, ending, machine, extent, undisturbed: faults + stops == 0)
    }

    static func judge(
        _ world: RecipeWorld, _ ending: RecipeMachine.Ending, _ machine: RecipeMachine, _ extent: Recipe.Extent,
        undisturbed: Bool
    ) throws {
        var open: Set<ParameterID> = []
        for change in world.log where valves.contains(change.parameter) {
            if change.value != 0 { open.insert(change.parameter) } else { open.remove(change.parameter) }
            if open.count > 1 { throw Broken(description: "\(open) are open together at \(change.at)") }
        }
        if !open.isEmpty { throw Broken(description: "\(open) stay open after \(ending)") }
        if !machine.maybeOpen.isEmpty || !ending.unsecured.isEmpty { throw Broken(description: "unsecured: \(ending)") }
        if machine.progress.completedSteps > extent.steps { throw Broken(description: "more steps than there are") }
        let isCompleted = ending.outcome == .completed
        if isCompleted,
            machine.progress.completedSteps != extent.steps || world.now - world.heardAt > .milliseconds(100)
        {
            throw Broken(description: "\(ending) after \(machine.progress), heard of at \(world.heardAt)")
        }
        if undisturbed, !isCompleted { throw Broken(description: "nothing happened, and still \(ending)") }
        if !isCompleted, world.outputs[flow] != 0 {
            throw Broken(description: "the flow is left at \(String(describing: world.outputs[flow]))")
        }
        // A pulse that was recorded is never shorter than programmed.
        for case .pulse(let valve, let programmed, let opened, let closed, _) in world.records
        where closed - opened < programmed { throw Broken(description: "a pulse of \(valve) was short") }
    }

    static func steps(depth: Int, _ number: inout Int32, _ random: inout SeededGenerator) -> [RecipeStep] {
        (0..<Int.random(in: 1...4, using: &random)).map { _ in
            number += 1
            let id = number
            func time() -> Duration {
                .milliseconds(
                    Int64.random(in: 1...(Int.random(in: 0..<8, using: &random) == 0 ? 8000 : 400), using: &random))
            }
            switch Int.random(in: 0..<(depth < 3 ? 7 : 5), using: &random) {
            case 0, 1:
                return RecipeStep(
                    id: id, .valve(valves[Int.random(in: 0..<valves.count, using: &random)], open: time()))
            case 2:
                return RecipeStep(
                    id: id, .purge(gas: "N2", for: time(), flow: Bool.random(using: &random) ? SetPoint(flow, 80) : nil)
                )
            case 3:
                return RecipeStep(
                    id: id,
                    .parameter(
                        SetPoint(flow, Double(Int.random(in: 1...200, using: &random))),
                        ramp: Bool.random(using: &random) ? 200 : nil, hold: time()))
            case 4: return RecipeStep(id: id, .wait(time()))
            default:
                return RecipeStep(
                    id: id,
                    .loop(iterations: Int.random(in: 1...3, using: &random), steps(depth: depth + 1, &number, &random)))
            }
        }
    }
}
