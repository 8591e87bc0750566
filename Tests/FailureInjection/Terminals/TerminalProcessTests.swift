import ALDCore
import ALDTestKit
import Foundation
import Modbus
import XCTest

/// Real processes: each terminal ends in order on a signal, is one of its kind, leaves nothing after `kill -9`, and goes
/// on without the database.
final class TerminalProcessTests: XCTestCase {
    private static func endsInOrder(
        _ result: ChildResult, file: StaticString = #filePath, line: UInt = #line
    ) {
        XCTAssertEqual(result.exitCode, 0, result.transcript, file: file, line: line)
    }

    func test_terminalsAsProcesses_endInOrderOnSignalsAndKillLeavesNothing() async throws {
        try await TerminalPlant.with { plant in
            let station = plant.station
            // Terminal 1 enters the machine; the others need it.
            let early = try await station.command(["commands"], isTerminal: true)
            XCTAssertEqual(early.exitCode, 69, early.transcript)
            XCTAssertTrue(early.errors.last?.contains("start `ald collect` once") == true, early.transcript)

            let collected = try await station.command(["collect"], isTerminal: true) { collect in
                try await plant.begins(collect, "Terminal 1 collects")
                let killed = try await station.command(["commands"], isTerminal: true) { commands in
                    try await plant.begins(commands, "Terminal 3 waits")
                    commands.send(SIGKILL)
                }
                XCTAssertEqual(killed.signal, SIGKILL)
                // At once, not after three missed heartbeats.
                let restarted = try await station.command(["commands"], isTerminal: true) { commands in
                    try await plant.begins(commands, "Terminal 3 is back")
                    let done = try await station.command(["command", "set", "MFC 1.flow", "42", "--wait"])
                    XCTAssertEqual(done.exitCode, 0, done.transcript)
                    try await Self.refusesSecondOnes(plant)
                    commands.send(SIGINT)
                }
                Self.endsInOrder(restarted)
                let setPoint = try await plant.setPoint("MFC 1.flow")
                XCTAssertEqual(setPoint, 42)
                collect.send(SIGTERM)
            }
            Self.endsInOrder(collected)
            XCTAssertTrue(try AldProcess.summary(of: collected).isBalanced)
            let instances = try await plant.instances()
            XCTAssertEqual(instances, ["terminal1 stopped", "terminal3 crashed", "terminal3 stopped"])
        }
    }

    /// By the lock in the same directory, by the database from another one, and neither touches who runs.
    private static func refusesSecondOnes(_ plant: TerminalPlant) async throws {
        for (terminal, number) in [("collect", 1), ("commands", 3)] {
            let sameDirectory = try await plant.station.command([terminal], isTerminal: true)
            XCTAssertEqual(sameDirectory.exitCode, 10, sameDirectory.transcript)
            XCTAssertTrue(
                sameDirectory.errors.last?.contains("of machine 1 runs already in") == true, sameDirectory.transcript)
            let otherDirectory = try await plant.elsewhere().command([terminal], isTerminal: true)
            XCTAssertEqual(otherDirectory.exitCode, 10, otherDirectory.transcript)
            XCTAssertTrue(
                otherDirectory.errors.last?.contains("terminal\(number) of machine 1 runs already: process") == true,
                otherDirectory.transcript)
        }
    }

