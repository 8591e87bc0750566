import Testing

@testable import ALDCore

/// One recipe, one controller, one story each, in virtual time.
@Suite struct RecipeMachineTests {
    static let precursor = ParameterID(rawValue: 29)
    static let oxidant = ParameterID(rawValue: 30)
    let precursor = Self.precursor
    let oxidant = Self.oxidant
    let flow = ParameterID(rawValue: 8)
    var interlocks: Interlocks {
        Interlocks(
            exclusiveGroups: [[precursor, oxidant]],
            safeState: [SetPoint(precursor, 0), SetPoint(oxidant, 0), SetPoint(flow, 0)])
    }

    /// Two precursors with purges between them, three times over.
    static let cycles = Recipe(
        name: "TMA and water",
        steps: [
            RecipeStep(
                id: 1,
                .loop(
                    iterations: 3,
                    [
                        RecipeStep(id: 2, .valve(precursor, open: .milliseconds(15))),
                        RecipeStep(id: 3, .purge(gas: "N2", for: .seconds(2), flow: nil)),
                        RecipeStep(id: 4, .valve(oxidant, open: .milliseconds(30))),
                        RecipeStep(id: 5, .wait(.seconds(3))),
                    ]))
        ])

    func machine(_ recipe: Recipe) throws -> RecipeMachine {
        try RecipeMachine(recipe, interlocks: interlocks, start: MonotonicInstant(nanoseconds: 0))
    }

    func milliseconds(_ count: Int64) -> MonotonicInstant { MonotonicInstant(nanoseconds: count * 1_000_000) }

    @Test("Pulses last as long as programmed, and calls that take time do not make the recipe longer")
    func exactPulses() throws {
        var machine = try machine(Self.cycles)
        var world = RecipeWorld()
        let ending = try world.run(&machine)
        #expect(ending == RecipeMachine.Ending(outcome: .completed))
        #expect(world.widths(of: precursor) == Array(repeating: .milliseconds(15), count: 3))
        #expect(world.widths(of: oxidant) == Array(repeating: .milliseconds(30), count: 3))
        // The look before the first pulse has no step to hide behind.
        // Nor has the question at the end, whether the controller is still there.
        let programmed: Int64 = 3 * (15 + 2000 + 30 + 3000)
        #expect(world.now == milliseconds(1 + programmed + 1))
        #expect(machine.progress.completedSteps == 12)
        #expect(machine.progress.totalSteps == 12)
    }

    @Test("Waits that end late make no pulse longer and no purge shorter than programmed")
    func lateDriver() throws {
        var machine = try machine(Self.cycles)
        var world = RecipeWorld()
        world.lateness = .milliseconds(1)
        _ = try world.run(&machine)
        let first = world.pulses(of: precursor)
        let second = world.pulses(of: oxidant)
        for (a, b) in zip(first, second) {
            let end = try #require(a.to)
            #expect(end - a.from == .milliseconds(16))
            #expect(b.from - end >= .seconds(2))
        }
    }

    @Test("A close that takes long moves what comes behind it: the purge is whole")
    func slowClose() throws {
        var machine = try machine(Self.cycles)
        var world = RecipeWorld()
        // Call 1 closes the first pulse; its answer never comes, the second try is confirmed.
        world.answers = [1: .executedInDoubt]
        _ = try world.run(&machine)
        let confirmed = world.records.compactMap { if case .pulse(precursor, _, _, _, let at) = $0 { at } else { nil } }
        let opened = world.pulses(of: oxidant)
        #expect(opened[0].from - confirmed[0] >= .seconds(2))
    }

