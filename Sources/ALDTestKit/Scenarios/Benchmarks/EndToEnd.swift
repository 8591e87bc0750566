import ALDCore
import Foundation
import Synchronization

/// Something that is asked for, on its way through processes of their own to the machine and back into the record that
/// Terminal 1 keeps of it.
struct EndToEnd: ScenarioWork {
    enum Path: Sendable {
        /// A command: Terminal 3, the machine, Terminal 1.
        case command
        /// A recipe's first step: Terminal 2, the machine, Terminal 1.
        case firstStep
        /// A recipe from its start to the reading after its last step. A shorter run is one of a shorter plan.
        case wholeRecipe
        /// As a command, asked for and waited for by another program.
        case outside
    }

    var path: Path
    /// What the requirement allows.
    var bound: Duration

    /// Of Terminal 1.
    var period: Duration = .seconds(1)
    /// A recipe of two minutes is allowed five.
    private static let planned = 0.4

    var unheeded: [RunOption: String] {
        switch path {
        case .command: [:]
        case .firstStep, .outside: [.scale: "one round follows the other"]
        case .wholeRecipe: [.scale: "there is one recipe"]
        }
    }

    func run(_ run: ScenarioRun) async throws {
        let map = try Machine51.map()
        try await run.host.withDatabase { database in
            try await TerminalBench.run(run, map, period: period, isMetered: false, in: database) { bench in
                let stages = StageBook()
                switch path {
                case .command: try await command(run, bench, stages)
                case .firstStep: try await over(run) { _ in try await firstStep(bench, stages) }
                case .wholeRecipe: try await wholeRecipe(run, bench)
                case .outside: try await over(run) { try await outside(run, bench, stages, $0) }
                }
                stages.note(run)
                switch path {
                case .command, .outside: try await CommandStages.note(run, database)
                case .firstStep, .wholeRecipe: break
                }
            }
        }
    }

    /// One round after the other while there is time, at least one.
    private func over(_ run: ScenarioRun, _ round: (_ number: Int) async throws -> Void) async throws {
        let end = run.time.now + run.duration
        var number = 0
        repeat {
            try await round(number)
            number += 1
        } while run.time.now < end
        run.note("rounds", count: number)
    }

    // MARK: Commands

    /// At a constant rate, so that they meet Terminal 1 at any place between two readings.
    private func command(_ run: ScenarioRun, _ bench: TerminalBench, _ stages: StageBook) async throws {
        let switches = bench.switches
        let load = OpenLoop(rate: 1.7 * run.scale, duration: run.duration, clients: 4)
        let report = try await load.run { _, number in
            let (parameter, value) = (switches[number % switches.count].id, number / switches.count % 2 == 0 ? 1.0 : 0)
            try await TestDatabase.withConnection(bench.database) { connection, deadline in
                let (began, asked) = (run.time.now, run.time.wallClock)
                try await bench.ask(value, of: parameter, connection, deadline: deadline)
                let written = try await bench.waitForWrite(of: value, to: parameter, after: began)
                stages.add("asked to written", written - began)
                try await bench.waitForRecord(of: value, parameter, after: asked.advanced(by: written - began))
                stages.add("written to recorded by Terminal 1", run.time.now - written)
                stages.add("asked to recorded by Terminal 1", run.time.now - began)
            }
        }
        run.note("command", report)
    }

    private func outside(
        _ run: ScenarioRun, _ bench: TerminalBench, _ stages: StageBook, _ number: Int
    ) async throws {
        let parameter = bench.switches[number % bench.switches.count]
        let value = number / bench.switches.count % 2 == 0 ? 1.0 : 0
        let (began, asked) = (run.time.now, run.time.wallClock)
        let said = try await bench.outside(
            ["command", "set", parameter.qualifiedName, "\(Int(value))", "--wait", "--json"])
        let confirmed = run.time.now
        let answer = try JSONDecoder().decode(Answer.self, from: Data(said.utf8))
        guard answer.status == "succeeded", answer.actual == value else {
            throw NeverHappened(description: "not confirmed: \(said)")
        }
        let written = try await bench.waitForWrite(of: value, to: parameter.id, after: began)
        try await bench.waitForRecord(of: value, parameter.id, after: asked.advanced(by: written - began))
        stages.add("called to written", written - began)
        stages.add("written to answered", confirmed - written)
        stages.add("called to answered", confirmed - began)
        stages.add("called to recorded by Terminal 1", run.time.now - began)
        run.say("trace \(answer.trace)")
    }

    /// What `ald command set --json` writes.
    private struct Answer: Decodable {
        var trace: String
        var status: String
        var actual: Double?
    }