    func test_databaseAwayAtTheStart_collectionGoesOnFromWhatItKnows() async throws {
        try await TerminalPlant.with { plant in
            let station = plant.station
            try await plant.server.stop()
            let unknown = try await station.command(["collect"], isTerminal: true)
            XCTAssertEqual(unknown.exitCode, 69, "nothing is known yet: \(unknown.transcript)")
            _ = try await plant.server.start()
            let metadata = station.dataDirectory + "/metadata.json"
            let first = try await station.command(["collect"], isTerminal: true) { collect in
                try await eventually("the machine is known") { FileManager.default.fileExists(atPath: metadata) }
                collect.send(SIGTERM)
            }
            Self.endsInOrder(first)
            try await plant.server.stop()
            let second = try await station.command(["collect", "--period", "50ms"], isTerminal: true) { collect in
                try await plant.begins(collect, "Terminal 1 collects")
                try await eventually("rows wait on disk") {
                    try SpoolStatus.read(directory: station.dataDirectory + "/spool").waitingRecords > 51 * 5
                }
                _ = try await plant.server.start()
                try await eventually("it is entered and its rows land") {
                    let entered = try await plant.number(
                        "SELECT count(*) FROM ald.terminal_instances WHERE ended_at IS NULL")
                    let rows = try await plant.number("SELECT count(*) FROM ald.parameter_value_history")
                    return entered == 1 && rows > 51 * 5
                }
                collect.send(SIGTERM)
            }
            Self.endsInOrder(second)
            let summary = try AldProcess.summary(of: second)
            XCTAssertTrue(summary.isBalanced)
            XCTAssertEqual(summary.missedSpool, 0, second.transcript)
        }
    }

    func test_status_tellsWhatRunsAndWhatIsSilent() async throws {
        try await TerminalPlant.with { plant in
            let station = plant.station
            let run = try await station.command(["run"], isTerminal: true) { run in
                try await plant.begins(run)
                try await eventually("all is well") {
                    try await station.command(["status", "--json"]).exitCode == 0
                }
                let refused = try await station.command(["command", "set", "MFC 1.flow", "1e6", "--wait"])
                XCTAssertEqual(refused.exitCode, 1, refused.transcript)
                XCTAssertEqual(refused.errors.last, "ald: 1000000 for MFC 1.flow is outside of 0 to 200")
                let done = try await station.command(["command", "set", "MFC 1.flow", "7", "--wait", "--json"])
                XCTAssertEqual(done.exitCode, 0, done.transcript)
                XCTAssertTrue(done.output.last?.contains("\"status\":\"succeeded\"") == true, done.transcript)
                // The refused one has used up a number.
                let trace = try await station.command(["trace", "2"])
                XCTAssertEqual(trace.exitCode, 0, trace.transcript)
                XCTAssertEqual(
                    trace.output.map { $0.prefix(2) }.filter { $0.hasPrefix("T") }, ["T1", "T2", "T3", "T4", "T5"])
                XCTAssertEqual(plant.controller.statistics.accepted, 1, "all three share one connection, and keep it")
                run.send(SIGKILL)
            }
            XCTAssertEqual(run.signal, SIGKILL)
            // What was killed is silent after three heartbeats; so that nobody waits for them, they are made old.
            try await TestDatabase.withConnection(plant.database) { connection, deadline in
                try await connection.execute(
                    script: """
                        SET session_replication_role = replica;
                        UPDATE ald.terminal_instances SET last_heartbeat_at = clock_timestamp() - interval '61 s'
                        """, deadline: deadline)
            }
            let status = try await station.command(["status"])
            XCTAssertEqual(status.exitCode, 1, status.transcript)
            XCTAssertTrue(status.output.contains { $0.contains("terminal3 was not heard of for 6") }, status.transcript)
            try await plant.server.stop()
            let blind = try await station.command(["status"])
            XCTAssertEqual(blind.exitCode, 69, blind.transcript)
            XCTAssertTrue(blind.output.contains { $0.hasPrefix("Spool") }, blind.transcript)
            _ = try await plant.server.start()
        }
    }

