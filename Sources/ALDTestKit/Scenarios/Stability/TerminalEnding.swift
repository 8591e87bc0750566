import ALDCore
import Foundation

/// All terminals, each a process of its own, are ended in the midst of their work: commands are under way and a valve
/// pulses. What is judged: what they leave behind at the machine, in the database, at both servers and on the disk, and
/// how the next start finds it.
struct TerminalEnding: ScenarioWork {
    enum Cause: Sendable {
        case terminate, interrupt, kill
        /// An error that none of our own code catches, see the hidden `--fail-on-signal`.
        case error

        var signal: Int32 {
            switch self {
            case .terminate: SIGTERM
            case .interrupt: SIGINT
            case .kill: SIGKILL
            case .error: SIGUSR1
            }
        }

        var words: String {
            switch self {
            case .terminate: "SIGTERM"
            case .interrupt: "SIGINT"
            case .kill: "SIGKILL"
            case .error: "an error that nobody catches"
            }
        }

        /// What each process says last; one that is killed says nothing.
        var lastWords: String { self == .error ? "ald: an error that nobody has thought of" : "ended in order" }

        /// `EX_SOFTWARE` says that the program is wrong.
        var exitCode: Int32 { self == .error ? 70 : 0 }
    }

    var cause: Cause

    var unheeded: [RunOption: String] { [.duration: "what counts is the end of work that has lasted for a moment"] }

    private static let all = Set(TerminalProcesses.Kind.allCases)
    /// Before the end, so that there is something to be ended.
    private static let work: Duration = .milliseconds(700)

    func run(_ run: ScenarioRun) async throws {
        try await run.host.withDatabase { database in
            let address = try ProxiedDatabase.connectionString(of: database)
            try await withTemporaryDirectory(in: run.host.directory()) { temporary in
                _ = try await ProcessPlant.run(
                    run, database: database, address: address,
                    arguments: cause == .error ? ["--fail-on-signal"] : [],
                    environment: ["ALD_LOG_LEVEL": "info", "TMPDIR": temporary], endsAtWork: true
                ) { plant in
                    let scene = TerminalScene(plant: plant, temporary: temporary)
                    try await end(run, plant, scene)
                    try await startAgain(run, plant, scene)
                }
            }
        }
    }

    private func end(_ run: ScenarioRun, _ plant: ProcessPlant, _ scene: TerminalScene) async throws {
        var (began, end) = (run.time.now, Duration.zero)
        var (hadRecipe, closing) = (false, TerminalScene.Closing())
        // The recipe has the valve open half of the time, and commands are asked for throughout.
        try await plant.whileCommanding(run, for: Self.work * 2) {
            let pulses = try plant.pulses.count
            try await run.time.sleep(for: Self.work)
            hadRecipe = try plant.pulses.count > pulses
            began = run.time.now
            try await run.fault("\(cause.words) to all terminals") {
                try await plant.terminals.end(Self.all, by: cause.signal, exitCode: cause.exitCode)
                return Self.all.count { plant.terminals.child($0) == nil }
            }
            end = run.time.now - began
            closing = try await scene.awaitClosedConnections(run, since: began)
        }
        try await EndingAccount(
            cause: cause, end: end, closing: closing.took, databaseConnections: closing.sessions,
            controllerConnections: closing.open, hadRecipe: hadRecipe,
            hadCommands: plant.commands("finished_at IS NULL") > 0, processes: scene.processes,
            locksHeld: scene.locksHeld,
            tidied: cause == .kill
                ? nil
                : .init(
                    openValves: scene.openValves, openRecipes: plant.processes("ended_at IS NULL"),
                    files: scene.leftOver, lastLines: scene.lastLines)
        ).note(run)
    }

    private func startAgain(_ run: ScenarioRun, _ plant: ProcessPlant, _ scene: TerminalScene) async throws {
        let began = run.time.now
        for kind in TerminalProcesses.Kind.allCases { try await plant.terminals.start(kind) }
        try await plant.startRecipe()
        try await plant.everybodyWorks(since: ProcessWork(of: plant))
        let recovery = run.time.now - began
        let lines = Self.all.flatMap { plant.terminals.child($0)?.errors ?? [] }
        let open = try await plant.processes(
            "ended_at IS NULL AND process_id < (SELECT max(process_id) FROM ald.process_executions)")
        try await plant.terminals.end(Self.all, by: SIGTERM)
        NextStartAccount(
            recovery: recovery, lines: lines, openRecipes: open, files: try scene.leftOver,
            locksHeld: try scene.locksHeld
        ).note(run)
    }
}