    @Test("Progress inside nested loops counts every iteration, and says where it is")
    func nestedLoops() throws {
        let recipe = Recipe(
            name: "nested",
            steps: [
                RecipeStep(id: 1, .wait(.milliseconds(1))),
                RecipeStep(
                    id: 2,
                    .loop(
                        iterations: 10,
                        [
                            RecipeStep(id: 3, .wait(.milliseconds(1))),
                            RecipeStep(id: 4, .loop(iterations: 3, [RecipeStep(id: 5, .wait(.milliseconds(1)))])),
                        ])),
                RecipeStep(id: 6, .loop(iterations: 3, [RecipeStep(id: 7, .wait(.milliseconds(1)))])),
            ])
        var machine = try machine(recipe)
        var world = RecipeWorld()
        _ = try world.run(&machine)
        #expect(recipe.extent == Recipe.Extent(steps: 1 + 10 * (1 + 3) + 3, duration: .milliseconds(44)))
        #expect(machine.progress.completedSteps == 44)
        let begun = world.records.compactMap {
            if case .began(let step, let at, _) = $0 { "\(step)\(at)" } else { nil }
        }
        #expect(begun.prefix(6) == ["1[]", "3[1]", "5[1, 1]", "5[1, 2]", "5[1, 3]", "3[2]"])
        #expect(begun.suffix(4) == ["5[10, 3]", "7[1]", "7[2]", "7[3]"])
    }

    @Test("Stopped in the middle of a pulse: the valve is closed within one call, then the rest is made safe")
    func stopInPulse() throws {
        var machine = try machine(Self.cycles)
        var world = RecipeWorld(outputs: [flow: 100])
        world.events = [(milliseconds(7), .stop("operator"))]
        let ending = try world.run(&machine)
        #expect(ending == RecipeMachine.Ending(outcome: .aborted("operator")))
        #expect(world.log.map { "\($0.parameter) \($0.value)" } == ["29 1.0", "29 0.0", "30 0.0", "8 0.0"])
        #expect(world.pulses(of: precursor)[0].to == milliseconds(7) + .microseconds(500))
    }

    @Test("An open whose answer is lost is looked at, never repeated: it was open, so the pulse goes on")
    func openInDoubtExecuted() throws {
        var machine = try machine(Recipe(name: "one", steps: [RecipeStep(id: 1, .valve(precursor, open: .seconds(1)))]))
        var world = RecipeWorld()
        world.answers = [0: .executedInDoubt]
        let ending = try world.run(&machine)
        #expect(ending.outcome == .completed)
        #expect(world.log.count { $0.value == 1 } == 1)
        #expect(world.widths(of: precursor) == [.seconds(1)])
    }

    @Test(
        "An open whose answer is lost and which was not executed fails the recipe, and the valve is closed all the same"
    )
    func openInDoubtIgnored() throws {
        var machine = try machine(Self.cycles)
        var world = RecipeWorld()
        world.answers = [0: .ignoredInDoubt]
        let ending = try world.run(&machine)
        guard case .failed = ending.outcome else { Issue.record("\(ending)"); return }
        #expect(world.log.first == RecipeWorld.Change(parameter: precursor, value: 0, at: world.log[0].at))
        #expect(!world.log.contains { $0.value == 1 })
    }

    @Test("The controller is away when a valve has to be closed: it is closed as soon as the controller is back")
    func lossWhileOpen() throws {
        var machine = try machine(Self.cycles)
        var world = RecipeWorld()
        world.outage = (milliseconds(5), milliseconds(90_000))
        let ending = try world.run(&machine)
        guard case .failed(let reason) = ending.outcome else { Issue.record("\(ending)"); return }
        #expect(reason.contains("could not be closed"))
        let closed = try #require(world.pulses(of: precursor)[0].to)
        #expect(closed >= milliseconds(90_000) && closed <= milliseconds(91_100))
        #expect(ending.unsecured.isEmpty)
        #expect(machine.maybeOpen.isEmpty)
    }

