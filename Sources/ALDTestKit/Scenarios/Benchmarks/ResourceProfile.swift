import ALDCore
import Synchronization

/// What the terminals use, each a process of its own, while they have so much to do.
struct ResourceProfile: ScenarioWork {
    enum Recipes: Sendable {
        case none
        /// One at the beginning, and then one in so long.
        case every(Duration)
        /// The next one as soon as one has ended.
        case continuous
    }

    var parameters: Int
    /// Of Terminal 1; the longest that it takes is what comes closest to nothing.
    var period: Duration = .seconds(1)
    var recipes = Recipes.none
    var commandsPerHour = 0.0

    /// Between two looks at the processes, as the requirement has it.
    private static let interval: Duration = .seconds(5)
    /// Of a short run.
    private static let fewestLooks = 10
    /// How long a recipe is programmed to take, where there is time for it.
    private static let longestRecipe: Duration = .seconds(60)

    func run(_ run: ScenarioRun) async throws {
        let map = try run.generatedMachine(parameters: parameters)
        try await run.host.withDatabase { database in
            try await TerminalBench.run(run, map, period: period, isMetered: true, in: database) { bench in
                let end = run.time.now + run.duration
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await look(run, bench, until: end) }
                    group.addTask { try await command(run, bench) }
                    group.addTask { try await runRecipes(run, bench, until: end) }
                    try await group.waitForAll()
                }
                try await judge(run, bench)
            }
        }
    }

    // MARK: Work

    private func command(_ run: ScenarioRun, _ bench: TerminalBench) async throws {
        guard commandsPerHour > 0 else { return }
        let targets = bench.map.parameters.filter { $0.isWritable && $0.dataType == .float32 }
        // The first at once: also a short run has one.
        let load = OpenLoop(rate: commandsPerHour / 3600 * run.scale, duration: run.duration, clients: 2)
        let report = try await load.run { _, number in
            let parameter = targets[number % targets.count]
            let part = Double(number / targets.count % 16 + 1) / 32
            let range = parameter.range
            let value = range.lowerBound + (range.upperBound - range.lowerBound) * part
            try await TestDatabase.withConnection(bench.database) { connection, deadline in
                _ = try await bench.ask(value, of: parameter.id, connection, deadline: deadline)
            }
        }
        run.note("command insertion", report)
    }

    private func runRecipes(_ run: ScenarioRun, _ bench: TerminalBench, until end: MonotonicInstant) async throws {
        let length = min(Self.longestRecipe, run.duration / 3)
        let stored: RecipeStore.Version
        let pause: Duration
        switch recipes {
        case .none: return
        case .every(let interval): pause = interval
        case .continuous: pause = .zero
        }
        stored = try await bench.store(recipe(on: bench, lasting: length))
        let beginning = run.time.now
        var (due, started) = (beginning, 0)
        repeat {
            try await run.time.sleep(until: due)
            let command = try await bench.start(stored)
            started += 1
            try await eventually("recipe \(started) has ended", within: length * 2 + .seconds(30)) {
                try await TestDatabase.number(
                    "SELECT count(*) FROM ald.process_executions WHERE command_id = \(command) AND ended_at IS NOT NULL",
                    bench.database) == 1
            }
            due = max(due + pause, run.time.now)
        } while due + length <= end
        run.note("recipes", count: started)
        let planned = pause > .zero ? Int(max(.zero, end - beginning - length) / pause) + 1 : 1
        if started < planned { run.doubt("of \(planned) recipes only \(started) were started") }
    }

    /// Pulses of a valve where there is one, and of a switch where there is none, a second each cycle.
    private func recipe(on bench: TerminalBench, lasting length: Duration) throws -> Recipe {
        let wait = RecipeStep(id: 3, .wait(.milliseconds(900)))
        let steps: [RecipeStep]
        if let valve = bench.map.parameters.first(where: { $0.qualifiedName == "Valve 1.valve_state" }) {
            steps = [RecipeStep(id: 2, .valve(valve.id, open: .milliseconds(100))), wait]
        } else if let parameter = bench.switches.first?.id {
            func set(_ id: Int32, _ value: Double) -> RecipeStep {
                RecipeStep(id: id, .parameter(SetPoint(parameter, value), ramp: nil, hold: .milliseconds(50)))
            }
            steps = [set(2, 1), set(4, 0), wait]
        } else {
            throw NeverHappened(description: "the generated machine has nothing to switch")
        }
        let cycles = max(1, Int(length.inSeconds.rounded(.down)))
        return Recipe(name: "cycles", steps: [RecipeStep(id: 1, .loop(iterations: cycles, steps))])
    }

    // MARK: Looking

    private func look(_ run: ScenarioRun, _ bench: TerminalBench, until end: MonotonicInstant) async throws {
        let interval = min(Self.interval, run.duration / Self.fewestLooks)
        var watches = TerminalProcesses.Kind.allCases.map { TerminalWatch(kind: $0, bench: bench) }
        for place in watches.indices { watches[place].look(run) }
        var next = run.time.now + interval
        while next <= end {
            try await run.time.sleep(until: next)
            for place in watches.indices { watches[place].look(run) }
            next = next + interval
        }
        for watch in watches { watch.note(run) }
        run.note("looks", count: watches.map(\.looks).min() ?? 0)
        run.note("numbers that are missing", count: watches.reduce(0) { $0 + $1.missing })
        run.note("processor, all terminals", watches.reduce(0) { $0 + $1.processor }, .ratio)
        run.note("resident memory, all terminals", watches.reduce(0) { $0 + $1.residentBytes }, .bytes)
        let planned = Int(run.duration / interval)
        if (watches.map(\.looks).min() ?? 0) < planned / 2 {
            run.doubt("of \(planned) looks at the processes, most were missed")
        }
    }

    private func judge(_ run: ScenarioRun, _ bench: TerminalBench) async throws {
        let open = "SELECT count(*) FROM ald.parameter_control_commands WHERE finished_at IS NULL"
        try await eventually("every command has ended", within: .seconds(60)) {
            try await TestDatabase.number(open, bench.database) == 0
        }
        func count(_ what: String) async throws -> Int {
            try await TestDatabase.number("SELECT count(*) FROM \(what)", bench.database)
        }
        run.note("commands", count: try await count("ald.parameter_control_commands"))
        run.note(
            "commands without success",
            count: try await count("ald.parameter_control_commands WHERE status <> 'succeeded'"))
        run.note(
            "recipes that did not run to their end",
            count: try await count("ald.process_executions WHERE status <> 'completed'"))
        if commandsPerHour > 0 { run.sometimes("a command", try await count("ald.parameter_control_commands") > 0) }
        if case .none = recipes { return }
        run.sometimes("a recipe", try await count("ald.process_executions WHERE status = 'completed'") > 0)
    }
}
