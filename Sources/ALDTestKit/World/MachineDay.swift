import ALDCore
import Foundation
import Synchronization

/// The three terminals of a machine in a ``World``, for hours, while everything goes wrong that its seed says:
/// collection, spool and writer, the recipes and the parameter commands that operators ask for.
///
/// Safety first: while the faults last, no record may be lost, doubled or changed, no command written twice, too late or
/// out of turn, no two valves open that exclude each other, and none while nothing runs. Then everything is healed:
/// within ``reconnecting`` controller and database have to be reached again, and within ``healing`` all that was accepted
/// has to be in the database, and every command and run has to have an end.
public struct MachineDay {
    public struct Configuration: Sendable {
        public var length = Duration.seconds(3600)
        public var parameters = 10
        public var period = Duration.seconds(1)
        /// Which faults may come; none for a day on which nothing happens.
        public var kinds = WorldFault.Kind.allCases
        /// Whether the seed says which of them come and how often; with false all do, often.
        public var isSwarm = true
        public var keepsTrace = false
        /// Whether the spool lies in real files, with SQLite under test, or on a simulated disk. A run goes the same way, but
        /// that nobody fills the disk of this machine for it: ``WorldFault/Kind/diskFull`` does not come.
        public var keepsFiles = false
        /// A bug that the checks have to find.
        public var plantedBug: PlantedBug?

        public init() {}

        /// For how many there is room from the start; a period that is none is for the collection to refuse.
        var instants: Int { period > .zero ? Int(min(length / period, 1_000_000)) : 0 }
    }

    /// From the end of the faults until everything has landed.
    public static let healing = Duration.seconds(120)
    /// From the end of the faults until controller and database are reached again.
    public static let reconnecting = Duration.seconds(30)
    /// Between two looks at what must always hold.
    private static let look = Duration.seconds(1)

    public struct Report: Sendable {
        public var seed: UInt64
        public var length: Duration
        public var digest: WorldDigest
        public var jobs = 0
        public var lives = 0
        public var cycles = 0
        public var missed = 0
        public var accepted = 0
        public var landed = 0
        /// Of these, how many as dead letters.
        public var deadLetters = 0
        /// Of those that were accepted, how many a full disk has made the spool give up that had landed, and that the
        /// database had forgotten.
        public var givenUp = 0
        /// Commands that were asked for, and how many have ended in which way.
        public var commands = 0
        public var commandEnds: [String: Int] = [:]
        /// Recipes that were begun, and how many have ended in which way.
        public var runs = 0
        /// Events of these that are in the database.
        public var runEvents = 0
        public var runEnds: [String: Int] = [:]
        /// How long after the end of the faults everything had landed.
        public var healedAfter: Duration?
        /// How often each fault had an effect.
        public var bites: [String: Int] = [:]
        /// Faults that were planned and had no effect: of them nothing was proved.
        public var toothless: [String] = []
        /// Rare states that were reached.
        public var reached: Set<String> = []
        /// Those that the faults that were planned should have brought about.
        public var demanded: Set<String> = []
        /// Those of them that were not reached: of what comes after them nothing was proved.
        public var unreached: [String] { demanded.subtracting(reached).sorted() }
        /// Whether everything that was planned came to pass, so that no problem means something.
        public var isProof: Bool { toothless.isEmpty && unreached.isEmpty }
        public var problems: [String] = []
        public var trace: [String] = []
    }

    /// One life of the process, from its start to its end or crash.
    struct Life {
        var node: WorldNode
        var plc: WorldPLC
        var spool: Spool
        var writer: BatchWriter
        var collection: DataCollectionService
        var collecting: WorldTask<Void>
        var writing: WorldTask<Void>
        var control: ParameterControlService
        var controlling: WorldTask<Void>
        var recipes: RecipeService
        var running: WorldTask<Void>
        var beganAt: MonotonicInstant
    }

    let configuration: Configuration
    /// Until when the last freeze goes on: a crash that waits for its moment puts off what was to come after it.
    var thawed = World.beginning
    /// Since when the spool keeps what has landed for its whole window: a full disk makes it give that up early.
    var retainedSince = World.beginning
    /// What a supervisor is to keep running; a full disk may keep it from it for a while.
    var isWanted = false
    /// Of all readings, how many were refused at the worst.
    var refusedAtMost = 0.0
    let journal: String
    let spoolDirectory: String
    /// Under the spool; `nil`: it lies in files.
    let disk: SimulatedDisk?
    let shortage: WorldShortage
    let world: World
    let database: WorldDatabase
    let sink: any BatchSink
    let machine: SimulatedPLC
    let commands: WorldCommandTable
    let written: WriteLog
    let recipes: WorldRecipeTable
    /// Of which at most one may be open.
    let valves: [ParameterID]
    var random: SeededGenerator
    var life: Life?
    var plcFaults = WorldPLC.Faults()
    var clockAhead = Duration.zero
    var clockSteps = 0
    var scans: [Timestamp: UInt64] = [:]
    var report: Report
    var planned: Set<WorldFault.Kind> = []
    /// Faults that are going on.
    var active: [WorldFault] = []
    /// What must always hold and has not; each is said once.
    var broken: Set<String> = []