    func test_recipesThatCannotBeMadeSafe_theOtherTerminalsWorkOn() async throws {
        try await TerminalPlant.with { plant in
            let station = plant.station
            try FileManager.default.createDirectory(
                atPath: station.dataDirectory, withIntermediateDirectories: true)
            try "{".write(
                toFile: station.dataDirectory + "/recipe-journal.json", atomically: true, encoding: .utf8)
            let run = try await station.command(["run"], isTerminal: true) { run in
                try await plant.begins(run)
                let done = try await station.command(["command", "set", "MFC 1.flow", "9", "--wait"])
                XCTAssertEqual(done.exitCode, 0, done.transcript)
                try await eventually("everybody sees it") {
                    let status = try await station.command(["status"])
                    return status.exitCode == 1 && status.transcript.contains("terminal2 is degraded")
                }
                let rows = try await plant.number("SELECT count(*) FROM ald.parameter_value_history")
                try await eventually("recording goes on") {
                    try await plant.number("SELECT count(*) FROM ald.parameter_value_history") > rows
                }
                run.send(SIGTERM)
            }
            Self.endsInOrder(run)
        }
    }

    /// Starts a recipe on the running machine that keeps Valve 1 open for 50 s, and waits until it is open.
    private static func opensAValveForLong(_ plant: TerminalPlant, _ run: RunningChild) async throws {
        try await plant.begins(run)
        let file = plant.station.dataDirectory + ".yaml"
        try "recipe: open\nsteps:\n  - valve: Valve 1.valve_state\n    open: 50s\n".write(
            toFile: file, atomically: true, encoding: .utf8)
        for words in [["import", file], ["start", "open"]] {
            let done = try await plant.station.command(["recipe"] + words)
            XCTAssertEqual(done.exitCode, 0, done.transcript)
        }
        try await eventually("the valve is open") { try await plant.setPoint("Valve 1.valve_state") == 1 }
    }

    /// Whatever the database does: here it takes connections and says nothing, so that nothing else of the terminal has begun.
    func test_killedWithAnOpenValve_itIsClosedBeforeAnythingElseBegins() async throws {
        try await TerminalPlant.with { plant in
            var station = plant.station
            let killed = try await station.command(["run"], isTerminal: true) { run in
                try await Self.opensAValveForLong(plant, run)
                run.send(SIGKILL)
            }
            XCTAssertEqual(killed.signal, SIGKILL)
            let silence = try SilentListener()
            defer { silence.close() }
            let database = station.environment["ALD_DATABASE_URL"]
            station.environment["ALD_DATABASE_URL"] = "postgresql://ald@127.0.0.1:\(silence.port)/ald"
            let stuck = try await station.command(["recipes"], isTerminal: true) { recipes in
                try await eventually("the valve is closed") { try await plant.setPoint("Valve 1.valve_state") == 0 }
                XCTAssertFalse(plant.isRunning(recipes), "nothing else has begun")
                recipes.send(SIGTERM)
            }
            Self.endsInOrder(stuck)
            XCTAssertTrue(
                stuck.errors.contains { $0.contains("an earlier recipe service ended without a word") },
                stuck.transcript)
            station.environment["ALD_DATABASE_URL"] = database
            let told = try await station.command(["recipes"], isTerminal: true) { recipes in
                try await eventually("the run is ended, and what was closed is written down") {
                    try await plant.number(
                        """
                        SELECT count(*) FROM ald.process_executions e WHERE status = 'aborted' AND EXISTS (
                            SELECT FROM ald.recipe_execution_audit a
                            WHERE a.process_id = e.process_id AND a.kind = 'safety')
                        """) == 1
                }
                recipes.send(SIGTERM)
            }
            Self.endsInOrder(told)
        }
    }