    @Test("A shutdown that cannot reach the controller ends in time and names what may be open")
    func shutdownWithoutController() throws {
        var machine = try machine(Self.cycles)
        var world = RecipeWorld()
        world.outage = (milliseconds(5), milliseconds(900_000))
        world.events = [(milliseconds(1000), .shutDown(by: milliseconds(6000)))]
        let ending = try world.run(&machine)
        #expect(world.now <= milliseconds(6000))
        #expect(ending.unsecured.contains(SetPoint(precursor, 0)))
    }

    @Test("A short disturbance costs a late start or a long pulse, not the recipe")
    func shortDisturbance() throws {
        var machine = try machine(Self.cycles)
        var world = RecipeWorld()
        world.answers = [0: .lost, 2: .lost, 4: .lost]
        let ending = try world.run(&machine)
        #expect(ending.outcome == .completed)
        #expect(world.records.count { if case .trouble = $0 { true } else { false } } == 3)
    }

    @Test("A ramp moves evenly from where the set point is, and the value is read back at its end")
    func ramp() throws {
        let recipe = Recipe(
            name: "ramp",
            steps: [RecipeStep(id: 1, .parameter(SetPoint(flow, 100), ramp: 50, hold: .seconds(5)))])
        var machine = try machine(recipe)
        var world = RecipeWorld(outputs: [flow: 0])
        let ending = try world.run(&machine)
        #expect(ending.outcome == .completed)
        let values = world.log.map(\.value)
        #expect(values.count == 21)
        #expect(values == values.sorted())
        #expect(values.last == 100)
        for (a, b) in zip(values, values.dropFirst()) { #expect(b - a <= 5.0001) }
        #expect(world.now >= milliseconds(7000) && world.now <= milliseconds(7010))
    }

    @Test(
        "Where no ramp can begin the recipe fails, and only the safe state is written",
        arguments: [.nan, .infinity, 1.5e35, -1e12])
    func rampFromNowhere(start: Double) throws {
        let recipe = Recipe(
            name: "ramp", steps: [RecipeStep(id: 1, .parameter(SetPoint(flow, 100), ramp: 50, hold: .zero))])
        var machine = try machine(recipe)
        var world = RecipeWorld(outputs: [flow: start])
        let ending = try world.run(&machine)
        #expect(
            ending.outcome
                == .failed("parameter 8 reads as \(start), and no ramp of this slope can begin there"))
        #expect(world.log.allSatisfy { $0.value == 0 })
    }

    @Test("A set point that does not read back as it was written fails the recipe")
    func readBackDiffers() throws {
        let recipe = Recipe(
            name: "set", steps: [RecipeStep(id: 1, .parameter(SetPoint(flow, 100), ramp: nil, hold: .zero))])
        var machine = try machine(recipe)
        var world = RecipeWorld(outputs: [flow: 7])
        world.answers = [0: .ignoredInDoubt]
        let ending = try world.run(&machine)
        #expect(ending.outcome == .failed("parameter 8 was set to 100.0 and reads back as 7.0"))
    }

    @Test("A pause begins after the step, never within a pulse, and moves what comes behind it")
    func pause() throws {
        var machine = try machine(Self.cycles)
        var world = RecipeWorld()
        world.events = [(milliseconds(3), .pause), (milliseconds(60_000), .resume)]
        let ending = try world.run(&machine)
        #expect(ending.outcome == .completed)
        #expect(world.pulses(of: precursor)[0].to == milliseconds(16) + .microseconds(500))
        #expect(world.pulses(of: oxidant)[0].from == milliseconds(62_000) + .microseconds(500))
    }

    @Test("While a call is under way no second one is made, whatever is asked for")
    func oneCallAtATime() throws {
        var machine = try machine(Self.cycles)
        #expect(machine.next(now: milliseconds(0)) == .look(at: [oxidant], by: milliseconds(250)))
        #expect(machine.next(now: milliseconds(0)) == .listen)
        machine.happened(.saw([oxidant: 0]), now: milliseconds(0))
        #expect(machine.next(now: milliseconds(0)) == .write(SetPoint(precursor, 1), by: milliseconds(250)))
        machine.happened(.stop("operator"), now: milliseconds(1))
        #expect(machine.next(now: milliseconds(1)) == .listen)
        machine.happened(.written, now: milliseconds(2))
        #expect(machine.next(now: milliseconds(2)) == .write(SetPoint(precursor, 0), by: milliseconds(252)))
    }

