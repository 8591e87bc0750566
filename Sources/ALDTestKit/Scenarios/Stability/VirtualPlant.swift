import ALDCore
import Foundation
import Logging

/// The terminals of a machine in virtual time: the real services, over the real spool, with a database that forgets.
/// Unlike a ``MachineDay`` it keeps nothing of what was, so that days of it show what the terminals themselves keep.
///
/// Belongs to one thread.
struct VirtualPlant {
    struct Load: Hashable, Sendable {
        var period = Duration.seconds(1)
        var parameters = 51
        /// Between two commands, between two recipes; `nil`: none.
        var command: Duration?
        var recipe: Duration?
        /// Whether the spool lies in real files, with SQLite under it.
        var keepsFiles = false
        /// How long the spool keeps what has landed: the time in which its tables fill up.
        var retained = Duration.seconds(60)
    }

    let world: World
    let node: WorldNode
    let faults: VirtualFaults
    let database: ForgetfulDatabase
    let map: RegisterMap
    let machine: SimulatedPLC
    let writer: BatchWriter
    let collection: DataCollectionService
    let control: ParameterControlService
    let recipes: RecipeService
    let logger: Logger
    private let load: Load
    private let spool: Spool
    private let valves: [ParameterID]
    private let asked: [Parameter]
    private var services: [(name: String, task: WorldTask<Void>)] = []
    private var nextCommand = World.beginning
    private var nextRecipe = World.beginning
    /// What was asked for by ``Load``, however often.
    private(set) var wishes = 0
    private(set) var recipeWishes = 0
    private var commands = 0

    /// - Parameter around: how a test plants a bug between writer and database.
    init(
        _ load: Load, directory: String, seed: UInt64, around: (any BatchSink) -> any BatchSink = { $0 },
        logger makeLogger: (any TimeSource) throws -> Logger
    ) throws {
        self.load = load
        world = World(seed: seed)
        node = world.node("plant")
        let time = node.time
        let logger = try makeLogger(time)
        self.logger = logger
        faults = VirtualFaults(time: time)
        map = try GeneratedMachine.registerMap(parameters: load.parameters, seed: seed)
        valves = map.parameters.filter { $0.isWritable && $0.dataType == .binary }.map(\.id).sorted()
        asked = map.parameters.filter { $0.isWritable && $0.dataType == .float32 }
        let recipe = Self.recipe(Array(valves.prefix(2)))
        database = ForgetfulDatabase(faults: faults, recipe: recipe, seed: seed, time: time)
        machine = SimulatedPLC(map, seed: seed, time: time)
        let plc = DistantPLC(machine: machine, faults: faults)
        (spool, writer) = try Self.writer(load, directory, around(database), node, world, logger)
        var pace = DataCollectionService.Configuration()
        pace.period = load.period
        collection = try DataCollectionService(
            plc: plc, writer: writer, machine: 1, configuration: pace, time: time, logger: logger)
        let interlocks = Interlocks(exclusiveGroups: [Set(valves.prefix(2))])
        recipes = try RecipeService(
            configuration: .init(machine: 1, interlocks: interlocks, journal: directory + "/recipe.json"), plc: plc,
            table: ForgetfulRecipes(database: database), bell: { _ in SilentBell() }, writer: writer, time: time,
            logger: logger)
        control = try ParameterControlService(
            plc: recipes.guarded, table: database, bell: { _ in SilentBell() }, configuration: .init(), time: time,
            logger: logger)
    }

    private static func writer(
        _ load: Load, _ directory: String, _ database: any BatchSink, _ node: WorldNode, _ world: World,
        _ logger: Logger
    ) throws -> (Spool, BatchWriter) {
        var configuration = Spool.Configuration()
        // Many come and go, so that what one of them leaves behind is seen.
        configuration.segmentAge = load.retained / 5
        configuration.freeSpaceFloor = 0
        configuration.ballastBytes = 0
        configuration.spareBytes = 0
        configuration.retainedWindow = load.retained
        configuration.statusInterval = .seconds(600)
        let path = directory + "/spool"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        var random = world.stream("disk")
        let spool = try node.spool(
            in: path, on: load.keepsFiles ? nil : SimulatedDisk(), configuration: configuration, random: &random,
            logger: logger)
        let writer = try BatchWriter(
            spool: spool, sink: database, time: node.time, random: world.stream("writer"), logger: logger)
        return (spool, writer)
    }

    /// Pulses of two valves that exclude each other, with purges between them.
    private static func recipe(_ valves: [ParameterID]) -> Recipe? {
        guard valves.count == 2 else { return nil }
        let pulses = valves.enumerated().flatMap { index, valve in
            [
                RecipeStep(id: Int32(2 + 2 * index), .valve(valve, open: .milliseconds(100))),
                RecipeStep(id: Int32(3 + 2 * index), .purge(gas: "N2", for: .milliseconds(500), flow: nil)),
            ]
        }
        return Recipe(name: "pulses", steps: [RecipeStep(id: 1, .loop(iterations: 5, pulses))])
    }

