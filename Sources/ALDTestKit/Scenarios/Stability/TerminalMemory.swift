import ALDCore
import Foundation

/// One terminal at its work for hours of virtual time. What is judged: what the process has allocated does not rise with
/// what it does, nor does the number of its descriptors.
struct TerminalMemory: ScenarioWork {
    enum Work: Sendable {
        /// A cycle a second, through a spool in real files.
        case collection
        /// A recipe every 15 s, which takes some 6 s.
        case recipes
        /// A command every two seconds.
        case commands
    }

    var work: Work

    var unheeded: [RunOption: String] { [.scale: "the pace of a terminal at its work is given"] }

    private var load: VirtualPlant.Load {
        var load = VirtualPlant.Load()
        switch work {
        case .collection: load.keepsFiles = true
        case .recipes: (load.recipe, load.period) = (Self.recipePause, .seconds(60))
        case .commands: (load.command, load.period) = (.seconds(2), .seconds(60))
        }
        load.parameters = 10
        return load
    }

    func run(_ run: ScenarioRun) async throws {
        try await VirtualPlant.withDirectory(run) { directory in
            try await inBackground { try simulate(run, directory) }
        }
    }

    private static let recipePause = Duration.seconds(15)
    /// Buffers and tables fill up, and what landed is kept for a while.
    private static let warmUp = Duration.seconds(150)
    /// Of a longer run, the looks are an hour's quarter apart; after each recipe there is one.
    private func interval(_ duration: Duration) -> Duration {
        work == .recipes ? Self.recipePause : max(.seconds(10), min(.minutes(15), duration / 60))
    }

    private func simulate(_ run: ScenarioRun, _ directory: String) throws {
        var plant = try VirtualPlant(load, directory: directory, seed: run.seed) { _ in TestDatabase.quiet }
        plant.begin()
        try plant.pass(Self.warmUp)
        var watch = LeakWatch(warmUp: 0.2)
        watch.look(after: done(plant), at: plant.elapsed.inSeconds)
        while plant.elapsed < Self.warmUp + run.duration {
            try plant.pass(interval(run.duration))
            watch.look(after: done(plant), at: plant.elapsed.inSeconds)
        }
        let operations = done(plant)
        if try plant.settle(within: .seconds(60)) == nil { run.fail("what was asked for is not done after a minute") }
        for problem in try plant.end() { run.fail(problem) }
        plant.note(run)
        run.note("operations", count: operations)
        watch.noteBytes(run, LeakWatch.heap)
        watch.noteCounts(run, [LeakWatch.descriptors, LeakWatch.threads])
    }

    private func done(_ plant: VirtualPlant) -> Int {
        switch work {
        case .collection: plant.collection.statistics.cycles
        case .recipes: plant.database.recipeEnds.values.reduce(0, +)
        case .commands: plant.database.commandEnds.values.reduce(0, +)
        }
    }
}