    /// A host died in a recipe, another one has taken the machine, and the first one is back.
    func test_leftOnAHostWhoseMachineAnotherRunsByNow_nothingIsTouched() async throws {
        try await TerminalPlant.with { plant in
            let (station, other) = (plant.station, plant.elsewhere())
            try FileManager.default.createDirectory(atPath: other.dataDirectory, withIntermediateDirectories: true)
            let valve = try plant.map.parameter(named: "Valve 1.valve_state").id
            let journal = other.dataDirectory + "/recipe-journal.json"
            let left = "{\"version\":1,\"label\":\"process 9 of another time\",\"process\":9,\"valves\":[\(valve)]}"
            try left.write(toFile: journal, atomically: true, encoding: .utf8)
            let run = try await station.command(["run"], isTerminal: true) { run in
                try await Self.opensAValveForLong(plant, run)
                let back = try await other.command(["recipes"], isTerminal: true)
                XCTAssertEqual(back.exitCode, 10, back.transcript)
                XCTAssertTrue(
                    back.errors.contains { $0.contains("what an earlier recipe service left is not touched") },
                    back.transcript)
                let isOpen = try await plant.setPoint("Valve 1.valve_state")
                XCTAssertEqual(isOpen, 1, "the other one's pulse goes on")
                run.send(SIGTERM)
            }
            Self.endsInOrder(run)
            let isOpen = try await plant.setPoint("Valve 1.valve_state")
            XCTAssertEqual(isOpen, 0)
            XCTAssertEqual(try String(contentsOfFile: journal, encoding: .utf8), left)
        }
    }

    /// Each of the two on a plant of its own and beside the other, for they wait more than they work.
    func test_eventsOfARunWaitOnDisk_recipesAloneOrAmongAllFindThem() async throws {
        async let alone: Void = Self.eventsWait(before: "recipes", after: "run")
        async let together: Void = Self.eventsWait(before: "run", after: "recipes")
        _ = try await (alone, together)
    }

    private static func eventsWait(before: String, after: String) async throws {
        try await TerminalPlant.with { plant in
            let station = plant.station
            let file = station.dataDirectory + ".yaml"
            try "recipe: long\nsteps:\n  - wait: 50s\n".write(toFile: file, atomically: true, encoding: .utf8)
            let first = try await station.command(["run"], isTerminal: true) { run in
                try await plant.begins(run)
                let stored = try await station.command(["recipe", "import", file])
                XCTAssertEqual(stored.exitCode, 0, stored.transcript)
                run.send(SIGTERM)
            }
            endsInOrder(first)
            let spool = station.dataDirectory + "/recipe-spool"
            let process = "FROM ald.process_executions WHERE process_id = 1"
            let cut = try await station.command([before], isTerminal: true) { terminal in
                try await plant.begins(terminal, "\(before) runs")
                let started = try await station.command(["recipe", "start", "long"])
                XCTAssertEqual(started.exitCode, 0, started.transcript)
                try await eventually("the recipe runs") {
                    try await plant.number("SELECT count(*) \(process) AND status = 'running'") == 1
                }
                try await plant.server.stop()
                terminal.send(SIGTERM)
            }
            endsInOrder(cut)
            _ = try await plant.server.start()
            XCTAssertGreaterThan(try SpoolStatus.read(directory: spool).waitingRecords, 0)
            let found = try await station.command([after], isTerminal: true) { terminal in
                try await eventually("the end of the process lands") {
                    try await plant.number("SELECT count(*) \(process) AND status = 'aborted'") == 1
                }
                terminal.send(SIGTERM)
            }
            endsInOrder(found)
            let told = try await plant.number(
                "SELECT count(*) \(process) AND error = 'the recipe service was shut down'")
            XCTAssertEqual(told, 1, "\(after) knows what \(before) has written down")
            XCTAssertEqual(try SpoolStatus.read(directory: spool).waitingRecords, 0)
        }
    }

