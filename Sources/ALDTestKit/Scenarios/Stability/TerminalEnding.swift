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
                    environment: ["ALD_LOG_LEVEL": "info", "TMPDIR": temporary]
                ) { plant in
                    let scene = TerminalScene(plant: plant, temporary: temporary)
                    try await end(run, plant, scene)
                    try await startAgain(run, plant, scene)
                }
            }
        }
    }

    private func end(_ run: ScenarioRun, _ plant: ProcessPlant, _ scene: TerminalScene) async throws {
        // The recipe has the valve open half of the time, and commands are asked for throughout.
        try await plant.whileCommanding(run, for: Self.work * 2) {
            try await run.time.sleep(for: Self.work)
            let pulses = try plant.pulses.count
            let began = run.time.now
            try await run.fault("\(cause.words) to all terminals") {
                try await plant.terminals.end(Self.all, by: cause.signal, exitCode: cause.exitCode)
                return Self.all.count { plant.terminals.child($0) == nil }
            }
            run.note("end", run.time.now - began)
            run.sometimes("a recipe was under way", pulses > 0)
            try await scene.awaitClosedConnections(run, since: began)
        }
        run.sometimes("commands came when nobody was there", try await plant.commands("finished_at IS NULL") > 0)
        run.note("processes left", count: scene.processes)
        run.note("locks held", count: try scene.locksHeld)
        guard cause != .kill else { return }
        // Whoever is killed leaves these to the next one.
        run.note("valves left open at the end", count: try scene.openValves)
        run.note("recipes left running at the end", count: try await plant.processes("ended_at IS NULL"))
        run.note("files left over", count: try scene.leftOver(run))
        run.note("last words missing", count: scene.missing(cause.lastWords, run))
    }

    private func startAgain(_ run: ScenarioRun, _ plant: ProcessPlant, _ scene: TerminalScene) async throws {
        let began = run.time.now
        for kind in TerminalProcesses.Kind.allCases { try await plant.terminals.start(kind) }
        try await plant.startRecipe()
        try await plant.everybodyWorks(since: ProcessWork(of: plant))
        run.note("recovery", run.time.now - began)
        let errors = Self.all.flatMap { plant.terminals.child($0)?.errors ?? [] }
            .filter { $0.contains(" error ") || $0.contains(" critical ") }
        for error in errors.prefix(3) { run.say(error) }
        run.note("errors of the next start", count: errors.count)
        // Of those before it only the one that still runs may be open.
        run.note("recipes without an end", count: try await plant.processes("ended_at IS NULL") - 1)
        try await plant.terminals.end(Self.all, by: SIGTERM)
        run.note("files left over after the next end", count: try scene.leftOver(run))
        run.note("locks held after the next end", count: try scene.locksHeld)
    }
}