    // MARK: Time

    mutating func begin() {
        services = [
            ("the collection", node.spawn { [collection] in try await collection.run() }),
            ("the writer", node.spawn { [writer] in try await writer.run() }),
            ("Terminal 3", node.spawn { [control] in try await control.run() }),
            ("Terminal 2", node.spawn { [recipes] in try await recipes.run() }),
        ]
        if let pause = load.command { nextCommand = world.now + pause }
        if let pause = load.recipe { nextRecipe = world.now + pause }
    }

    /// Since the beginning.
    var elapsed: Duration { world.now - World.beginning }

    /// Lets so much time pass while commands and recipes are asked for.
    mutating func pass(_ duration: Duration) throws {
        let end = world.now + duration
        while world.now < end {
            var moment = end
            if load.command != nil { moment = min(moment, nextCommand) }
            if load.recipe != nil { moment = min(moment, nextRecipe) }
            try world.run(until: moment)
            if let pause = load.command, nextCommand <= world.now {
                wishes += 1
                ask()
                nextCommand = nextCommand + pause
            }
            if let pause = load.recipe, nextRecipe <= world.now {
                recipeWishes += 1
                database.askForRecipe()
                nextRecipe = nextRecipe + pause
            }
        }
    }

    /// No two of a parameter in a row ask for the same value.
    private mutating func ask() {
        guard !asked.isEmpty else { return }
        let parameter = asked[commands % asked.count]
        let range = parameter.range
        let part = Double(commands / asked.count % 16) / 16
        database.ask(SetPoint(parameter.id, range.lowerBound + (range.upperBound - range.lowerBound) * part))
        commands += 1
    }

    /// Whoever asked asks again for what has ended otherwise than it should; nothing may be under way.
    mutating func askAgain() {
        guard database.isIdle else { return }
        for _ in 0..<max(0, wishes - database.commandEnds["succeeded", default: 0]) { ask() }
        for _ in 0..<max(0, recipeWishes - database.recipeEnds["completed", default: 0]) { database.askForRecipe() }
    }

    /// Lets time pass until everything that was asked for is done and everything accepted has landed.
    ///
    /// - Returns: how long that took; `nil`: longer than `limit`.
    mutating func settle(within limit: Duration) throws -> Duration? {
        let from = world.now
        let isDone = try world.run(until: from + limit) {
            writer.statistics.spooled < load.parameters * 5 && database.isIdle
        }
        return isDone ? world.now - from : nil
    }

    /// Ends all services in order.
    ///
    /// - Returns: what does not end or was left behind, in words.
    mutating func end() throws -> [String] {
        var problems: [String] = []
        for name in ["Terminal 2", "Terminal 3", "the collection", "the writer"] {
            guard let service = services.first(where: { $0.name == name }) else { continue }
            if name == "the writer" {
                try world.run(until: world.now + .seconds(60)) { writer.statistics.spooled == 0 }
            }
            service.task.cancel()
            let hasEnded = try world.run(until: world.now + .seconds(30)) { service.task.isDone }
            if !hasEnded {
                problems.append("\(name) did not end within 30 s")
            }
        }
        let waiting = spool.account.waiting.records
        if waiting > 0 { problems.append("\(waiting) records are left in the spool") }
        if !spool.account.isBalanced { problems.append("the spool's account: \(spool.account)") }
        if !writer.statistics.isBalanced { problems.append("the writer's account: \(writer.statistics)") }
        try spool.close()
        if !world.end() { problems.append("tasks are left that do not end") }
        return problems
    }

    // MARK: Account

    var account: PlantAccount {
        let collected = collection.statistics
        return PlantAccount(
            cycles: collected.cycles, due: collected.due, lateCycles: collected.lateCycles,
            cycleTime: collected.cycleTime, collected: collected.rows, accepted: writer.statistics.accepted,
            readings: database.rows, landed: database.landed, repeated: database.repeated, commands: wishes,
            recipes: recipeWishes, commandEnds: database.commandEnds, recipeEnds: database.recipeEnds)
    }

    /// Notes what became of everything.
    func note(_ run: ScenarioRun) { account.note(run) }

    /// Where a plant's files lie: in memory where there is such a place, since nothing of them is meant to outlive the run.
    static func withDirectory<Result>(
        _ run: ScenarioRun, _ body: (String) async throws -> Result
    ) async throws -> Result {
        let memory = "/dev/shm"
        let parent =
            FileManager.default.isWritableFile(atPath: memory) ? memory : try await run.host.directory()
        return try await withTemporaryDirectory(in: parent, body)
    }
}