    /// A valve is open that cannot be closed, a command is tried, and nobody answers: each part of the end takes all the
    /// time it has, and still nothing of it is cut off.
    func test_controllerAndDatabaseAway_theEndKeepsItsBudget() async throws {
        try await TerminalPlant.with { plant in
            let station = plant.station
            let clock = ContinuousClock()
            var signalled = clock.now
            let run = try await station.command(["run"], isTerminal: true, endsWithin: .seconds(60)) { run in
                try await Self.opensAValveForLong(plant, run)
                await plant.controller.stop()
                let asked = try await station.command(["command", "set", "MFC 1.flow", "5", "--timeout", "1h"])
                XCTAssertEqual(asked.exitCode, 0, asked.transcript)
                try await eventually("the command is tried") {
                    try await plant.number(
                        "SELECT count(*) FROM ald.parameter_control_commands WHERE status = 'executing'") == 1
                }
                try await plant.server.stop()
                signalled = clock.now
                run.send(SIGTERM)
            }
            XCTAssertLessThan(clock.now - signalled, ShutdownBudget.total)
            XCTAssertEqual(run.exitCode, 0, run.transcript)
            // Said when its time was up, and not by who was cancelled before that.
            for words in ["the next start finds out how they ended", "these may not be safe"] {
                XCTAssertTrue(run.errors.contains { $0.contains(words) }, "\(words): \(run.transcript)")
            }
            _ = try await plant.server.start()
        }
    }

    func test_aPartOfTheParametersIsCollected_commandsAndRecipesKnowAll() async throws {
        try await TerminalPlant.with { plant in
            var station = plant.station
            station.environment["ALD_PARAMETERS"] = "MFC 1.flow, Pressure Gauge 1.pressure"
            let recipe = Repository.root + "/Fixtures/Machine/Recipes/demonstration.yaml"
            let sound = try await station.command(["recipe", "validate", recipe])
            XCTAssertEqual(sound.exitCode, 0, sound.transcript)
            let run = try await station.command(["run"], isTerminal: true) { run in
                try await plant.begins(run)
                let done = try await station.command(["command", "set", "Chamber Heater.temperature", "40", "--wait"])
                XCTAssertEqual(done.exitCode, 0, done.transcript)
                try await eventually("rows land") {
                    try await plant.number("SELECT count(*) FROM ald.parameter_value_history") > 0
                }
                run.send(SIGTERM)
            }
            Self.endsInOrder(run)
            let setPoint = try await plant.setPoint("Chamber Heater.temperature")
            XCTAssertEqual(setPoint, 40)
            let collected = try await plant.number(
                "SELECT count(DISTINCT parameter_id) FROM ald.parameter_value_history")
            XCTAssertEqual(collected, 2)
            let known = try await plant.number("SELECT count(*) FROM ald.component_parameters")
            XCTAssertEqual(known, 51)
        }
    }

    func test_demonstration_runsOnTheSimulatedMachineAndEndsInOrder() async throws {
        try await TerminalPlant.with { plant in
            var station = plant.station
            station.environment["ALD_PLC"] = .some(nil)
            let recipe = Repository.root + "/Fixtures/Machine/Recipes/demonstration.yaml"
            let run = try await station.command(["run", "--demonstration", recipe], isTerminal: true) { run in
                try await eventually("steps are done") {
                    try await plant.number(
                        "SELECT coalesce(max(completed_steps), 0) FROM ald.process_execution_state") >= 4
                }
                let second = try await station.command(["recipes"], isTerminal: true)
                XCTAssertEqual(second.exitCode, 10, second.transcript)
                run.send(SIGTERM)
            }
            Self.endsInOrder(run)
            let failed = try await plant.number(
                "SELECT count(*) FROM ald.process_executions WHERE status NOT IN ('aborted', 'completed', 'running')")
            XCTAssertEqual(failed, 0)
            // A process whose end is known has ended in the database, unless that end still waits on disk.
            let running = try await plant.number(
                "SELECT count(*) FROM ald.process_executions WHERE status = 'running'")
            let waiting = try SpoolStatus.read(directory: station.dataDirectory + "/recipe-spool").waitingRecords
            XCTAssertEqual(running, waiting > 0 ? 1 : 0, "\(waiting) records wait")
            let instances = try await plant.instances()
            XCTAssertEqual(instances.sorted(), ["terminal1 stopped", "terminal2 stopped", "terminal3 stopped"])
        }
    }
}