    /// Runs the day of this seed.
    ///
    /// - Throws: ``WorldError``, or what went wrong with the spool's directory.
    public static func run(seed: UInt64, _ configuration: Configuration) throws -> Report {
        // In memory where there is such a place: what lies there is not meant to outlive the run.
        let memory = "/dev/shm"
        let parent = FileManager.default.isWritableFile(atPath: memory) ? memory : NSTemporaryDirectory()
        let directory = "\(parent)/ald-world-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
        defer {
            // What is left in the system's temporary place is no reason to fail.
            do { try FileManager.default.removeItem(atPath: directory) } catch {}
        }
        var day = try MachineDay(seed: seed, configuration, directory: directory)
        return try day.run()
    }

    private init(seed: UInt64, _ configuration: Configuration, directory: String) throws {
        self.configuration = configuration
        spoolDirectory = directory + "/spool"
        journal = directory + "/recipe.json"
        disk = configuration.keepsFiles ? nil : SimulatedDisk(bug: configuration.plantedBug)
        world = World(seed: seed, keepsTrace: configuration.keepsTrace)
        let database = WorldDatabase(world, instants: configuration.instants)
        self.database = database
        shortage = WorldShortage(database)
        if let disk { shortage.watch(disk) }
        if let bug = configuration.plantedBug {
            sink = BuggySink(database, bug: bug)
        } else {
            sink = database
        }
        let map = try GeneratedMachine.registerMap(parameters: configuration.parameters, seed: seed)
        valves = map.parameters.filter { $0.isWritable && $0.dataType == .binary }.map(\.id).sorted()
        recipes = WorldRecipeTable(
            database, recipes: WorldShift.recipes(valves), lease: Self.recipeSettings(valves, journal).lease)
        let written = WriteLog()
        self.written = written
        machine = SimulatedPLC(map, seed: seed, time: world.node("machine").time) { [world] parameter, value in
            world.note("\(parameter) is set to \(value)")
            written.note(CommandAudit.Write(at: world.now, point: SetPoint(parameter, value)))
        }
        commands = WorldCommandTable(
            database.server, lease: ParameterControlService.Configuration().lease, bug: configuration.plantedBug)
        random = world.stream("nemesis")
        report = Report(seed: seed, length: configuration.length, digest: world.digest)
    }

    // MARK: The day

    private mutating func run() throws -> Report {
        let end = World.beginning + configuration.length
        // Nobody can fill the disk of this machine for one spool.
        let kinds = configuration.kinds.filter { disk != nil || $0 != .diskFull }
        let faults = WorldFaultPlan.draw(
            from: World.beginning, to: end, kinds: kinds, isSwarm: configuration.isSwarm, random: &random)
        planned = Set(faults.map(\.kind))
        try begin()
        WorldOperator(commands, map: machine.registerMap, until: end, world: world).begin()
        WorldShift(recipes, recipes: WorldShift.recipes(valves).count, until: end, world: world).begin()
        var coming = faults[...]
        for moment in Moments(of: faults, from: World.beginning, every: Self.look, until: end) {
            // Days of virtual time hold a thread: who ends the program does not wait for all of them.
            try Task.checkCancellation()
            try world.run(until: moment)
            for fault in active where fault.end <= moment { try heal(fault) }
            active.removeAll { $0.end <= moment }
            while let fault = coming.first, fault.at <= moment {
                coming.removeFirst()
                try strike(fault)
            }
            if isWanted, life == nil { try begin() }
            checkInvariants()
        }
        for fault in active { try heal(fault) }
        active = []
        if life == nil { try begin() }
        try awaitHealing()
        try finish()
        audit()
        report.digest = world.digest
        report.jobs = world.jobs
        report.trace = world.trace
        if !world.end() { report.problems.append("what had crashed does not end when it is told to") }
        return report
    }

    private mutating func awaitHealing() throws {
        if thawed > world.now { try world.run(until: thawed) }
        let from = world.now
        guard let writer = life?.writer else { return }
        var isHealed = false
        for moment in Moments(of: [], from: from, every: Self.look, until: from + Self.healing) {
            if !isHealed {
                isHealed = try world.run(until: moment) {
                    writer.statistics.spooled == 0 && writer.statistics.isReconciled && commands.openCommands == 0
                        && recipes.isIdle
                }
                if isHealed { report.healedAfter = world.now - from }
            }
            try world.run(until: moment)
            checkInvariants()
            if moment == from + Self.reconnecting { checkConnections() }
            if isHealed, moment >= from + Self.reconnecting { break }
        }
        let statistics = writer.statistics
        if !isHealed, statistics.spooled > 0 || !statistics.isReconciled {
            report.problems.append(
                "\(statistics.spooled) records still wait \(Self.healing) after everything was healed: "
                    + "\(statistics.lastFault ?? statistics.heldBecause ?? "no fault")")
        }
    }
}

/// Every instant at which something begins or ends, and those at which one looks, in their order. None is made before it
/// is asked for: a year has thirty million.
private struct Moments: Sequence, IteratorProtocol {
    private var edges: ArraySlice<MonotonicInstant>
    private var look: MonotonicInstant?
    private let interval: Duration
    private let end: MonotonicInstant

    init(
        of faults: [WorldFault], from start: MonotonicInstant, every interval: Duration, until end: MonotonicInstant
    ) {
        (self.interval, self.end) = (interval, end)
        edges = Set(faults.flatMap { [$0.at, $0.end] }).sorted()[...]
        look = start < end ? Swift.min(start + interval, end) : nil
    }

    mutating func next() -> MonotonicInstant? {
        let edge = edges.first
        guard let moment = edge.map({ edge in look.map { Swift.min(edge, $0) } ?? edge }) ?? look else { return nil }
        if edge == moment { edges.removeFirst() }
        if look == moment { look = moment < end ? Swift.min(moment + interval, end) : nil }
        return moment
    }
}
