import ALDCore

/// A recipe from the insertion of its command to its end, and where the time beside its plan goes; then one that is
/// stopped.
struct RecipeBenchmark: ScenarioWork {
    var recipe: BenchmarkRecipe
    /// What the requirement allows. A shorter run is a recipe of the same steps with a shorter plan, and is allowed less.
    var bound: Duration

    /// Of what is allowed.
    private static let planned = 0.6

    var unheeded: [RunOption: String] {
        var unheeded: [RunOption: String] = [.scale: "the steps are those of the requirement"]
        if recipe == .writes { unheeded[.duration] = "writes alone take no programmed time" }
        return unheeded
    }

    func run(_ run: ScenarioRun) async throws {
        let map = try Machine51.map()
        let allowed = recipe == .writes ? bound : min(run.duration, bound)
        let recipe = try recipe.recipe(on: map, lasting: allowed * Self.planned)
        let valve = try map.parameter(named: "Valve 1.valve_state").id
        try await run.host.withDatabase { database in
            try await withTemporaryDirectory(in: run.host.directory()) { directory in
                try await RecipeRig.run(map, seed: run.seed, in: database, directory: directory) { rig in
                    let account = RunAccount(run: run, recipe: recipe, database: database)
                    let command = try await rig.start(try await rig.store(recipe))
                    try await account.waitForEnd(of: command, within: allowed * 3)
                    try await account.note(command, allowed: allowed)
                    try await cancel(run, rig, valve, account)
                }
            }
        }
    }

    /// From the insertion of a stop to the machine that is safe, as the run's record has it.
    private func cancel(
        _ run: ScenarioRun, _ rig: RecipeRig, _ valve: ParameterID, _ account: RunAccount
    ) async throws {
        let open = Recipe(name: "open", steps: [RecipeStep(id: 1, .valve(valve, open: .seconds(50)))])
        let command = try await rig.start(try await rig.store(open))
        try await eventually("the valve is open") {
            try await rig.machine.readSetPoint(of: valve, deadline: run.patience) != 0
        }
        guard let process = rig.service.status.process else {
            throw NeverHappened(description: "a valve is open, and no recipe runs")
        }
        let stop = try await rig.stop(process)
        try await account.waitForEnd(of: command, within: .seconds(50))
        run.note(
            "cancellation",
            try await TestDatabase.durations(
                """
                SELECT extract(epoch FROM p.ended_at - c.created_at)::float8
                FROM ald.recipe_commands c JOIN ald.process_executions p USING (machine_id, process_id)
                WHERE c.command_id = \(stop)
                """, account.database))
        let isOpen = try await rig.machine.readSetPoint(of: valve, deadline: run.patience) != 0
        run.note("valves left open", count: isOpen ? 1 : 0)
    }
}

/// What a run of a recipe has left in the database: when it was asked for, when it began, when each step began and ended.
struct RunAccount: Sendable {
    let run: ScenarioRun
    let recipe: Recipe
    let database: PostgresConfiguration

    /// Waits until the run that this command asked for has ended and everything it had to tell has landed.
    func waitForEnd(of command: Int64, within limit: Duration) async throws {
        try await eventually("the recipe has ended", within: limit + .seconds(30)) {
            try await TestDatabase.number(
                """
                SELECT count(*) FROM ald.recipe_commands c JOIN ald.process_executions p USING (machine_id, command_id)
                WHERE c.command_id = \(command) AND c.finished_at IS NOT NULL AND p.ended_at IS NOT NULL
                """, database) == 1
        }
    }

