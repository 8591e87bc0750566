import ALDCore
import Foundation
import Modbus

/// Parameters that come and go, one change a minute, in virtual time: the machine and its metadata have what there is, and
/// what is gone is not kept. Over Modbus TCP the machine has all of them, and one client reads those that there are: as
/// many changes as fit into a moment of real time.
struct ParameterChurn: ScenarioWork {
    func run(_ run: ScenarioRun) async throws {
        let all = try GeneratedMachine.registerMap(parameters: ParameterTurnover.all, seed: run.seed)
        try await overTheWire(run, all)
        try await simulate(run, all)
    }

    private func overTheWire(_ run: ScenarioRun, _ all: RegisterMap) async throws {
        var turnover = ParameterTurnover(all, seed: run.seed)
        try await ControllerWay.wired.with(all, seed: run.seed) { bench in
            let client = try ModbusClient(
                configuration: ModbusClient.Configuration(host: "127.0.0.1", port: bench.port),
                logger: TestDatabase.quiet)
            try await withCleanup {
                let watch = try await MemoryGrowth.watch(run) {
                    let map = try turnover.change()
                    turnover.judge(try await ModbusPLC(map, client: client).scan(deadline: run.patience))
                }
                watch.note(run, .wired)
            } cleanup: {
                await client.close()
            }
        }
        turnover.note(run, .wired)
    }

    private func simulate(_ run: ScenarioRun, _ all: RegisterMap) async throws {
        let path = try await run.host.directory() + "/metadata.json"
        let cache = MetadataCache(path: path, machine: 1, logger: TestDatabase.quiet)
        let time = ManualTime()
        var turnover = ParameterTurnover(all, seed: run.seed)
        var memory = MemoryGrowth(over: run.duration)
        for minute in 1...max(1, Int(run.duration.components.seconds / 60)) {
            time.advance(by: .seconds(60))
            let map = try turnover.change()
            let isNew = cache.renew(MachineMetadata(machine: 1, entries: turnover.entries))
            turnover.judge(cache.current?.entries ?? [:], isNew: isNew)
            turnover.judge(
                try await SimulatedPLC(map, seed: run.seed, time: time).scan(deadline: time.now + .seconds(1)))
            if memory.isDue(at: minute * 60) {
                memory.sample(run, at: minute * 60)
                await Task.yield()
            }
        }
        // A start without the database finds the newest and nothing else.
        let kept = MetadataCache(path: path, machine: 1, logger: TestDatabase.quiet).current
        if kept?.entries != turnover.entries { run.fail("the file does not hold what was last known") }
        turnover.note(run, .direct)
        memory.note(run)
    }
}

/// Which parameters there are just now, and whether whoever looks sees them and no others.
private struct ParameterTurnover {
    /// Every one of these comes and goes; so many are there at a time, and so many change at once.
    static let all = 1000
    private static let (most, step) = (100, 10)

    private let map: RegisterMap
    private var random: SeededGenerator
    /// Places in the map, the one that was there first in front.
    private var present: [Int] = []
    private var changes = 0
    /// Changes of which somebody who has looked has not seen all.
    private var unseen = 0
    private var surplus = 0
    private var isSeen = true

    init(_ map: RegisterMap, seed: UInt64) {
        (self.map, random) = (map, SeededGenerator(seed: seed))
    }

    private var parameters: [Parameter] { present.map { map.parameters[$0] } }

    var entries: [Int32: MachineMetadata.Entry] {
        parameters.reduce(into: [:]) { entries, parameter in
            entries[parameter.id.rawValue] = MachineMetadata.Entry(
                minimum: parameter.range.lowerBound, maximum: parameter.range.upperBound,
                isWritable: parameter.isWritable)
        }
    }

    /// - Returns: what there is from now on.
    mutating func change() throws -> RegisterMap {
        (changes, isSeen) = (changes + 1, true)
        for _ in 0..<Self.step {
            let index = Int.random(in: map.parameters.indices, using: &random)
            if !present.contains(index) { present.append(index) }
        }
        present.removeFirst(max(0, present.count - Self.most))
        return try RegisterMap(parameters: parameters, wordOrder: map.wordOrder)
    }

    mutating func judge(_ scan: Scan) {
        judge(Set(scan.readings.map(\.parameter.rawValue)), isWhole: scan.readings.allSatisfy { $0.value != nil })
    }

    mutating func judge(_ entries: [Int32: MachineMetadata.Entry], isNew: Bool) {
        judge(Set(entries.keys), isWhole: isNew)
    }

    private mutating func judge(_ numbers: Set<Int32>, isWhole: Bool) {
        let due = Set(parameters.map(\.id.rawValue))
        surplus = max(surplus, numbers.subtracting(due).count)
        if isSeen, !isWhole || !due.isSubset(of: numbers) { (isSeen, unseen) = (false, unseen + 1) }
    }

    func note(_ run: ScenarioRun, _ way: ControllerWay) {
        run.note("\(way.rawValue): changes", count: changes)
        run.note("\(way.rawValue): unseen changes", count: unseen)
        run.note("\(way.rawValue): entries beyond those there are", count: surplus)
    }
}
