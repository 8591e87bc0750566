import ALDCore
import ALDTestKit
import Modbus
import XCTest

/// From the insertion of a stop command into the table to the valve that it closes: the whole way through doorbell,
/// claim, recipe and controller. The aim is 100 ms; it is held in an optimised build and printed otherwise.
final class RecipeStopBenchmarks: XCTestCase {
    private struct Bench: Sendable {
        let service: RecipeService
        let machine: SimulatedPLC
        let valve: ParameterID
        let operating: PostgresConnection

        func isOpen() async throws -> Bool {
            try await machine.readSetPoint(of: valve, deadline: SystemTime().now + .seconds(30)) != 0
        }

        func ask(_ object: String) async throws {
            _ = try await operating.query(
                "SELECT ald.request_recipe_command(1, gen_random_uuid(), \(object), 60, 'operator', 'because')",
                deadline: SystemTime().now + .seconds(30))
        }
    }

    func test_stopThroughTheDatabase_closesTheValveWithin100ms() async throws {
        try await withBench { bench in
            var times: [Double] = []
            let time = SystemTime()
            let stored = try await RecipeStore(machine: 1).store(
                Recipe(name: "open", steps: [RecipeStep(id: 1, .valve(bench.valve, open: .seconds(50)))]),
                author: "bench", on: bench.operating, deadline: time.now + .seconds(30)
            ).version
            for number in 1...Gate.rounds(10, nominal: 100) {
                try await bench.ask("'start', \(stored.recipe), \(stored.version), NULL")
                try await eventually("run \(number) has its valve open") { try await bench.isOpen() }
                let process = try XCTUnwrap(bench.service.status.process)
                let asked = time.now
                try await bench.ask("'stop', NULL, NULL, \(process)")
                try await eventually("the valve is closed") { try await !bench.isOpen() }
                times.append((time.now - asked).inMilliseconds)
                try await eventually("run \(number) has ended") { bench.service.status.process == nil }
            }
            print("from the insertion of a stop to the closed valve: ms, the most \(times.max() ?? .nan)")
            XCTAssertEqual(bench.service.status.aborted, times.count)
            #if !DEBUG
                XCTAssertLessThan(times.max() ?? .infinity, 100)
            #endif
        }
    }

    private func withBench(_ body: @Sendable (Bench) async throws -> Void) async throws {
        let map = try RegisterMap(file: Repository.machine51)
        let machine = SimulatedPLC(map, seed: 1)
        let server = ModbusServer(device: machine, logger: TestDatabase.quiet)
        let port = try await server.start()
        try await TestDatabase.withDatabase { lease in
            try await withTemporaryDirectory { directory in
                let pool = try ConnectionPool(configuration: lease.configuration, logger: TestDatabase.quiet)
                let sink = PostgresSink(
                    pool: pool, registration: MachineRegistration(machine: 1, name: "ALD-1", registerMap: map),
                    logger: TestDatabase.quiet)
                let spool = try Spool(directory: directory)
                let writer = try BatchWriter(spool: spool, sink: sink, logger: TestDatabase.quiet)
                let client = try ModbusClient(
                    configuration: .init(host: "127.0.0.1", port: port), logger: TestDatabase.quiet)
                let service = try RecipeService(
                    configuration: .init(
                        machine: 1, interlocks: .cautious(on: map), journal: directory + "/recipe.json"),
                    plc: ModbusPLC(map, client: client, isUrgent: true), pool: pool, writer: writer,
                    logger: TestDatabase.quiet)
                let valve = try map.parameter(named: "Valve 1.valve_state").id
                try await TestDatabase.withConnection(lease.configuration) { operating, deadline in
                    try await sink.prepare(on: operating, deadline: deadline)
                    let bench = Bench(service: service, machine: machine, valve: valve, operating: operating)
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        group.addTask { try await pool.run() }
                        group.addTask { try await writer.run() }
                        try await withThrowingTaskGroup(of: Void.self) { serving in
                            serving.addTask { try await service.run() }
                            try await eventually("the bell works") { service.status.hearsBell }
                            try await body(bench)
                            serving.cancelAll()
                        }
                        group.cancelAll()
                    }
                }
                await client.close()
                try spool.close()
            }
        }
        await server.stop()
    }
}
