import Foundation
import Testing

@testable import ALDCore
@testable import ALDTestKit

/// The reference against which Terminal 3 runs, and the audit of what it wrote.
@Suite("Commands in the world") struct CommandQueueModelTests {
    private let start = World.beginning
    private let heater = ParameterID(rawValue: 1)

    private func at(_ seconds: Int) -> MonotonicInstant { start + .seconds(seconds) }

    private func ask(
        _ value: Double, _ queue: inout CommandQueueModel, of parameter: Int32 = 1, within seconds: Int = 60
    ) -> Int64 {
        queue.ask(
            SetPoint(ParameterID(rawValue: parameter), value), trace: UUID(), notAfter: at(seconds), now: start)
    }

    private func end(
        _ id: Int64, _ ending: ParameterCommandMachine.Ending = .succeeded(actual: 1)
    ) -> CommandDesk.Finished {
        CommandDesk.Finished(id: id, ending: ending)
    }

    // MARK: The queue

    @Test("of each parameter the oldest is given, and the next one when that has ended")
    func order() {
        var queue = CommandQueueModel(lease: .seconds(30))
        let (first, second, other) = (ask(1, &queue), ask(2, &queue), ask(3, &queue, of: 2))
        #expect(queue.take("a", limit: 5, known: [], now: at(1)).map(\.id) == [first, other])
        #expect(queue.take("b", limit: 5, known: [], now: at(1)).isEmpty)
        #expect(queue.finish([end(first)], "a", now: at(2)) == [first])
        #expect(queue.take("a", limit: 5, known: [other], now: at(3)).map(\.id) == [second])
        #expect(queue.violations == [])
    }

    @Test("what was not begun in time expires; what was taken without an answer is given again, or left to its lease")
    func answers() {
        var queue = CommandQueueModel(lease: .seconds(30))
        let (late, lost, forgotten) = (
            ask(1, &queue, within: 5), ask(2, &queue, of: 2), ask(3, &queue, of: 3, within: 20)
        )
        #expect(queue.take("a", limit: 9, known: [], now: at(10)).map(\.id) == [lost, forgotten])
        #expect(queue.commands[late]?.status == .expired)
        #expect(queue.take("a", limit: 9, known: [forgotten], now: at(11)).map(\.id) == [lost])
        #expect(queue.take("a", limit: 9, known: [lost], now: at(21)).isEmpty)
        #expect(queue.commands[forgotten]?.status == .executing)
        #expect(queue.adopt("a", now: at(40)).map(\.id) == [forgotten])
        #expect(queue.beginnings.map(\.command) == [lost, forgotten] && queue.givenAgain == 1)
    }

    @Test("a lease that has ended hands a command to whoever looks, who is never given it to be written")
    func leases() {
        var queue = CommandQueueModel(lease: .seconds(30))
        let id = ask(1, &queue)
        _ = queue.take("a", limit: 1, known: [], now: at(0))
        #expect(queue.renew([id], "a", now: at(29)).isEmpty)
        #expect(queue.adopt("b", now: at(58)).isEmpty)
        #expect(queue.adopt("b", now: at(59)).map(\.id) == [id])
        #expect(queue.take("b", limit: 1, known: [], now: at(59)).isEmpty)
        #expect(queue.finish([end(id)], "a", now: at(60)).isEmpty)
        #expect(queue.renew([id], "a", now: at(60)) == [id])
        #expect(queue.finish([end(id)], "b", now: at(60)) == [id] && queue.finish([end(id)], "b", now: at(61)) == [id])
        #expect(queue.violations == [] && queue.openCommands == 0)
    }

    @Test("a restore takes back what happened since, and no number is given twice")
    func restore() {
        var queue = CommandQueueModel(lease: .seconds(30))
        let id = ask(1, &queue)
        _ = queue.take("a", limit: 1, known: [], now: at(10))
        _ = queue.finish([end(id)], "a", now: at(20))
        #expect(queue.restore(to: at(15)) == 1)
        #expect(queue.commands[id]?.status == .executing && queue.openCommands == 1)
        #expect(queue.restore(to: at(5)) == 1 && queue.commands[id]?.status == .pending)
        #expect(queue.restore(to: start + .seconds(-1)) == 1 && queue.commands.isEmpty && queue.openCommands == 0)
        #expect(ask(2, &queue) == id + 1)
    }

