import ALDTestKit
import Foundation
import Modbus
import Testing

@testable import ALDCore

/// `ald recipe` as people and scripts run it, and the recipe service as a process that is killed.
@Suite("ald recipe", .timeLimit(.minutes(5))) struct RecipeCommandTests {
    /// What a story has: a directory, a database with a registered machine, and that machine behind Modbus TCP.
    private struct Place: Sendable {
        let directory: String
        let url: String
        let database: PostgresConfiguration
        let machine: SimulatedPLC
        let port: Int

        func ald(
            _ arguments: [String], endsWithin limit: Duration = .seconds(60),
            _ body: (RunningChild) async throws -> Void = { _ in }
        ) async throws -> ChildResult {
            let environment = ["ALD_DATABASE_URL": url, "ALD_MACHINE": Repository.machine51, "USER": "ann"]
            return try await ChildProcess.run(
                try Executables.ald(), arguments, environment: environment, endsWithin: limit, body)
        }

        func recipe(_ arguments: String...) async throws -> ChildResult { try await ald(["recipe"] + arguments) }

        func file(_ name: String, _ steps: String) throws -> String {
            let path = "\(directory)/\(name).yaml"
            try "recipe: \(name)\nsteps:\n\(steps)\n".write(toFile: path, atomically: true, encoding: .utf8)
            return path
        }

        /// Runs the recipe service as a process, from when it takes commands.
        func serving(_ body: (RunningChild) async throws -> Void) async throws -> ChildResult {
            try await ald(["exercise-recipes", directory, "--port", "\(port)"]) { child in
                try await eventually("it takes commands: \(child.errors)", within: .seconds(60)) {
                    child.output.contains("ready")
                }
                try await body(child)
            }
        }

        func setPoint(_ valve: Int32) async throws -> Double {
            try await machine.readSetPoint(of: RecipePlant.valve(valve), deadline: SystemTime().now + .seconds(60))
        }

        func rows(_ statement: String) async throws -> [String] {
            try await TestDatabase.withConnection(database) { connection, _ in try await connection.rows(statement) }
        }
    }

    private static func with(_ body: @Sendable (Place) async throws -> Void) async throws {
        let map = try RegisterMap(file: Repository.machine51)
        let machine = SimulatedPLC(map, seed: 1)
        let server = machine.makeServer()
        let port = try await server.start()
        try await withCleanup {
            try await TestDatabase.withPrivateServer { postgres, lease in
                try await withTemporaryDirectory { directory in
                    let url = try #require(await postgres.connectionString)
                    let place = Place(
                        directory: directory, url: url, database: lease.configuration, machine: machine, port: port)
                    let seeded = try await place.ald(
                        ["database", "seed", Repository.machine51, "--machine", "1", "--name", "ALD-1"])
                    #expect(seeded.exitCode == 0, "\(seeded.transcript)")
                    try await body(place)
                }
            }
        } cleanup: {
            await server.stop()
        }
    }

    private static let demonstration = Repository.machine51.replacing(
        "machine-51.csv", with: "Recipes/demonstration.yaml")

    @Test("From a file to a version: what is wrong has its line, what is there already is not stored again")
    func files() async throws {
        try await Self.with { place in
            let wrong = try place.file("wrong", "  - valve: Valve 1.valve_state\n    open: 61s\n  - wait: 1us")
            let verdict = try await place.recipe("validate", Self.demonstration, wrong)
            #expect(verdict.exitCode == 1)
            #expect(
                verdict.output == [
                    "\(Self.demonstration): sound, 403 steps, 0:03:30 without ramps",
                    "\(wrong):5: `wait` is no time of whole milliseconds, such as 15ms, 2s, 1.5s, 10m or 1h",
                ])
            let long = try place.file("long", "  - valve: Valve 1.valve_state\n    open: 61s")
            #expect(
                try await place.recipe("validate", long).output == [
                    "\(long):3: Valve 1.valve_state would be open for 61.0 seconds; at most 60.0 seconds is allowed"
                ])
            #expect(try await place.recipe("import", long).exitCode == 78)
            #expect(try await place.recipe("list").output == ["no recipes yet; `ald recipe import FILE` stores one"])
            #expect(
                try await place.recipe("import", Self.demonstration).output
                    == ["Demonstration, version 1: released, new"])
            #expect(
                try await place.recipe("import", Self.demonstration).output
                    == ["Demonstration, version 1: released, it was there already"])
            let list = try await place.recipe("list").output
            #expect(list.count == 2 && list[1].hasPrefix("Demonstration  1        released  8"), "\(list)")
            let shown = try await place.recipe("show", "Demonstration")
            let map = try RegisterMap(file: Repository.machine51)
            #expect(
                try RecipeFile(text: shown.output.joined(separator: "\n"), name: "shown", map: map).recipe
                    == RecipeFile(path: Self.demonstration, map: map).recipe)
            let missing = try await place.recipe("show", "x")
            #expect(missing.exitCode == 1)
            #expect(missing.errors == ["ald: no recipe is called \"x\"; there are: Demonstration"])
            // Nobody is there to run it.
            let alone = try await place.recipe("start", "Demonstration", "--within", "100ms", "--wait")
            #expect(alone.exitCode == 69, "\(alone.transcript)")
            #expect(try await place.recipe("stop").errors == ["ald: no recipe is under way"])
            #expect(try await place.recipe("clear", "--reason", "r").exitCode == 1)
        }
    }

    @Test("kill -9 in the middle of a pulse: the valve is closed at the next start, the process ended, and all goes on")
    func killed() async throws {
        try await Self.with { place in
            for path in [
                try place.file("short", "  - valve: Valve 1.valve_state\n    open: 5ms"),
                try place.file("long", "  - wait: 20ms\n  - valve: Valve 2.valve_state\n    open: 50s"),
            ] { #expect(try await place.recipe("import", path).exitCode == 0) }
            let killed = try await place.serving { child in
                let done = try await place.recipe("start", "short", "--wait")
                #expect(
                    done.exitCode == 0 && done.output == ["short has run to its end, process 1"], "\(done.transcript)")
                #expect(try await place.recipe("start", "long", "--reason", "wafer 7").exitCode == 0)
                try await eventually("the valve is open") { try await place.setPoint(2) == 1 }
                #expect(try await place.recipe("start", "short").exitCode == 75)
                // What it has begun is known by then.
                try await eventually("the step is known") {
                    try await place.rows("SELECT step_id FROM ald.process_execution_state WHERE process_id = 2") == [
                        "2"
                    ]
                }
                child.send(SIGKILL)
            }
            #expect(killed.signal == SIGKILL)
            #expect(try await place.setPoint(2) == 1, "the hazard is real")
            let ended = try await place.serving { child in
                #expect(try await place.setPoint(2) == 0)
                let process = try await place.rows(
                    "SELECT status, error FROM ald.process_executions WHERE process_id = 2")
                #expect(
                    process.first?.hasPrefix(
                        "aborted|the recipe service ended without a word, in step 2, after 1 of 2 steps") == true,
                    "\(process)")
                let again = try await place.recipe("start", "short", "--wait")
                #expect(again.exitCode == 0, "\(again.transcript)")
                #expect(
                    try await place.rows("SELECT status FROM ald.recipe_commands ORDER BY command_id")
                        == ["succeeded", "failed", "succeeded"])
                // And an orderly end, in the middle of a pulse as well.
                #expect(try await place.recipe("start", "long").exitCode == 0)
                try await eventually("the valve is open") { try await place.setPoint(2) == 1 }
                child.send(SIGTERM)
            }
            #expect(ended.exitCode == 0, "\(ended.transcript)")
            #expect(try await place.setPoint(2) == 0)
            #expect(
                try await place.rows("SELECT status, error FROM ald.process_executions WHERE process_id = 4")
                    == ["aborted|the recipe service was shut down"])
        }
    }
}
