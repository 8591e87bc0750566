import ALDTestKit
import Foundation
import Synchronization
import Testing

@testable import ALDCore

extension ServiceServerTests {
    /// Terminal 2 when the database falls silent at the worst moment, and after a crash that left nothing behind.
    @Suite struct RecipeFailures {
        typealias Plant = RecipePlant
        private static let (one, two, six) = (Plant.valve(1), Plant.valve(2), Plant.valve(6))
        private static let long = Plant.recipe("long", .valve(one, open: .seconds(50)))
        private static let short = Plant.recipe("short", .valve(one, open: .milliseconds(2)))
        private static let processes = "SELECT status, error FROM ald.process_executions ORDER BY process_id"

        /// From now on every answer of the database is lost, and its sender is cut off.
        private static func loseAnswers(_ proxy: FaultProxy) { proxy.set(.cut(after: 1, .reset), .downstream) }

        @Test("A stop is taken and the answer is lost: it is carried out as soon as the database is back")
        func lostStop() async throws {
            try await Plant.withProxy { plant, proxy in
                let start = try await plant.start(Self.long)
                try await plant.isOpen(Self.one)
                let process = try await plant.process()
                let request = """
                    SELECT ald.request_recipe_command(1, gen_random_uuid(), 'stop', NULL, NULL, \(process), 60,
                        'operator', 'because')
                    """
                try await plant.hold("recipe_commands", "EXCLUSIVE", until: "take_recipe_command", request)
                Self.loseAnswers(proxy)
                try await plant.unlock()
                let stop = "SELECT command_id FROM ald.recipe_commands WHERE kind = 'stop' AND status = 'executing'"
                try await eventually("the stop is taken") { try await plant.operating.rows(stop) == ["2"] }
                #expect(try await plant.setPoint(Self.one) == 1, "nobody knows of it yet")
                proxy.heal()
                try await eventually("closed") { try await plant.setPoint(Self.one) == 0 }
                #expect(try await plant.end(of: 2) == "succeeded")
                #expect(try await plant.end(of: start) == "failed|aborted: stopped by operator: because")
            }
        }

        private static func startLosingTheAnswer(_ plant: RecipePlant, _ proxy: FaultProxy) async throws -> Int64 {
            try await plant.holding("process_executions", "SHARE ROW EXCLUSIVE", until: "begin_process") {
                try await plant.start(short)
            } then: {
                loseAnswers(proxy)
            }
        }

        @Test("A process is entered and the answer is lost: it is run all the same")
        func lostBegin() async throws {
            try await Plant.withProxy { plant, proxy in
                let start = try await Self.startLosingTheAnswer(plant, proxy)
                try await eventually("the process is entered") {
                    try await plant.operating.rows(Self.processes) == ["running"]
                }
                proxy.heal()
                #expect(try await plant.end(of: start) == "succeeded")
                #expect(try await plant.operating.rows(Self.processes) == ["completed"])
            }
        }

        @Test("A process is entered and the answer is lost for too long: it is ended, and the next recipe runs")
        func strayProcess() async throws {
            try await Plant.withProxy({ $0.change = { $0.tableTimeout = .seconds(4) } }) { plant, proxy in
                let start = try await Self.startLosingTheAnswer(plant, proxy)
                try await eventually("the process is entered") {
                    try await plant.operating.rows(Self.processes) == ["running"]
                }
                try await eventually("it is given up") { plant.service.status.refused == 1 }
                proxy.heal()
                #expect(try await plant.end(of: start).hasPrefix("failed|"))
                try await eventually("the process is ended") {
                    try await plant.operating.rows(Self.processes)
                        == ["aborted|nothing was begun: the database did not answer in time"]
                }
                #expect(try await plant.setPoint(Self.one) == 0)
                #expect(try await plant.end(of: try await plant.start(Self.short)) == "succeeded")
            }
        }

        @Test("A table that does not answer does not keep a shutdown from closing a valve")
        func stuckTable() async throws {
            try await Plant.with(prepare: { _, _, _, _ in
                // The call that is stuck ends by itself long after this test has failed.
                Plant.Setting(change: { $0.tableTimeout = .seconds(600) })
            }) { plant in
                _ = try await plant.start(Self.long)
                try await plant.isOpen(Self.one)
                try await plant.hold("recipe_commands", "ACCESS EXCLUSIVE", until: "take_recipe_command")
            } duringShutdown: { plant in
                try await withCleanup {
                    try await eventually("closed") { try await plant.setPoint(Self.one) == 0 }
                } cleanup: {
                    try await plant.unlock()
                }
            } afterShutdown: { plant async throws in
                #expect(
                    try await plant.operating.rows(Self.processes) == ["aborted|the recipe service was shut down"])
            }
        }

