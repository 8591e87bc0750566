import Testing

@testable import ALDCore

/// A recipe never succeeds without its controller, also one that only waits: told in virtual time.
@Suite struct RecipePresenceTests {
    let precursor = RecipeMachineTests.precursor
    let flow = ParameterID(rawValue: 8)

    func milliseconds(_ count: Int64) -> MonotonicInstant { MonotonicInstant(nanoseconds: count * 1_000_000) }

    func machine(_ kinds: RecipeStep.Kind...) throws -> RecipeMachine {
        let steps = kinds.enumerated().map { RecipeStep(id: Int32($0.offset + 1), $0.element) }
        return try RecipeMachine(
            Recipe(name: "test", steps: steps),
            interlocks: Interlocks(safeState: [SetPoint(precursor, 0), SetPoint(flow, 0)]),
            start: milliseconds(0))
    }

    @Test("Gone in the middle of an hour: the recipe fails after 5 s of silence, and is made safe when it is back")
    func goneWhileWaiting() throws {
        var machine = try machine(
            .purge(gas: "N2", for: .seconds(1), flow: SetPoint(flow, 80)), .wait(.seconds(3600)))
        var world = RecipeWorld()
        world.outage = (milliseconds(100_000), milliseconds(700_000))
        let ending = try world.run(&machine)
        guard case .failed(let reason) = ending.outcome else { Issue.record("\(ending)"); return }
        #expect(reason.hasPrefix("the controller has not answered for "))
        let broken = world.records.compactMap { if case .broken(2, _, let at, _) = $0 { at } else { nil } }
        #expect(broken.count == 1 && broken[0] >= milliseconds(104_000) && broken[0] <= milliseconds(106_300))
        #expect(world.outputs[flow] == 0)
        let off = try #require(world.log.last { $0.parameter == flow })
        #expect(off.at >= milliseconds(700_000) && off.at <= milliseconds(701_100))
    }

    @Test("Three seconds of silence in a long wait are no reason to spoil a run")
    func shortSilence() throws {
        var machine = try machine(.wait(.seconds(60)))
        var world = RecipeWorld()
        world.outage = (milliseconds(10_000), milliseconds(13_000))
        #expect(try world.run(&machine).outcome == .completed)
    }

    @Test("Gone just before the end: all steps are done, and still the recipe has not succeeded")
    func goneAtTheEnd() throws {
        var machine = try machine(.wait(.seconds(3)))
        var world = RecipeWorld(outputs: [flow: 5])
        world.outage = (milliseconds(2500), milliseconds(60_000))
        let ending = try world.run(&machine)
        guard case .failed(let reason) = ending.outcome else { Issue.record("\(ending)"); return }
        #expect(reason.hasPrefix("the controller has not answered for "))
        #expect(machine.progress.completedSteps == 1)
        #expect(world.outputs[flow] == 0)
    }

    @Test("Away for a moment at the end: the recipe is completed as soon as it answers")
    func backAtTheEnd() throws {
        var machine = try machine(.wait(.seconds(3)))
        var world = RecipeWorld()
        world.outage = (milliseconds(2500), milliseconds(3200))
        #expect(try world.run(&machine).outcome == .completed)
        #expect(world.now >= milliseconds(3200) && world.now <= milliseconds(3800))
    }

    @Test("Gone while a recipe is paused: it fails, for nobody could resume it")
    func goneWhilePaused() throws {
        var machine = try machine(.wait(.seconds(3)))
        var world = RecipeWorld()
        world.events = [(milliseconds(500), .pause), (milliseconds(900_000), .resume)]
        world.outage = (milliseconds(20_000), milliseconds(30_000))
        guard case .failed = try world.run(&machine).outcome else { Issue.record("not failed"); return }
        #expect(world.now < milliseconds(32_000))
    }

