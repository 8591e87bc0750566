import Foundation
import Testing

@testable import ALDCore
@testable import ALDTestKit

/// The reference against which Terminal 2 runs, and the audit of its valves.
@Suite("Recipes in the world") struct RecipeQueueModelTests {
    private let start = World.beginning
    private let valves = [ParameterID(rawValue: 3), ParameterID(rawValue: 5)]

    private func at(_ seconds: Int) -> MonotonicInstant { start + .seconds(seconds) }

    private func ask(
        _ kind: RecipeDesk.Kind, _ queue: inout RecipeQueueModel, process: Int64? = nil, within seconds: Int = 60
    ) -> Int64 {
        queue.ask(
            RecipeQueueModel.Command(
                id: 0, trace: UUID(), kind: kind, recipe: kind == .start ? 1 : nil, process: process,
                notAfter: at(seconds)))
    }

    private func state(_ text: String, of process: Int64) -> ProcessEvent {
        ProcessEvent(process: process, number: 1, time: Timestamp(microseconds: 1), kind: .state, text: text)
    }

    @Test("one start after the other, a stop goes past them, and what is known is not given again")
    func order() {
        var queue = RecipeQueueModel(lease: .seconds(10))
        let (first, second, stop) = (ask(.start, &queue), ask(.start, &queue), ask(.stop, &queue, process: 1))
        #expect(queue.take("a", known: [], now: at(1))?.id == first)
        #expect(queue.take("a", known: [], now: at(2))?.id == first && queue.givenAgain == 1)
        #expect(queue.take("a", known: [first], now: at(3))?.id == stop)
        #expect(queue.take("a", known: [first, stop], now: at(4)) == nil)
        #expect(queue.finish(RecipeDesk.Finished(id: first, error: "no"), "a") == true)
        #expect(queue.take("a", known: [stop], now: at(5))?.id == second)
        #expect(queue.violations == [])
    }

    @Test("a process is entered once, its command ends after it, and its end follows from its events")
    func process() {
        var queue = RecipeQueueModel(lease: .seconds(10))
        let (first, second) = (ask(.start, &queue), ask(.start, &queue))
        _ = queue.take("a", known: [], now: at(1))
        #expect(queue.begin(second, "a", steps: 1, valves: valves, now: at(5)) == .failure(notOurs))
        #expect(queue.begin(first, "a", steps: 1, valves: valves, now: at(5)) == .success(1))
        #expect(queue.begin(first, "a", steps: 1, valves: valves, now: at(5)) == .success(1))
        let end = RecipeDesk.Finished(id: first, process: 1)
        #expect(queue.finish(end, "a") == false)
        queue.follow([state("paused", of: 1), state("aborted", of: 1), state("completed", of: 1)])
        #expect(queue.processes[1]?.ending == "aborted" && queue.running == nil)
        #expect(queue.finish(end, "b") == nil && queue.violations.count == 1)
        #expect(queue.finish(end, "a") == true && queue.finish(end, "a") == true)
    }

    private var notOurs: RecipeStore.Problem {
        RecipeStore.Problem(code: .invalid, description: "the command is not this terminal's any more")
    }

    @Test("what was taken in time and comes late to its beginning does not begin")
    func late() {
        var queue = RecipeQueueModel(lease: .seconds(10))
        let (first, second) = (ask(.start, &queue, within: 10), ask(.start, &queue, within: 10))
        _ = queue.take("a", known: [], now: at(1))
        let problem = RecipeStore.Problem(code: .invalid, description: "it was to begin by then, and that is over")
        #expect(queue.begin(first, "a", steps: 1, valves: valves, now: at(10)) == .failure(problem))
        _ = queue.finish(RecipeDesk.Finished(id: first, error: "late"), "a")
        _ = queue.take("a", known: [first], now: at(9))
        #expect(queue.begin(second, "a", steps: 1, valves: valves, now: at(9)) == .success(1))
        // The answer to the first call may have been lost; the process is under way.
        #expect(queue.begin(second, "a", steps: 1, valves: valves, now: at(11)) == .success(1))
    }

    @Test("a command never begins a second process")
    func twice() {
        var queue = RecipeQueueModel(lease: .seconds(10))
        let id = ask(.start, &queue)
        _ = queue.take("a", known: [], now: at(1))
        _ = queue.begin(id, "a", steps: 1, valves: valves, now: at(5))
        queue.follow([state("aborted", of: 1)])
        let problem = RecipeStore.Problem(code: .invalid, description: "command \(id) has begun process 1 already")
        #expect(queue.begin(id, "a", steps: 1, valves: valves, now: at(5)) == .failure(problem))
        #expect(queue.processes.count == 1)
    }

    @Test("what another terminal has left is not given as if nobody had begun it, unless it is a stop")
    func left() {
        var queue = RecipeQueueModel(lease: .seconds(10))
        let (first, stop) = (ask(.start, &queue), ask(.stop, &queue, process: 1))
        _ = queue.take("a", known: [], now: at(1))
        _ = queue.take("a", known: [first], now: at(1))
        #expect(queue.adopt("b", now: at(12)).map(\.id) == [first, stop])
        #expect(queue.adopt("b", now: at(12)).map(\.id) == [first, stop], "the answer may have been lost")
        #expect(queue.adopt("c", now: at(12)).isEmpty)
        #expect(queue.take("b", known: [], now: at(13))?.id == stop)
        #expect(queue.take("b", known: [stop], now: at(13)) == nil && queue.violations == [])
        #expect(queue.begin(first, "b", steps: 1, valves: valves, now: at(14)) == .success(1))
        #expect(queue.violations == ["recipe command \(first) was left to b, which carries it out"])
    }

    @Test("valves that are open together, and one that is left open, are told")
    func valveAudit() {
        func problems(_ writes: [(second: Int, valve: Int, value: Double)]) -> Int {
            let writes = writes.map {
                CommandAudit.Write(at: at($0.second), point: SetPoint(valves[$0.valve], $0.value))
            }
            return ValveAudit(valves: valves, writes: writes).problems().count
        }
        #expect(problems([(1, 0, 1), (2, 0, 0), (3, 1, 1), (4, 1, 0)]) == 0)
        #expect(problems([(1, 0, 1), (2, 1, 1), (3, 0, 0), (4, 1, 0)]) == 1)
        #expect(problems([(1, 0, 1), (2, 0, 0), (3, 1, 1)]) == 1)
    }
}