    @Test("A purge begins when its flow is set, however long that took")
    func purgeWaitsForFlow() throws {
        let recipe = Recipe(
            name: "purge", steps: [RecipeStep(id: 1, .purge(gas: "N2", for: .seconds(2), flow: SetPoint(flow, 80)))])
        var machine = try machine(recipe)
        var world = RecipeWorld()
        world.latency = .milliseconds(200)
        _ = try world.run(&machine)
        // And the last answer of the controller is asked for at the end.
        #expect(world.now == milliseconds(2200 + 200))
    }

    @Test("A valve that a stranger has opened keeps those that exclude it closed: the recipe fails")
    func strangerOpens() throws {
        var machine = try machine(Self.cycles)
        var world = RecipeWorld()
        // During the second purge, long after the look at the start.
        world.strangers = [RecipeWorld.Change(parameter: precursor, value: 1, at: milliseconds(1000))]
        let ending = try world.run(&machine)
        #expect(
            ending.outcome == .failed("valve 30 is not opened: valve 29 is open, and they exclude each other"))
        #expect(world.pulses(of: oxidant).isEmpty)
        #expect(world.pulses(of: precursor).count == 2 && world.pulses(of: precursor)[1].to != nil)
    }

    @Test("What excludes a valve is looked at at most 100 ms before each opening, also after a pause")
    func looks() throws {
        var machine = try machine(Self.cycles)
        var world = RecipeWorld()
        // In the middle of the look ahead of the first oxidant pulse.
        world.events = [(milliseconds(1967), .pause), (milliseconds(60_000), .resume)]
        let ending = try world.run(&machine)
        #expect(ending.outcome == .completed)
        let openings = (world.pulses(of: precursor) + world.pulses(of: oxidant)).map(\.from)
        #expect(openings.count == 6)
        for opening in openings {
            #expect(world.looks.contains { $0 <= opening && opening - $0 <= .milliseconds(101) }, "\(opening)")
        }
    }

    @Test("A look that is not answered is repeated; without any answer the valve stays closed and the recipe fails")
    func blind() throws {
        var machine = try machine(Self.cycles)
        var world = RecipeWorld()
        world.blindLooks = [0, 2]
        let ending = try world.run(&machine)
        #expect(ending.outcome == .completed)
        var other = try self.machine(Self.cycles)
        world = RecipeWorld()
        world.blindLooks = Set(0..<100)
        guard case .failed(let reason) = try world.run(&other).outcome else { Issue.record("not failed"); return }
        #expect(reason == "valve 29 is not opened: what it excludes cannot be read: no answer")
        #expect(!world.log.contains { $0.value == 1 })
    }

    @Test("A slow controller is looked at once per opening and no more")
    func slowLooks() throws {
        var machine = try machine(Self.cycles)
        var world = RecipeWorld()
        world.latency = .milliseconds(200)
        let ending = try world.run(&machine)
        #expect(ending.outcome == .completed)
        #expect(world.looks.count <= 12)
    }

    @Test("A ramp goes down as well as up")
    func rampDown() throws {
        let recipe = Recipe(
            name: "ramp", steps: [RecipeStep(id: 1, .parameter(SetPoint(flow, 20), ramp: 100, hold: .zero))])
        var machine = try machine(recipe)
        var world = RecipeWorld(outputs: [flow: 120])
        _ = try world.run(&machine)
        let values = world.log.map(\.value)
        #expect(values == values.sorted(by: >))
        #expect(values.allSatisfy { (20...120).contains($0) })
        #expect(values.last == 20)
    }
}
