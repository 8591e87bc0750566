import ALDCore

/// What terminals that were ended in the midst of their work have left, and what is concluded from it.
struct EndingAccount: Sendable {
    /// What those leave who had the time to tidy up.
    struct Tidied: Sendable {
        var openValves: Int
        /// Runs of a recipe without an end.
        var openRecipes: Int
        /// Files of something that was under way.
        var files: [String]
        /// What each process has said last; `nil`: nothing.
        var lastLines: [TerminalProcesses.Kind: String]
    }

    var cause: TerminalEnding.Cause
    /// From the signal until every process had ended, and until neither server had a connection of theirs any more.
    var end: Duration
    var closing: Duration
    /// Those that were there still when nobody waited any longer.
    var databaseConnections: Int
    var controllerConnections: Int
    /// Whether there was something to be ended: a recipe that had pulsed, and commands that nobody took.
    var hadRecipe: Bool
    var hadCommands: Bool
    /// Processes of theirs that still run; `nil` where nobody tells.
    var processes: Int?
    var locksHeld: Int
    /// `nil`: they were killed, and leave everything to the next ones.
    var tidied: Tidied?

    func note(_ run: ScenarioRun) {
        run.note("end", end)
        run.note("connections closed", closing)
        run.note("database connections left", count: databaseConnections)
        run.note("controller connections left", count: controllerConnections)
        run.sometimes("a recipe was under way", hadRecipe)
        run.sometimes("commands came when nobody was there", hadCommands)
        if let processes { run.note("processes left", count: processes) }
        run.note("locks held", count: locksHeld)
        guard let tidied else { return }
        run.note("valves left open at the end", count: tidied.openValves)
        run.note("recipes left running at the end", count: tidied.openRecipes)
        run.note("files left over", count: tidied.files.count)
        for path in tidied.files.prefix(3) { run.say("left over: \(path)") }
        let silent = TerminalProcesses.Kind.allCases.filter { kind in
            tidied.lastLines[kind]?.contains(cause.lastWords) != true
        }
        for kind in silent { run.say("\(kind.rawValue) said last: \(tidied.lastLines[kind] ?? "")") }
        run.note("last words missing", count: silent.count)
    }
}

/// How the next start has found what they left, and what that has left in turn.
struct NextStartAccount: Sendable {
    /// From the start until everybody worked.
    var recovery: Duration
    /// What the processes have said besides their results until then.
    var lines: [String]
    /// Runs of a recipe before the one that runs now that have no end.
    var openRecipes: Int
    /// After the next end, as in ``EndingAccount``.
    var files: [String]
    var locksHeld: Int

    func note(_ run: ScenarioRun) {
        run.note("recovery", recovery)
        let errors = lines.filter { $0.contains(" error ") || $0.contains(" critical ") }
        for error in errors.prefix(3) { run.say(error) }
        run.note("errors of the next start", count: errors.count)
        run.note("recipes without an end", count: openRecipes)
        run.note("files left over after the next end", count: files.count)
        for path in files.prefix(3) { run.say("left over after the next end: \(path)") }
        run.note("locks held after the next end", count: locksHeld)
    }
}
