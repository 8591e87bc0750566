import ALDCore
import Foundation
import Modbus

/// One operation a second on the simulated machine, in virtual time: what the process has allocated after the first tenth
/// is compared with what it has at the end. Over Modbus TCP time is real, so as many as fit into a moment of it are done,
/// and what is judged is the trend. A scale changes how many parameters the machine has.
struct ControllerMemory: ScenarioWork {
    var reads: Bool
    var writes: Bool
    /// How a test plants a bug between whoever reads and writes and the machine.
    var around: @Sendable (any PLC) -> any PLC = { $0 }

    func run(_ run: ScenarioRun) async throws {
        let map = try run.generatedMachine(parameters: 51)
        guard let target = map.parameters.first(where: { $0.isWritable && $0.dataType == .float32 }) else {
            throw ImpossibleLoad(
                description: "a machine with \(map.parameters.count) parameters has nothing to write: the scale of "
                    + "\(run.scenario.id) must be larger")
        }
        try await ControllerWay.wired.with(map, seed: run.seed) { bench in
            try await bench.withClient { plc in
                var operations = ControllerOperations(around(plc), target, reads: reads, writes: writes)
                let watch = try await MemoryGrowth.watch(run) { await operations.next(before: run.patience) }
                operations.note(run, .wired)
                watch.note(run, .wired)
            }
        }
        await simulate(run, map, target)
    }

    private func simulate(_ run: ScenarioRun, _ map: RegisterMap, _ target: Parameter) async {
        let time = ManualTime()
        let device = SimulatedPLC(map, seed: run.seed, time: time)
        var operations = ControllerOperations(around(device), target, reads: reads, writes: writes)
        var memory = MemoryGrowth(over: run.duration)
        let seconds = max(1, Int(run.duration.components.seconds))
        for second in 1...seconds {
            time.advance(by: .seconds(1))
            await operations.next(before: time.now + .seconds(1))
            if memory.isDue(at: second) {
                memory.sample(run, at: second)
                await Task.yield()
            }
        }
        operations.note(run, .direct, due: seconds)
        memory.note(run)
    }
}

/// Reads and writes of one client, one after the other, and what has become of them.
private struct ControllerOperations {
    private let plc: any PLC
    private let target: Parameter
    private let reads: Bool
    private let writes: Bool
    private var (begunReads, begunWrites) = (0, 0)
    private var (doneReads, doneWrites) = (0, 0)
    private var firstError: String?

    init(_ plc: any PLC, _ target: Parameter, reads: Bool, writes: Bool) {
        (self.plc, self.target, self.reads, self.writes) = (plc, target, reads, writes)
    }

    /// Where there are both, they take turns.
    mutating func next(before deadline: MonotonicInstant) async {
        let number = begunReads + begunWrites
        do {
            if writes, !reads || number % 2 == 1 {
                begunWrites += 1
                let value = target.range.lowerBound + Double(number % 100) / 100
                try await plc.write(value, to: target.id, deadline: deadline)
                doneWrites += 1
            } else {
                begunReads += 1
                let readings = try await plc.scan(deadline: deadline).readings
                if readings.allSatisfy({ $0.value != nil }) { doneReads += 1 }
            }
        } catch {
            firstError = firstError ?? "\(error)"
        }
    }

    /// - Parameter due: how many operations there should have been; `nil` where it is as many as fit in.
    func note(_ run: ScenarioRun, _ way: ControllerWay, due: Int? = nil) {
        let due = due ?? begunReads + begunWrites
        // The first of those that take turns is a read.
        let dueWrites = writes ? (reads ? due / 2 : due) : 0
        if reads {
            run.note("\(way.rawValue): reads", count: doneReads)
            run.note("\(way.rawValue): missing reads", count: due - dueWrites - doneReads)
        }
        if writes {
            run.note("\(way.rawValue): writes", count: doneWrites)
            run.note("\(way.rawValue): missing writes", count: dueWrites - doneWrites)
        }
        if let firstError { run.say(firstError) }
    }
}
