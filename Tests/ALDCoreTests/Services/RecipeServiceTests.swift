import ALDTestKit
import Foundation
import Modbus
import Testing

@testable import ALDCore

extension ServiceServerTests {
    /// Terminal 2 with real tables and a simulated machine.
    @Suite struct RecipeServing {
        typealias Plant = RecipePlant
        private static let (one, two) = (Plant.valve(1), Plant.valve(2))

        /// 3 × (pulse, purge, pulse), 9 steps.
        private static let cycles = Plant.recipe(
            "cycles",
            .loop(
                iterations: 3,
                [
                    RecipeStep(id: 11, .valve(one, open: .milliseconds(5))),
                    RecipeStep(id: 12, .purge(gas: "N2", for: .milliseconds(5), flow: SetPoint(Plant.flow, 80))),
                    RecipeStep(id: 13, .valve(two, open: .milliseconds(3))),
                ]))

        private static let machineState = "SELECT status, process_id, failure FROM ald.machine_state"
        private static let processes = "SELECT process_id, status, error FROM ald.process_executions ORDER BY 1"

        @Test("A recipe that is asked for runs to its end, and everything it did is in the tables")
        func runs() async throws {
            try await Plant.with { plant in
                let command = try await plant.start(Self.cycles)
                #expect(try await plant.end(of: command) == "succeeded")
                #expect(try await plant.operating.rows(Self.processes) == ["1|completed"])
                #expect(try await plant.operating.rows(Self.machineState) == ["idle"])
                #expect(
                    try await plant.operating.rows(
                        "SELECT step_id, loop_iterations, completed_steps, total_steps FROM ald.process_execution_state"
                    )
                        == ["[]|9|9"])
                #expect(
                    try await plant.operating.rows(
                        "SELECT step_id, loop_iterations, outcome FROM ald.step_execution_history ORDER BY occurrence")
                        == (1...3).flatMap { i in [11, 12, 13].map { "\($0)|[\(i)]|completed" } })
                #expect(
                    try await plant.operating.rows(
                        """
                        SELECT kind, event, count(*), bool_and(event = 'initiated' OR write_started_at <= write_ended_at)
                        FROM ald.recipe_execution_audit GROUP BY 1, 2 ORDER BY 1, 2
                        """) == [
                            "purge|initiated|3|true", "purge|succeeded|3|true", "valve|initiated|6|true",
                            "valve|succeeded|6|true",
                        ])
                let lived = try await plant.operating.rows(
                    """
                    SELECT count(*) FROM ald.step_execution_history h JOIN ald.process_executions e USING (process_id)
                    WHERE h.started_at <= h.ended_at AND h.ended_at <= e.ended_at
                    """)
                #expect(lived == ["9"])
                let status = plant.service.status
                #expect((status.started, status.completed, status.phase) == (1, 1, .ready))
                #expect(try RecipeJournal(path: plant.journal).pending() == nil)
            }
        }

        @Test("A set point may read back as far off as the table allows, and no further")
        func readBackTolerance() async throws {
            let machine = SimulatedPLC(try RegisterMap(file: Repository.machine51), seed: 1)
            try await Plant.with(prepare: { connection, _, _, _ in
                try await connection.accept(
                    "UPDATE ald.component_parameters SET readback_tolerance = 0.5 WHERE parameter_id = 8")
                return Plant.Setting(plc: TestPLC(machine, readsBack: { $0 + 0.4 }), machine: machine)
            }) { plant in
                func end(of value: Double, at parameter: ParameterID) async throws -> String {
                    let step = RecipeStep.Kind.parameter(SetPoint(parameter, value), ramp: nil, hold: .zero)
                    return try await plant.end(of: try await plant.start(Plant.recipe("set \(parameter)", step)))
                }
                #expect(try await end(of: 20, at: Plant.flow) == "succeeded")
                let other = try plant.map.parameter(named: "Chamber Heater.temperature").id
                #expect(
                    try await end(of: 40, at: other)
                        == "failed|parameter \(other) was set to 40.0 and reads back as 40.4")
            }
        }

        @Test("Stopped in the middle of a pulse, five times: the valve is closed long before the pulse would end")
        func stops() async throws {
            try await Plant.with { plant in
                try await eventually("the bell works") { plant.service.status.hearsBell }
                for _ in 0..<5 {
                    let start = try await plant.start(
                        Plant.recipe("long", .valve(Self.one, open: .seconds(50)), .wait(.seconds(1))))
                    try await plant.isOpen(Self.one)
                    let stop = try await plant.ask("stop", try await plant.process())
                    try await eventually("closed") { try await plant.setPoint(Self.one) == 0 }
                    #expect(try await plant.end(of: stop) == "succeeded")
                    #expect(
                        try await plant.end(of: start) == "failed|aborted: stopped by operator: because")
                }
                #expect(try await plant.setPoint(Plant.flow) == 0)
                #expect(
                    try await plant.operating.rows("SELECT DISTINCT outcome FROM ald.step_execution_history")
                        == ["aborted"])
                #expect(
                    try await plant.operating.rows(
                        "SELECT count(*) FROM ald.recipe_execution_audit WHERE kind = 'valve' AND event = 'cancelled'")
                        == ["5"])
                #expect(
                    try await plant.operating.rows(
                        "SELECT count(*) > 0 AS safe FROM ald.recipe_execution_audit WHERE kind = 'safety'")
                        == ["true"])
                let late = try await plant.operating.refusal(
                    of: "SELECT ald.request_recipe_command(1, gen_random_uuid(), 'stop', NULL, NULL, 1, 60, 'o', 'r')")
                #expect(late?.message == "process 1 has ended")
            }
        }

        @Test("Paused in the middle of a wait and resumed: the wait is whole, the records say so")
        func pauses() async throws {
            try await Plant.with { plant in
                try await eventually("the bell works") { plant.service.status.hearsBell }
                let command = try await plant.start(
                    Plant.recipe("waits", .wait(.seconds(3)), .valve(Self.one, open: .milliseconds(2))))
                let process = try await plant.process()
                let pause = try await plant.ask("pause", process)
                #expect(try await plant.end(of: pause) == "succeeded")
                try await eventually("it pauses") { plant.service.status.phase == .paused }
                try await eventually("the record says so") {
                    try await plant.operating.rows(Self.processes) == ["1|paused"]
                }
                let resume = try await plant.ask("resume", process)
                #expect(try await plant.end(of: resume) == "succeeded")
                #expect(try await plant.end(of: command) == "succeeded")
                #expect(try await plant.operating.rows(Self.processes) == ["1|completed"])
                #expect(
                    try await plant.operating.rows(
                        "SELECT message FROM ald.process_events WHERE kind IN ('state', 'request') "
                            + "ORDER BY happened_at, event_number")
                        == [
                            "pause by operator: because", "paused", "resume by operator: because", "running",
                            "completed",
                        ])
                #expect(
                    try await plant.operating.rows(
                        """
                        SELECT ended_at - started_at - (
                            SELECT max(happened_at) FILTER (WHERE message = 'running')
                                - max(happened_at) FILTER (WHERE message = 'paused')
                            FROM ald.process_events WHERE kind = 'state'
                        ) >= interval '2.999 s' AS whole FROM ald.step_execution_history WHERE occurrence = 1
                        """) == ["true"])
            }
        }

        @Test("Two services, twenty commands: each is executed once, and no two at a time")
        func claims() async throws {
            try await Plant.with { plant in
                let pool = try ConnectionPool(configuration: plant.database, logger: TestDatabase.quiet)
                let other = try RecipeService(
                    configuration: RecipeService.Configuration(
                        machine: 1, interlocks: Plant.interlocks(plant.map), journal: plant.journal + "2"),
                    plc: plant.machine, pool: pool, writer: plant.writer, logger: TestDatabase.quiet)
                let version = try await Plant.store(
                    Plant.recipe("short", .wait(.milliseconds(2))), on: plant.operating)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await pool.run() }
                    group.addTask { try await other.run() }
                    try await plant.operating.accept(
                        """
                        SELECT ald.request_recipe_command(1, gen_random_uuid(), 'start', \(version.recipe),
                            \(version.version), NULL, 600, 'operator', '') FROM generate_series(1, 20)
                        """)
                    try await eventually("all have ended", within: .seconds(60)) {
                        try await plant.operating.rows(
                            "SELECT count(*) FROM ald.recipe_commands WHERE status = 'succeeded'") == ["20"]
                    }
                    group.cancelAll()
                }
                let (mine, others) = (plant.service.status, other.status)
                #expect(mine.started + others.started == 20 && mine.completed + others.completed == 20)
                #expect(
                    try await plant.operating.rows(
                        "SELECT count(*), count(DISTINCT command_id) FROM ald.process_executions")
                        == ["20|20"])
            }
        }

        @Test("The database vanishes in the middle of a recipe: it runs to its end, and nothing of it is lost")
        func outage() async throws {
            let long = Plant.recipe(
                "long", .wait(.seconds(2)),
                .loop(
                    iterations: 40,
                    [
                        RecipeStep(id: 11, .valve(Self.one, open: .milliseconds(5))),
                        RecipeStep(id: 12, .wait(.milliseconds(10))),
                    ]))
            try await Plant.withProxy { plant, proxy in
                let command = try await plant.start(long)
                _ = try await plant.process()
                proxy.down()
                try await eventually("it has run to its end") { plant.service.status.completed == 1 }
                #expect(
                    try await plant.operating.rows(
                        "SELECT count(*) FROM ald.process_executions WHERE ended_at IS NULL") == ["1"])
                proxy.heal()
                #expect(try await plant.end(of: command) == "succeeded")
                try await eventually("everything has landed") { plant.writer.statistics.spooled == 0 }
                #expect(
                    try await plant.operating.rows(
                        """
                        SELECT count(*), count(DISTINCT occurrence), bool_and(outcome = 'completed'),
                            (SELECT completed_steps FROM ald.process_execution_state)
                        FROM ald.step_execution_history
                        """) == ["81|81|true|81"])
            }
        }

        @Test(
            "The controller is lost while a valve is open: closed when it is back, the machine in error until cleared")
        func lostController() async throws {
            let map = try RegisterMap(file: Repository.machine51)
            let machine = SimulatedPLC(map, seed: 1)
            let server = machine.makeServer(behavior: DeviceBehavior(faults: FaultInjector()))
            let client = try ModbusClient(configuration: .init(host: "127.0.0.1", port: try await server.start()))
            let plc = try ModbusPLC(map, client: client)
            try await Plant.with(prepare: { _, _, _, _ in
                // Longer than a busy machine holds anybody up, and shorter than the controller is away.
                RecipePlant.Setting(plc: plc, machine: machine) { $0.execution.patience = .seconds(2) }
            }) { plant in
                let recipe = Plant.recipe("lost", .valve(Self.one, open: .seconds(2)), .wait(.seconds(1)))
                let command = try await plant.start(recipe)
                try await plant.isOpen(Self.one)
                await server.strike(.freeze(.seconds(9)))
                let end = try await plant.end(of: command)
                #expect(end.hasPrefix("failed|valve 29 could not be closed in time"), "\(end)")
                #expect(try await plant.setPoint(Self.one) == 0)
                #expect(try await plant.operating.rows(Self.machineState).first?.hasPrefix("error|valve 29") == true)
                // Nothing starts before somebody has looked.
                let refused = try await plant.end(of: try await plant.start(recipe))
                #expect(refused.hasPrefix("failed|the machine is in error, somebody has to clear it"), "\(refused)")
                try await plant.operating.accept("UPDATE ald.machine_state SET status = 'idle', failure = NULL")
                #expect(try await plant.end(of: try await plant.start(Self.cycles)) == "succeeded")
            }
            await client.close()
            await server.stop()
        }

        @Test("Without a controller, or with a machine that is not ready, no recipe starts and none succeeds")
        func gate() async throws {
            let nobody = try SilentListener()
            let map = try RegisterMap(file: Repository.machine51)
            let client = try ModbusClient(configuration: .init(host: "127.0.0.1", port: nobody.port))
            let absent = try ModbusPLC(map, client: client)
            try await Plant.with(prepare: { _, _, _, _ in
                RecipePlant.Setting(plc: absent, change: { $0.gateTimeout = .milliseconds(200) })
            }) { plant in
                let end = try await plant.end(of: try await plant.start(Self.cycles))
                #expect(end.hasPrefix("failed|the controller cannot be read, and no recipe runs without it"), "\(end)")
                #expect(try await plant.operating.rows(Self.processes) == [])
                #expect(plant.service.status.refused == 1)
            }
            await client.close()
            withExtendedLifetime(nobody) {}
            try await Plant.with(prepare: { connection, _, _, _ in
                try await connection.accept(
                    """
                    INSERT INTO ald.machine_idle_conditions (machine_id, name, is_active) VALUES (1, 'ready', true);
                    INSERT INTO ald.machine_idle_condition_items (machine_id, condition_id, parameter_id, check_kind,
                        min_value, max_value, note)
                    VALUES (1, 1, 27, 'on', NULL, NULL, 'pump'), (1, 1, 1, 'range', 15, 500, '')
                    """)
                return RecipePlant.Setting()
            }) { plant in
                let end = try await plant.end(of: try await plant.start(Self.cycles))
                #expect(
                    end
                        == "failed|the machine is not ready: Vacuum Pump.power_on is 0.0, must be at least 1.0 (pump)")
                try await plant.machine.write(
                    1, to: ParameterID(rawValue: 27), deadline: SystemTime().now + .seconds(60))
                #expect(try await plant.end(of: try await plant.start(Self.cycles)) == "succeeded")
            }
        }

        @Test("After a crash in the middle of a pulse: valves closed, the process aborted, its command answered")
        func crash() async throws {
            try await Plant.with(prepare: { connection, _, map, journal in
                let version = try await Plant.store(Self.cycles, on: connection)
                try await connection.accept(
                    """
                    SELECT ald.request_recipe_command(1, gen_random_uuid(), 'start', \(version.recipe), \(version.version),
                        NULL, 60, 'operator', '');
                    SELECT ald.claim_recipe_commands(1, 'dead', 1, 60);
                    SELECT ald.begin_recipe_command(1, 1, 'dead', 60);
                    SELECT ald.begin_process(1, 1, 'dead', 9);
                    SET session_replication_role = replica;
                    UPDATE ald.recipe_commands SET lease_until = clock_timestamp();
                    RESET session_replication_role;
                    """)
                let trace = try #require(
                    UUID(uuidString: try await connection.rows("SELECT request_id FROM ald.recipe_commands")[0]))
                try RecipeJournal(path: journal).begin(
                    RecipeJournal.Entry(label: "process 1 of \(trace)", valves: [Self.one, Self.two], process: 1))
                let machine = SimulatedPLC(map, seed: 1)
                try await machine.write(1, to: Self.two, deadline: SystemTime().now + .seconds(60))
                try await machine.write(90, to: Plant.flow, deadline: SystemTime().now + .seconds(60))
                return RecipePlant.Setting(machine: machine)
            }) { plant in
                let end = try await plant.end(of: 1)
                #expect(end.hasPrefix("failed|aborted: the recipe service ended without a word"), "\(end)")
                #expect(try await plant.setPoint(Self.two) == 0)
                #expect(try await plant.setPoint(Plant.flow) == 0)
                #expect(try await plant.operating.rows(Self.machineState) == ["idle"])
                #expect(try RecipeJournal(path: plant.journal).pending() == nil)
                // Six valves and the flow, once each.
                #expect(try await plant.operating.rows(Plant.secured) == ["7|7"])
                #expect(try await plant.end(of: try await plant.start(Self.cycles)) == "succeeded")
            }
        }

        @Test("While a recipe runs, nobody else opens its valves, nor those that they exclude; closing is allowed")
        func interlocked() async throws {
            try await Plant.with { plant in
                // No recipe opens the second valve: only the interlocks name it.
                let command = try await plant.start(
                    Plant.recipe("long", .valve(Self.one, open: .seconds(50))))
                try await plant.isOpen(Self.one)
                let soon = SystemTime().now + .seconds(60)
                for valve in [Self.one, Self.two] {
                    await #expect {
                        try await plant.service.guarded.write(1, to: valve, deadline: soon)
                    } throws: { error in
                        if case PLCError.interlocked = error { true } else { false }
                    }
                }
                try await plant.service.guarded.write(0, to: Self.two, deadline: soon)
                try await plant.service.guarded.write(40, to: Plant.flow, deadline: soon)
                // Between processes it is the database that says no.
                func ask(_ valve: ParameterID, _ value: Int) async throws -> Refusal? {
                    try await plant.operating.refusal(
                        of:
                            "SELECT ald.request_parameter_command(1, gen_random_uuid(), \(valve), \(value), 60, 'o', 'r')"
                    )
                }
                let refusal = try await ask(Self.two, 1)
                #expect(
                    refusal?.message == "Valve 2.valve_state is a valve, and process 1 runs a recipe: stop it first")
                #expect(try await ask(Self.two, 0) == nil)
                _ = try await plant.ask("stop", try await plant.process())
                _ = try await plant.end(of: command)
                #expect(try await ask(Self.two, 1) == nil)
                try await plant.service.guarded.write(1, to: Self.two, deadline: soon)
                await #expect(throws: PLCError.self) {
                    try await plant.service.guarded.write(1, to: Self.one, deadline: soon)
                }
            }
        }

        @Test("A shutdown in the middle of a pulse closes the valve and leaves nothing to be found out")
        func shutdown() async throws {
            try await Plant.with { plant in
                _ = try await plant.start(Plant.recipe("long", .valve(Self.one, open: .seconds(50))))
                try await plant.isOpen(Self.one)
            } afterShutdown: { plant async throws in
                #expect(try await plant.setPoint(Self.one) == 0)
                #expect(
                    try await plant.operating.rows("SELECT status, error FROM ald.recipe_commands")
                        == ["failed|aborted: the recipe service was shut down"])
                #expect(
                    try await plant.operating.rows(Self.processes)
                        == ["1|aborted|the recipe service was shut down"])
                #expect(plant.service.status.phase == .ended)
            }
        }

        @Test("A hundred pulses over Modbus TCP, recorded all the while: each is told, and none is short")
        func exactness() async throws {
            let map = try RegisterMap(file: Repository.machine51)
            let machine = SimulatedPLC(map, seed: 1)
            let server = machine.makeServer()
            let client = try ModbusClient(configuration: .init(host: "127.0.0.1", port: try await server.start()))
            let plc = try ModbusPLC(map, client: client)
            try await Plant.with(prepare: { _, _, _, _ in RecipePlant.Setting(plc: plc, machine: machine) }) {
                plant async throws in
                let recipe = Plant.recipe(
                    "pulses",
                    .loop(
                        iterations: 100,
                        [
                            RecipeStep(id: 11, .valve(Self.one, open: .milliseconds(15))),
                            RecipeStep(id: 12, .wait(.milliseconds(25))),
                        ]))
                #expect(try await plant.end(of: try await plant.start(recipe)) == "succeeded")
                #expect(
                    try await plant.operating.rows(
                        """
                        SELECT count(*), bool_and((details ->> 'open_ms')::float8 >= (details ->> 'programmed_ms')::float8)
                        FROM ald.process_events WHERE kind = 'pulse'
                        """) == ["100|true"])
            }
            await client.close()
            await server.stop()
        }
    }
}