    /// Notes how long all of it took, beside what was planned and what is allowed.
    func note(_ command: Int64, allowed: Duration) async throws {
        let whole = try await TestDatabase.withConnection(database) { connection, deadline in
            try await connection.query(
                """
                SELECT extract(epoch FROM p.ended_at - c.created_at)::float8,
                    extract(epoch FROM s.began - c.created_at)::float8,
                    extract(epoch FROM p.ended_at - s.began)::float8, p.status, coalesce(p.error, ''), p.process_id
                FROM ald.recipe_commands c JOIN ald.process_executions p USING (machine_id, command_id)
                LEFT JOIN LATERAL (SELECT min(started_at) AS began FROM ald.step_execution_history h
                    WHERE h.machine_id = p.machine_id AND h.process_id = p.process_id) s ON true
                WHERE c.command_id = \(command)
                """, deadline: deadline
            ).first
        }
        guard let whole else { throw NeverHappened(description: "the run of command \(command) is gone") }
        let (status, error) = (try whole.decode(3, as: String.self), try whole.decode(4, as: String.self))
        if status != "completed" { run.fail("the recipe is \(status): \(error)") }
        let (total, startUp) = (try whole.decode(0, as: Double.self), try whole.decode(1, as: Double?.self))
        let plan = recipe.extent?.duration ?? .zero
        run.note("planned", plan)
        run.note("total", total, .seconds)
        run.note("allowed", allowed)
        run.note("part of what is allowed", total / allowed.inSeconds, .ratio)
        if let startUp { run.note("start-up", startUp, .seconds) }
        if plan > .zero, let took = try whole.decode(2, as: Double?.self) {
            run.note("overhead", took / plan.inSeconds - 1, .ratio)
        }
        try await noteSteps(of: try whole.decode(5, as: Int64.self))
    }

    private struct Step {
        var id: Int32
        var iterations: [Int32]
        /// Seconds since the first one began.
        var began: Double
        var ended: Double?
    }

    private func noteSteps(of process: Int64) async throws {
        let steps = try await TestDatabase.withConnection(database) { connection, deadline in
            try await connection.query(
                """
                SELECT step_id, loop_iterations,
                    extract(epoch FROM started_at - min(started_at) OVER ())::float8,
                    extract(epoch FROM ended_at - min(started_at) OVER ())::float8
                FROM ald.step_execution_history WHERE process_id = \(process) ORDER BY occurrence
                """, deadline: deadline
            ).map {
                Step(
                    id: try $0.decode(0), iterations: try $0.decode(1), began: try $0.decode(2), ended: try $0.decode(3)
                )
            }
        }
        run.note("steps", count: steps.count)
        run.note("steps without a record", count: Int(recipe.extent?.steps ?? 0) - steps.count { $0.ended != nil })
        noteKinds(steps)
        noteTransitions(steps)
        run.note("state update", try await stateUpdates(of: process))
    }

    /// By kind of step: how long it took, and how much of it nobody had planned.
    private func noteKinds(_ steps: [Step]) {
        let kinds = Dictionary(recipe.outline.map { ($0.step.id, $0.step.kind) }) { first, _ in first }
        var (times, extra): ([String: DurationHistogram], [String: DurationHistogram]) = ([:], [:])
        for step in steps {
            guard let kind = kinds[step.id], let ended = step.ended else { continue }
            let took = Duration.seconds(ended - step.began)
            times[kind.word, default: DurationHistogram()].record(took)
            let plan = Recipe(name: "", steps: [RecipeStep(id: 1, kind)]).extent?.duration ?? .zero
            extra[kind.word, default: DurationHistogram()].record(took - plan)
        }
        for word in times.keys.sorted() {
            if let histogram = times[word] { run.note("\(word) step", histogram) }
            if let histogram = extra[word] { run.note("\(word) step beyond plan", histogram) }
        }
    }

    /// From the end of a step to the beginning of the next: within an iteration, and where another one begins.
    private func noteTransitions(_ steps: [Step]) {
        var (plain, loops) = (DurationHistogram(), DurationHistogram())
        for (step, next) in zip(steps, steps.dropFirst()) {
            guard let ended = step.ended else { continue }
            let gap = Duration.seconds(next.began - ended)
            if step.iterations == next.iterations { plain.record(gap) } else { loops.record(gap) }
        }
        run.note("between two steps", plain)
        run.note("between two iterations", loops)
    }

    /// From what happened to the state in the database that says so.
    private func stateUpdates(of process: Int64) async throws -> DurationHistogram {
        try await TestDatabase.durations(
            """
            SELECT extract(epoch FROM b.applied_at - e.happened_at)::float8
            FROM ald.process_events e JOIN ald.ingest_batches b USING (machine_id, origin, batch_number)
            WHERE e.process_id = \(process)
            """, database)
    }
}