    @Test("ending what one never got, ending without a reason, and reading back what was not written are violations")
    func violations() {
        var queue = CommandQueueModel(lease: .seconds(30))
        let id = ask(1, &queue)
        _ = queue.finish([end(id)], "a", now: at(1))
        #expect(queue.violations.count == 1)
        _ = queue.take("a", limit: 1, known: [], now: at(2))
        var finished = end(id)
        finished.verifiedAt = Timestamp(microseconds: 1)
        _ = queue.finish([finished], "a", now: at(3))
        #expect(queue.violations.count == 2)
        _ = queue.renew([id], "b", now: at(4))
        #expect(queue.violations.count == 3)
    }

    @Test("a table that does not keep the order is found out at once when an older one is under way")
    func inFlight() {
        var queue = CommandQueueModel(lease: .seconds(30), keepsOrder: false)
        _ = ask(1, &queue)
        _ = queue.take("a", limit: 1, known: [], now: at(1))
        _ = ask(2, &queue)
        _ = queue.take("a", limit: 1, known: [1], now: at(2))
        #expect(queue.violations == ["commands 1 and 2 of one parameter are in flight"])
    }

    // MARK: The audit

    /// Two commands of one parameter; the first has succeeded, the second as it is told.
    private func queue(_ second: ParameterCommandMachine.Ending?) -> CommandQueueModel {
        var queue = CommandQueueModel(lease: .seconds(30))
        let (first, next) = (ask(1, &queue), ask(2, &queue))
        _ = queue.take("a", limit: 1, known: [], now: at(1))
        _ = queue.finish([end(first)], "a", now: at(2))
        _ = queue.take("a", limit: 1, known: [], now: at(3))
        if let second { _ = queue.finish([end(next, second)], "a", now: at(4)) }
        return queue
    }

    private func problems(_ queue: CommandQueueModel, _ writes: [(second: Int, value: Double)]) -> [String] {
        let writes = writes.map { CommandAudit.Write(at: at($0.second), point: SetPoint(heater, $0.value)) }
        return CommandAudit(queue: queue, writes: writes).problems()
    }

    @Test("each written once and in turn: nothing is wrong")
    func sound() {
        #expect(problems(queue(.succeeded(actual: 2)), [(1, 1), (3, 2)]) == [])
        #expect(problems(queue(.unknown("who knows", actual: nil)), [(1, 1), (3, 2)]) == [])
        #expect(problems(queue(.failed("not reached", actual: nil)), [(1, 1)]) == [])
    }

