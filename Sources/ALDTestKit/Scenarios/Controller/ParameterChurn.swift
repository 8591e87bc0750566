import ALDCore
import Foundation
import Modbus

/// Parameters that come and go, one change a minute, in virtual time: the machine and its metadata have what there is, and
/// what is gone is not kept. Over Modbus TCP the machine has all of them, and one client reads those that there are: as
/// many changes as fit into a moment of real time. A scale changes how many parameters there are.
struct ParameterChurn: ScenarioWork {
    func run(_ run: ScenarioRun) async throws {
        let all = try run.generatedMachine(parameters: ParameterTurnover.all)
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
