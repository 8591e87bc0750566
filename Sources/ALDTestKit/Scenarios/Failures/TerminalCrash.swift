import ALDCore
import Foundation

/// Terminals that are processes of their own crash (SIGKILL) and are away for the duration, which the rounds share. What
/// is judged: the others do their work meanwhile, and what was killed leaves nothing undone, twice or open.
struct TerminalCrash: ScenarioWork {
    typealias Kind = TerminalProcesses.Kind

    /// Who crashes at the same moment, round by round.
    var rounds: [Set<Kind>]

    func run(_ run: ScenarioRun) async throws {
        try await run.host.withDatabase { database in
            let address = try ProxiedDatabase.connectionString(of: database)
            _ = try await ProcessPlant.run(run, database: database, address: address) { plant in
                var worst = Worst()
                for killed in rounds {
                    let slice = run.duration / rounds.count
                    try await plant.whileCommanding(run, for: slice) {
                        try await crash(killed, for: slice, run, plant, &worst)
                    }
                    let restarted = run.time.now
                    try await bringBack(killed, plant)
                    worst.recovery = max(worst.recovery, run.time.now - restarted)
                }
                run.note("work of the others", worst.share, .ratio)
                run.note("errors of the others", count: worst.errors)
                run.note("recovery", worst.recovery)
            }
        }
    }

    /// Of all rounds.
    private struct Worst {
        /// Of the work that was due.
        var share = Double.infinity
        var errors = 0
        var recovery = Duration.zero
    }

    private func crash(
        _ killed: Set<Kind>, for slice: Duration, _ run: ScenarioRun, _ plant: ProcessPlant, _ worst: inout Worst
    ) async throws {
        let others = Kind.allCases.filter { !killed.contains($0) }
        let names = killed.map(\.rawValue).sorted().joined(separator: " and ")
        var share = Double.infinity
        try await run.fault("\(names) killed") {
            let end = run.time.now + slice
            for kind in killed { try await plant.terminals.kill(kind) }
            let lives = others.map { plant.terminals.child($0) }
            let before = try await ProcessWork(of: plant)
            let began = run.time.now
            try await run.time.sleep(until: end)
            let done = try await ProcessWork(of: plant) - before
            let seconds = (run.time.now - began).inSeconds
            for (kind, life) in zip(others, lives) {
                let part = done.share(of: kind, seconds: seconds, rate: ProcessPlant.rate * run.scale)
                run.say("\(names) away: \(kind.rawValue) did \(Quantity.ratio.text(part)) of its work")
                share = min(share, part)
                if life?.processIdentifier != plant.terminals.child(kind)?.processIdentifier {
                    run.fail("\(kind.rawValue) is another process than before")
                }
                let errors = (life?.errors ?? []).filter { $0.contains(" error ") || $0.contains(" critical ") }
                worst.errors += errors.count
                for error in errors.prefix(3) { run.say("\(kind.rawValue): \(error)") }
            }
            // Whoever is away does nothing; what had been under way when it died may still arrive.
            return killed.count { done.count(of: $0) <= 1 }
        }
        worst.share = min(worst.share, share)
    }

    /// Starts what was killed, and waits until it works as before.
    private func bringBack(_ killed: Set<Kind>, _ plant: ProcessPlant) async throws {
        for kind in Kind.allCases where killed.contains(kind) { try await plant.terminals.start(kind) }
        if killed.contains(.recipes) { try await plant.startRecipe() }
        try await plant.everybodyWorks(since: ProcessWork(of: plant))
    }
}
