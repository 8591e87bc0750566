import ALDCore
import ALDTestKit
import Foundation
import Modbus
import XCTest

/// How long a parameter command takes, and how many a second. Only a release build on an idle machine says how good
/// the numbers are.
final class CommandBenchmarks: XCTestCase {
    private struct Bench: Sendable {
        let service: ParameterControlService
        let database: PostgresConfiguration

        /// Total time of every ended command, in milliseconds, as the database's clock has it.
        func totals() async throws -> [Double] {
            try await TestDatabase.withConnection(database) { connection, deadline in
                try await connection.query(
                    "SELECT total_ms::float8 FROM ald.parameter_command_traces WHERE status = 'succeeded' ORDER BY 1",
                    deadline: deadline
                ).map { try $0.decode(0, as: Double.self) }
            }
        }
    }

    private func withBench(
        parameters: Int, _ body: @Sendable (Bench) async throws -> Void
    ) async throws {
        let map = try GeneratedMachine.registerMap(parameters: parameters, seed: 1)
        let server = ModbusServer(device: SimulatedPLC(map, seed: 1), logger: TestDatabase.quiet)
        let port = try await server.start()
        try await TestDatabase.withDatabase { lease in
            let pool = try ConnectionPool(configuration: lease.configuration, logger: TestDatabase.quiet)
            let sink = PostgresSink(
                pool: pool, registration: MachineRegistration(machine: 1, name: "ALD-1", registerMap: map),
                logger: TestDatabase.quiet)
            try await TestDatabase.withConnection(lease.configuration) { try await sink.prepare(on: $0, deadline: $1) }
            let client = try ModbusClient(
                configuration: .init(host: "127.0.0.1", port: port), logger: TestDatabase.quiet)
            var settings = ParameterControlService.Configuration()
            // The benchmark judges the time; a command that a busy machine holds up ends well all the same.
            (settings.execution.callTimeout, settings.execution.confirmationTime) = (.seconds(10), .seconds(20))
            let service = try ParameterControlService(
                plc: ModbusPLC(map, client: client), pool: pool, machine: 1, configuration: settings,
                logger: TestDatabase.quiet)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await pool.run() }
                try await withThrowingTaskGroup(of: Void.self) { serving in
                    serving.addTask { try await service.run() }
                    try await eventually("the bell works") { service.statistics.hearsBell }
                    try await body(Bench(service: service, database: lease.configuration))
                    serving.cancelAll()
                }
                group.cancelAll()
            }
            await client.close()
        }
        await server.stop()
    }

    private static func percentile(_ sorted: [Double], _ share: Double) -> Double {
        sorted.isEmpty ? .nan : sorted[min(Int(Double(sorted.count) * share), sorted.count - 1)]
    }

    /// The requirement is 10 ms locally; what a debug build and a busy machine add is ten times as much at most.
    func test_oneCommandAtATime_isFinalisedWithinTheRequirement() async throws {
        try await withBench(parameters: 50) { bench in
            let writable =
                "(SELECT parameter_id FROM ald.component_parameters WHERE is_writable AND data_type = 'float' LIMIT 1)"
            try await TestDatabase.withConnection(bench.database) { connection, _ in
                for number in 1...300 {
                    _ = try await connection.query(
                        """
                        INSERT INTO ald.parameter_control_commands (machine_id, parameter_id, target_value)
                        SELECT 1, parameter_id, min_value FROM ald.component_parameters
                        WHERE parameter_id = \(writable)
                        """, deadline: SystemTime().now + .seconds(30))
                    try await eventually("command \(number)") { bench.service.statistics.succeeded >= number }
                }
            }
            try await eventually("the database has every end") { try await bench.totals().count == 300 }
            let totals = try await bench.totals()
            print(
                "300 commands one by one, inserted to finalised: p50 \(Self.percentile(totals, 0.5)) ms, "
                    + "p95 \(Self.percentile(totals, 0.95)) ms, max \(totals.last ?? .nan) ms")
            #if DEBUG
                XCTAssertLessThan(Self.percentile(totals, 0.95), 100)
            #else
                XCTAssertLessThan(Self.percentile(totals, 0.95), 10)
            #endif
        }
    }

    /// A thousand a second, each tenth of a second a hundred, for as long as there is time.
    func test_aThousandCommandsASecond_areSustained() async throws {
        let seconds = Gate.rounds(3, nominal: 30)
        try await withBench(parameters: 500) { bench in
            let time = SystemTime()
            let began = time.now
            try await TestDatabase.withConnection(bench.database) { connection, _ in
                for tick in 0..<(seconds * 10) {
                    await Wakeup().wait(until: began + .milliseconds(100 * tick), time: time)
                    _ = try await connection.query(
                        """
                        INSERT INTO ald.parameter_control_commands (machine_id, parameter_id, target_value)
                        SELECT 1, parameter_id, min_value FROM (
                            SELECT *, row_number() OVER (ORDER BY parameter_id) - 1 AS place, count(*) OVER () AS number
                            FROM ald.component_parameters WHERE is_writable) p
                        WHERE (place - \(tick * 100) % number + number) % number < 100
                        """, deadline: time.now + .seconds(30))
                }
            }
            let asked = try await TestDatabase.number(
                "SELECT count(*) FROM ald.parameter_control_commands", bench.database)
            // Asks nobody but the service: whoever asks the database again and again takes what the commands need.
            try await eventually("all are done", within: .seconds(120)) {
                let statistics = bench.service.statistics
                return statistics.succeeded == asked && statistics.unnoted == 0
            }
            let took = (time.now - began).inSeconds
            let totals = try await bench.totals()
            XCTAssertEqual(totals.count, asked)
            print(
                "\(asked) commands in \(seconds) s: \(Int(Double(asked) / took)) a second, p50 "
                    + "\(Self.percentile(totals, 0.5)) ms, p95 \(Self.percentile(totals, 0.95)) ms, max \(totals.last ?? .nan) ms"
            )
            #if !DEBUG
                // Two processors share terminal, controller and server, which take 1.8 ms of them per command: for seconds
                // that is enough, for half a minute it is not always.
                XCTAssertGreaterThan(Double(asked) / took, seconds > 10 ? 600 : 900)
            #endif
        }
    }
}