    // MARK: Recipes

    /// The first step holds what it sets for longer than Terminal 1 looks away.
    private func firstStep(_ bench: TerminalBench, _ stages: StageBook) async throws {
        let time = SystemTime()
        guard let parameter = bench.switches.first?.id else { throw NeverHappened(description: "no switch") }
        let recipe = Recipe(
            name: "first step",
            steps: [
                RecipeStep(
                    id: 1,
                    .parameter(SetPoint(parameter, 1), ramp: nil, hold: period + period / 5)),
                RecipeStep(id: 2, .parameter(SetPoint(parameter, 0), ramp: nil, hold: .zero)),
            ])
        let stored = try await bench.store(recipe)
        let (began, asked) = (time.now, time.wallClock)
        let command = try await bench.start(stored)
        let written = try await bench.waitForWrite(of: 1, to: parameter, after: began)
        stages.add("start to first step", written - began)
        try await bench.waitForRecord(of: 1, parameter, after: asked.advanced(by: written - began))
        stages.add("first step to recorded by Terminal 1", time.now - written)
        stages.add("start to recorded by Terminal 1", time.now - began)
        try await eventually("the recipe has run to its end") {
            try await TestDatabase.number(Self.completed(command), bench.database) == 1
        }
        for (name, part) in Self.recipeStages {
            let durations = try await TestDatabase.durations(
                """
                SELECT extract(epoch FROM \(part))::float8 FROM ald.recipe_commands c
                JOIN ald.process_executions p USING (machine_id, command_id)
                LEFT JOIN LATERAL (
                    SELECT e.happened_at, b.applied_at FROM ald.process_events e
                    JOIN ald.ingest_batches b USING (machine_id, origin, batch_number)
                    WHERE e.machine_id = p.machine_id AND e.process_id = p.process_id AND e.step_id = 1
                    ORDER BY e.happened_at LIMIT 1) s ON true
                WHERE c.command_id = \(command)
                """, bench.database)
            stages.add(name, durations)
        }
    }

    private static let recipeStages = [
        ("start to taken by Terminal 2", "c.claimed_at - c.created_at"),
        ("taken to process begun", "p.started_at - c.claimed_at"),
        ("process begun to first step begun", "s.happened_at - p.started_at"),
        ("first step begun to its record", "s.applied_at - s.happened_at"),
    ]

    private static func completed(_ command: Int64) -> String {
        """
        SELECT count(*) FROM ald.process_executions
        WHERE command_id = \(command) AND status = 'completed' AND ended_at IS NOT NULL
        """
    }

    private func wholeRecipe(_ run: ScenarioRun, _ bench: TerminalBench) async throws {
        guard let mark = bench.switches.first?.id else { throw NeverHappened(description: "no switch") }
        let allowed = min(run.duration, bound)
        var recipe = try BenchmarkRecipe.looped.recipe(on: bench.map, lasting: allowed * Self.planned)
        // What Terminal 1 sees of the end.
        let last = Int32(recipe.outline.count + 1)
        recipe.steps.append(RecipeStep(id: last, .parameter(SetPoint(mark, 1), ramp: nil, hold: .zero)))
        let stored = try await bench.store(recipe)
        let (began, asked) = (run.time.now, run.time.wallClock)
        let command = try await bench.start(stored)
        let account = RunAccount(run: run, recipe: recipe, database: bench.database)
        try await account.waitForEnd(of: command, within: allowed * 2)
        let ended = run.time.now
        let written = try await bench.waitForWrite(of: 1, to: mark, after: began)
        try await bench.waitForRecord(of: 1, mark, after: asked.advanced(by: written - began))
        run.note("start to the record of its end", ended - began)
        run.note("start to the last reading", run.time.now - began)
        run.note("last reading, of what is allowed", (run.time.now - began).inSeconds / allowed.inSeconds, .ratio)
        try await account.note(command, allowed: allowed)
    }
}

/// How long the stages of something have taken, each time.
final class StageBook: Sendable {
    private let state = Mutex<[(name: String, times: DurationHistogram)]>([])

    func add(_ name: String, _ duration: Duration) {
        var one = DurationHistogram()
        one.record(duration)
        add(name, one)
    }

    func add(_ name: String, _ durations: DurationHistogram) {
        state.withLock { stages in
            if let place = stages.firstIndex(where: { $0.name == name }) {
                stages[place].times.add(durations)
            } else {
                stages.append((name, durations))
            }
        }
    }

    /// Notes all of them, in the order in which they were first heard of.
    func note(_ run: ScenarioRun) {
        for stage in state.withLock(\.self) { run.note(stage.name, stage.times) }
    }
}