    @Test("The process stood still with a valve open: the valve is closed, and none is opened any more")
    func standstill() throws {
        var machine = try machine(
            .valve(precursor, open: .milliseconds(50)), .wait(.seconds(2)), .valve(precursor, open: .seconds(1)))
        #expect(machine.next(now: milliseconds(0)) == .write(SetPoint(precursor, 1), by: milliseconds(250)))
        machine.happened(.written, now: milliseconds(1))
        #expect(machine.next(now: milliseconds(1)) == .wait(until: milliseconds(50)))
        // Stopped, and let go on: what it does first is what it would have done, and that is all.
        #expect(machine.next(now: milliseconds(9000)) == .write(SetPoint(precursor, 0), by: milliseconds(9250)))
        machine.happened(.written, now: milliseconds(9001))
        #expect(machine.next(now: milliseconds(9001)) == .write(SetPoint(flow, 0), by: milliseconds(9251)))
        machine.happened(.written, now: milliseconds(9002))
        #expect(
            machine.next(now: milliseconds(9002))
                == .finish(RecipeMachine.Ending(outcome: .failed("this process stood still for 9.0 s"))))
    }

    @Test("Thousands of short waits that are over at once cost no stack")
    func shortWaits() throws {
        var configuration = RecipeMachine.Configuration()
        configuration.longestStandstill = .seconds(3600)
        let waits = RecipeStep.Kind.loop(iterations: 1000, [RecipeStep(id: 11, .wait(.milliseconds(1)))])
        var machine = try RecipeMachine(
            Recipe(
                name: "test",
                steps: [RecipeStep(id: 1, .loop(iterations: 200, [RecipeStep(id: 10, waits)]))]),
            interlocks: Interlocks(), configuration: configuration, start: milliseconds(0))
        #expect(machine.next(now: milliseconds(0)) == .wait(until: milliseconds(1)))
        #expect(machine.next(now: milliseconds(200_000)) == .probe(by: milliseconds(200_250)))
        #expect(machine.progress.completedSteps == 200_000)
    }

    @Test("A process that is late by less than a second goes on")
    func late() throws {
        var machine = try machine(.valve(precursor, open: .milliseconds(50)), .wait(.seconds(60)))
        var world = RecipeWorld()
        world.lateness = .milliseconds(900)
        #expect(try world.run(&machine).outcome == .completed)
    }

    @Test(
        "Nothing waits for the answer, and no controller is called lost that is only slow",
        arguments: [1, 60, 120, 180, 240])
    func neverInTheWay(latency: Int64) throws {
        for length in stride(from: Int64(20), through: 1600, by: 30) {
            var machine = try machine(
                .valve(precursor, open: .milliseconds(300 + length)),
                .loop(iterations: 20, [RecipeStep(id: 10, .wait(.milliseconds(length)))]),
                .valve(precursor, open: .milliseconds(300)),
                .loop(iterations: 10, [RecipeStep(id: 11, .purge(gas: "N2", for: .milliseconds(length), flow: nil))]))
            var world = RecipeWorld()
            world.latency = .milliseconds(latency)
            let ending = try world.run(&machine)
            #expect(ending.outcome == .completed, "steps of \(length) ms: \(ending)")
            #expect(world.widths(of: precursor) == [.milliseconds(300 + length), .milliseconds(300)], "\(length) ms")
            // Each close is late by one call and moves what is behind it; then comes the question at the end.
            let programmed = 300 + length + 20 * length + 300 + 10 * length
            let calls = (latency > 5 ? 2 : 0) * latency
            #expect(world.now <= milliseconds(programmed + calls + latency), "\(length) ms")
        }
    }

    @Test("Short waits, one after the other for an hour: a controller that is gone is noticed all the same")
    func goneBetweenShortWaits() throws {
        var machine = try machine(
            .loop(iterations: 36_000, [RecipeStep(id: 10, .wait(.milliseconds(100)))]))
        var world = RecipeWorld()
        world.outage = (milliseconds(10_000), milliseconds(60_000))
        guard case .failed = try world.run(&machine).outcome else { Issue.record("not failed"); return }
        #expect(world.now < milliseconds(62_000))
    }

    @Test("A pulse that was seconds too long fails the recipe, though the valve could be closed")
    func overrun() throws {
        var machine = try machine(.valve(precursor, open: .milliseconds(15)))
        #expect(machine.next(now: milliseconds(0)) == .write(SetPoint(precursor, 1), by: milliseconds(250)))
        machine.happened(.written, now: milliseconds(1))
        #expect(machine.next(now: milliseconds(4000)) == .write(SetPoint(precursor, 0), by: milliseconds(4250)))
        machine.happened(.written, now: milliseconds(4001))
        // Closed, and then all that is safe.
        for safe in [precursor, flow] {
            #expect(machine.next(now: milliseconds(4001)) == .write(SetPoint(safe, 0), by: milliseconds(4251)))
            machine.happened(.written, now: milliseconds(4001))
        }
        #expect(
            machine.next(now: milliseconds(4002))
                == .finish(
                    RecipeMachine.Ending(outcome: .failed("valve 29 was open for 4.0 s longer than programmed"))))
    }

    @Test("Settings with which every recipe would fail are refused")
    func settings() {
        var configuration = RecipeMachine.Configuration()
        (configuration.probeInterval, configuration.longestOverrun) = (.seconds(6), .milliseconds(100))
        do {
            try configuration.validate()
            Issue.record("accepted")
        } catch {
            #expect(error.problems.count == 3, "\(error)")
        }
    }

    @Test("A controller that shows what was written only after its next cycle is asked again")
    func staleReadBack() throws {
        var machine = try machine(.parameter(SetPoint(flow, 100), ramp: nil, hold: .seconds(1)))
        var world = RecipeWorld(outputs: [flow: 20])
        world.staleReads = [0, 1, 2]
        #expect(try world.run(&machine).outcome == .completed)
        var other = try self.machine(.parameter(SetPoint(flow, 100), ramp: nil, hold: .seconds(1)))
        world = RecipeWorld(outputs: [flow: 20])
        world.staleReads = Set(0..<1000)
        #expect(
            try world.run(&other).outcome == .failed("parameter 8 was set to 100.0 and reads back as 20.0"))
        #expect(world.log.count { $0.value == 100 } == 1, "an ambiguous write is never repeated")
    }
}