    /// A day has more commands than a parameter has values.
    @Test("a value that is asked for again belongs to the command that had asked for it by then")
    func again() {
        var queue = CommandQueueModel(lease: .seconds(30))
        for second in [0, 1000] {
            let id = queue.ask(
                SetPoint(heater, 1), trace: UUID(), notAfter: at(second + 60), now: at(second))
            _ = queue.take("a", limit: 1, known: [], now: at(second + 1))
            _ = queue.finish([end(id)], "a", now: at(second + 2))
        }
        #expect(problems(queue, [(1, 1), (1001, 1)]) == [])
        #expect(
            problems(queue, [(1, 1), (90, 1), (1001, 1)]).first
                == "command 1 was written 30.0 seconds after its deadline")
        #expect(problems(queue, [(1001, 1)]) == ["command 1 has succeeded and was never written"])
    }

    @Test(
        "each broken promise is told",
        arguments: [
            ([(1, 1.0), (1, 1.0), (3, 2.0)], "command 1 was written 2 times and begun 1 times"),
            ([(1, 1.0)], "command 2 has succeeded and was never written"),
            ([(3, 2.0), (4, 1.0)], "command 1 of 1 was written after 2"),
            ([(1, 1.0), (61, 2.0)], "command 2 was written 1.0 seconds after its deadline"),
            ([(1, 1.0), (34, 2.0)], "command 2 was written 1.0 seconds after its lease"),
            ([(1, 1.0), (3, 2.0), (4, 7.0)], "7.0 was written to 1, and nobody had asked"),
        ])
    func broken(writes: [(Int, Double)], problem: String) {
        #expect(problems(queue(.succeeded(actual: 2)), writes.map { ($0.0, $0.1) }).contains(problem))
    }

    @Test("a command without an end, and one that failed and is what the machine is left at, are told")
    func left() {
        #expect(problems(queue(nil), [(1, 1)]) == ["command 2 is still executing"])
        #expect(
            problems(queue(.failed("not reached", actual: nil)), [(1, 1), (3, 2)])
                == ["1 is as command 2 says, which has failed"])
    }

    // MARK: Terminal 3 before them

    /// One terminal, its controller and its table.
    private struct Plant {
        let world: World
        let server: WorldServer
        let table: WorldCommandTable
        let node: WorldNode
        let machine: SimulatedPLC
        let written: WriteLog
        let plc: WorldPLC
        let control: ParameterControlService

        init(seed: UInt64) throws {
            world = World(seed: seed)
            server = WorldServer(world)
            let settings = ParameterControlService.Configuration()
            let table = WorldCommandTable(server, lease: settings.lease, bug: nil)
            let node = world.node("terminal")
            let map = try GeneratedMachine.registerMap(parameters: 10, seed: 1)
            let written = WriteLog()
            self.written = written
            machine = SimulatedPLC(map, seed: 1, time: world.node("machine").time) { [world] parameter, value in
                written.note(CommandAudit.Write(at: world.now, point: SetPoint(parameter, value)))
            }
            plc = WorldPLC(machine, asking: node, world: world)
            control = try ParameterControlService(
                plc: plc, table: table.desk(of: "terminal"), bell: { table.bells.hang(on: node, onRing: $0) },
                configuration: settings, time: node.time, logger: TestDatabase.quiet)
            (self.table, self.node) = (table, node)
            let control = self.control
            node.spawn { try await control.run() }
            try world.run(for: .seconds(1))
        }
    }

    /// Story: a command with three seconds left is taken, and the process stands still before it has read the answer.
    @Test("what was taken before a long stop is not written after its deadline", arguments: 0..<5 as Range<UInt64>)
    func stopped(seed: UInt64) async throws {
        try await inBackground {
            let plant = try Plant(seed: seed)
            plant.server.faults.delay = .seconds(2)
            plant.table.ask(SetPoint(heater, 100), timeout: .seconds(5))
            try plant.world.run(until: plant.world.now + .seconds(20)) { !plant.table.queue.beginnings.isEmpty }
            plant.node.freeze(for: .seconds(20))
            try plant.world.run(for: .seconds(60))
            #expect(plant.table.queue.commands[1]?.status == .failed)
            #expect(plant.control.statistics.failed == 1)
        }
    }

    /// Story: a command is tried again and again because the controller is away, and the process stands still. Meanwhile
    /// its lease ends, another terminal finds that nothing was written and says so, and the controller is back.
    @Test("what another terminal has ended is not written by one that stood still", arguments: 0..<5 as Range<UInt64>)
    func fenced(seed: UInt64) async throws {
        try await inBackground {
            let plant = try Plant(seed: seed)
            plant.plc.faults.isDown = true
            plant.table.ask(SetPoint(heater, 100), timeout: .seconds(300))
            // Longer than the lease: it is prolonged while the terminal works.
            try plant.world.run(for: .seconds(31))
            #expect(plant.table.queue.commands[1]?.status == .executing)
            plant.node.freeze(for: .seconds(60))
            try plant.world.run(for: .seconds(20))
            let other = plant.table.desk(of: "other")
            let task = plant.world.node("other").spawn {
                let left = try await other.adopt(deadline: plant.world.now + .seconds(5))
                let ends = left.map { CommandDesk.Finished(id: $0.id, ending: .unknown("who knows", actual: nil)) }
                return try await other.finish(ends, deadline: plant.world.now + .seconds(5))
            }
            try plant.world.run(for: .seconds(10))
            #expect(try task.outcome?.get() == [1])
            plant.plc.faults.isDown = false
            try plant.world.run(for: .seconds(60))
            #expect(plant.written.writes == [])
            #expect(plant.table.queue.commands[1]?.status == .unknown)
            #expect(plant.control.statistics.failed == 1 && plant.control.statistics.unnoted == 0)
        }
    }

    /// Story: a command is carried out and noted, and the database is restored to the moment when it was under way.
    @Test("a command that a restore brings back is looked at and not written again", arguments: [1, 3])
    func restored(seconds: Int) async throws {
        try await inBackground {
            let plant = try Plant(seed: 1)
            plant.table.ask(SetPoint(heater, 100), timeout: .seconds(300))
            try plant.world.run(until: plant.world.now + .seconds(20)) { !plant.table.queue.beginnings.isEmpty }
            let begun = plant.world.now
            try plant.world.run(for: .seconds(5))
            #expect(plant.table.queue.commands[1]?.status == .succeeded)
            try plant.machine.write(50, to: heater)
            // Once when it was under way, once when it had not been begun.
            plant.table.restore(to: seconds == 1 ? begun : begun + .nanoseconds(-1))
            plant.server.restart(nil)
            try plant.world.run(for: .seconds(60))
            #expect(plant.table.queue.commands[1]?.status == .unknown)
            #expect(plant.control.statistics.unknown == 1 && plant.control.statistics.succeeded == 1)
        }
    }
}
