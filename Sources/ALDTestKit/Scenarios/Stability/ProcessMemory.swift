import ALDCore
import Foundation

/// All terminals, each a process of its own, under a load without pause. What is judged: none of them grows, neither in
/// resident memory nor in descriptors or threads.
struct ProcessMemory: ScenarioWork {
    private static let looks = 60

    func run(_ run: ScenarioRun) async throws {
        try await run.host.withDatabase { database in
            let address = try ProxiedDatabase.connectionString(of: database)
            _ = try await ProcessPlant.run(run, database: database, address: address) { plant in
                let before = try await ProcessWork(of: plant)
                var watches: [TerminalProcesses.Kind: LeakWatch] = [:]
                try await plant.whileCommanding(run, for: run.duration) {
                    watches = try await watch(run, plant)
                }
                let done = try await ProcessWork(of: plant) - before
                for kind in TerminalProcesses.Kind.allCases {
                    let share = done.share(
                        of: kind, seconds: run.duration.inSeconds, rate: ProcessPlant.rate * run.scale)
                    run.sometimes("\(kind.rawValue) did most of its work", share > 0.5)
                }
                judge(run, watches)
            }
        }
    }

    private func watch(
        _ run: ScenarioRun, _ plant: ProcessPlant
    ) async throws -> [TerminalProcesses.Kind: LeakWatch] {
        let beginning = run.time.now
        var watches: [TerminalProcesses.Kind: LeakWatch] = [:]
        for look in 0...Self.looks {
            try await run.time.sleep(until: beginning + run.duration * look / Self.looks)
            for kind in TerminalProcesses.Kind.allCases {
                guard let process = plant.terminals.child(kind)?.processIdentifier else { continue }
                // Pools and caches of a process that has just begun take a while.
                watches[kind, default: LeakWatch(process: process, warmUp: 0.5)]
                    .look(after: look, at: (run.time.now - beginning).inSeconds)
                if let bytes = ProcessProbe(of: process).residentBytes {
                    run.sample("resident memory of \(kind.rawValue)", Double(bytes), .bytes)
                }
            }
            // For a run that takes longer than the recipe.
            if try await plant.processes("ended_at IS NULL") == 0 { try await plant.startRecipe() }
        }
        return watches
    }

    private func judge(_ run: ScenarioRun, _ watches: [TerminalProcesses.Kind: LeakWatch]) {
        run.note("processes watched", count: watches.values.count { $0.looks > Self.looks })
        for (name, measure) in [
            (LeakWatch.descriptors, "descriptors gained"), (LeakWatch.threads, "threads gained"),
            (LeakWatch.workers, "worker threads gained"),
        ] {
            let gained = watches.values.compactMap { $0.gained(name) }
            if gained.count == watches.count, let worst = gained.max() {
                run.note(measure, count: Int(worst.rounded()))
            }
        }
        let growths = watches.compactMapValues { $0.growth(LeakWatch.resident) }
        for (kind, growth) in growths { run.note("growth of \(kind.rawValue)", growth, .ratio) }
        if growths.count == watches.count, let worst = growths.values.max() { run.note("memory growth", worst, .ratio) }
        let rates = watches.values.compactMap { $0.perHour(LeakWatch.resident) }
        if let worst = rates.max() { run.note("memory growth rate", worst, .bytesPerHour) }
    }
}