        @Test("Every session of the service is stopped by SIGSTOP: the recipe runs to its end, and nothing is lost")
        func frozenDatabase() async throws {
            let recipe = Plant.recipe(
                "pulses", .wait(.seconds(2)),
                .loop(
                    iterations: 20,
                    [
                        RecipeStep(id: 11, .valve(Self.one, open: .milliseconds(2))),
                        RecipeStep(id: 12, .wait(.milliseconds(10))),
                    ]), .wait(.milliseconds(200)))
            try await Plant.with { plant in
                let start = try await plant.start(recipe)
                _ = try await plant.process()
                let others = try await plant.operating.rows(
                    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
                ).compactMap { Int32($0) }
                #expect(!others.isEmpty)
                try await withCleanup {
                    for session in others { kill(session, SIGSTOP) }
                    try await eventually("it has run to its end") { plant.service.status.completed == 1 }
                    #expect(try await plant.setPoint(Self.one) == 0)
                } cleanup: {
                    for session in others { kill(session, SIGCONT) }
                }
                #expect(try await plant.end(of: start) == "succeeded")
                try await eventually("everything has landed") { plant.writer.statistics.spooled == 0 }
                #expect(
                    try await plant.operating.rows(
                        "SELECT count(*), count(DISTINCT occurrence) FROM ald.step_execution_history") == ["42|42"])
            }
        }

        @Test("After a crash on another host nothing here knows of it: its valves are closed, and the record says so")
        func crashElsewhere() async throws {
            try await Plant.with(prepare: { connection, _, map, _ in
                let version = try await Plant.store(Self.long, on: connection)
                try await connection.accept(
                    """
                    SELECT ald.request_recipe_command(1, gen_random_uuid(), 'start', \(version.recipe),
                        \(version.version), NULL, 60, 'operator', '');
                    SELECT ald.take_recipe_command(1, 'dead', '{}', 60);
                    SELECT ald.begin_process(1, 1, 'dead', 1, '{\(Self.six)}');
                    \(SchemaDatabase.endOfRecipeLeases)
                    """)
                let machine = SimulatedPLC(map, seed: 1)
                for valve in [Self.one, Self.six] {
                    try await machine.write(1, to: valve, deadline: SystemTime().now + .seconds(60))
                }
                return Plant.Setting(
                    machine: machine,
                    change: { configuration in
                        // Ours know less than those of the other host.
                        configuration.interlocks = Interlocks(safeState: [SetPoint(Plant.flow, 0)])
                    })
            }) { plant async throws in
                let end = try await plant.end(of: 1)
                #expect(end.hasPrefix("failed|aborted: the recipe service ended without a word"))
                for valve in [Self.one, Self.six] { #expect(try await plant.setPoint(valve) == 0) }
                #expect(try await plant.operating.rows(Plant.secured) == ["3|3"])
                #expect(
                    try await plant.operating.rows(
                        "SELECT count(*) FROM ald.process_events WHERE process_id = 1 AND kind = 'secured'") == ["3"])
                #expect(try await plant.end(of: try await plant.start(Self.short)) == "succeeded")
            }
        }

        @Test("A start that a dead terminal has left is not carried out, though the answer that says so is lost")
        func lostAdoption() async throws {
            try await Plant.withProxy { plant, proxy in
                try await eventually("it is ready") { plant.service.status.phase == .ready }
                let version = try await Plant.store(Self.short, on: plant.operating)
                try await plant.hold(
                    "recipe_commands", "EXCLUSIVE", until: "adopt_recipe_commands",
                    """
                    SELECT ald.request_recipe_command(1, gen_random_uuid(), 'start', \(version.recipe),
                        \(version.version), NULL, 60, 'operator', '');
                    SELECT ald.take_recipe_command(1, 'dead', '{}', 60);
                    \(SchemaDatabase.endOfRecipeLeases)
                    """)
                Self.loseAnswers(proxy)
                try await plant.unlock()
                let heirs = "SELECT count(*) FROM ald.recipe_commands WHERE claimed_by <> 'dead'"
                try await eventually("it is adopted") { try await plant.operating.rows(heirs) == ["1"] }
                proxy.heal()
                #expect(
                    try await plant.end(of: 1)
                        == "failed|the recipe service that executed it ended without a word, before anything was begun")
                #expect(try await plant.operating.rows(Self.processes) == [])
                #expect(try await plant.end(of: try await plant.start(Self.short)) == "succeeded")
            }
        }

        @Test("What a full disk has refused is accepted when there is room, though nothing more comes")
        func refusedRecords() async throws {
            try await Plant.withProxy({ setting in
                (setting.spool.spareBytes, setting.spool.ballastBytes) = (0, 0)
                (setting.spool.segmentBytes, setting.spool.maximumBytes) = (256 << 10, 1 << 20)
                (setting.spool.retainedWindow, setting.spool.retainedBytes) = (.zero, 0)
            }) { plant, proxy in
                try await eventually("it is ready") { plant.service.status.phase == .ready }
                proxy.down()
                // Until nothing fits any more, however small.
                for size in [1 << 16, 1 << 12, 1] {
                    let filler = ProcessEvent(
                        process: 99, number: 1, time: SystemTime().wallClock, kind: .note,
                        text: String(repeating: "x", count: size))
                    var isFull = false
                    while !isFull {
                        do throws(SpoolError) {
                            _ = try await plant.writer.append(.processEvents([filler]), machine: 1)
                        } catch { isFull = true }
                    }
                }
                let recorder = ProcessRecorder(
                    writer: plant.writer, machine: 1, time: SystemTime(), logger: TestDatabase.quiet)
                let narrator = ProcessNarrator(
                    process: 7, recipe: Self.short, start: SystemTime().now, wall: SystemTime().wallClock)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { await recorder.run(narrator) { false } }
                    recorder.noteRequest("the only word", at: SystemTime().now)
                    let refused = plant.writer.statistics
                    proxy.heal()
                    try await withCleanup {
                        try await eventually("it has landed, \(refused)") {
                            try await plant.operating.rows(
                                "SELECT message FROM ald.process_events WHERE process_id = 7") == ["the only word"]
                        }
                    } cleanup: {
                        recorder.end(RecipeMachine.Ending(outcome: .completed))
                    }
                    try await group.waitForAll()
                }
            }
        }

        @Test("A command about a process whose number is not known yet waits for it")
        func destinations() {
            var state = RecipeService.State()
            #expect(state.destination(of: 7) == .elsewhere)
            state.run = RecipeService.Run(command: 1)
            #expect(state.destination(of: 7) == .unknown)
            state.run?.process = 7
            #expect(state.destination(of: 7) == .here && state.destination(of: 8) == .elsewhere)
        }
    }
}
