import ALDCore
import Foundation

/// Terminal 1 with its spool and writer in a ``World``, for hours, while everything goes wrong that its seed says.
///
/// Safety first: while the faults last, nothing may be lost, doubled or changed. Then everything is healed, and within
/// ``healing`` all that was accepted has to be in the database.
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
        /// A bug that the checks have to find.
        public var plantedBug: PlantedBug?

        public init() {}
    }

    /// Between the writer and the database; each breaks a promise.
    public enum PlantedBug: String, CaseIterable, Sendable {
        /// A batch whose answer was lost counts as landed.
        case trustsSilence
        /// A batch that was known already lands again.
        case forgetsNames
        /// One value of some batches is another one.
        case changesValues
        /// Nothing is ever compared with the ledger.
        case neverReconciles
    }

    /// From the end of the faults until everything has landed.
    public static let healing = Duration.seconds(120)

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
        /// How long after the end of the faults everything had landed.
        public var healedAfter: Duration?
        /// How often each fault had an effect.
        public var bites: [String: Int] = [:]
        /// Faults that were planned and had no effect: of them nothing was proved.
        public var toothless: [String] = []
        /// Rare states that were reached.
        public var reached: Set<String> = []
        public var problems: [String] = []
        public var trace: [String] = []
    }

    /// One life of the process, from its start to its end or crash.
    private struct Life {
        var node: WorldNode
        var plc: WorldPLC
        var spool: Spool
        var writer: BatchWriter
        var collection: DataCollectionService
        var collecting: WorldTask<Void>
        var writing: WorldTask<Void>
        var beganAt: MonotonicInstant
    }

    private let configuration: Configuration
    private let spoolDirectory: String
    private let world: World
    private let database: WorldDatabase
    private let sink: any BatchSink
    private let machine: SimulatedPLC
    private var random: SeededGenerator
    private var life: Life?
    private var plcFaults = WorldPLC.Faults()
    private var clockAhead = Duration.zero
    private var clockSteps = 0
    private var scans: [Timestamp: UInt64] = [:]
    private var report: Report
    private var planned: Set<WorldFault.Kind> = []
    /// Faults that are going on.
    private var active: [WorldFault] = []

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
        world = World(seed: seed, keepsTrace: configuration.keepsTrace)
        let database = WorldDatabase(world)
        self.database = database
        if let bug = configuration.plantedBug {
            sink = BuggySink(database, bug: bug)
        } else {
            sink = database
        }
        let map = try GeneratedMachine.registerMap(parameters: configuration.parameters, seed: seed)
        machine = SimulatedPLC(map, seed: seed, time: world.node("machine").time)
        random = world.stream("nemesis")
        report = Report(seed: seed, length: configuration.length, digest: world.digest)
    }

    // MARK: The day

    private mutating func run() throws -> Report {
        let end = World.beginning + configuration.length
        let faults = WorldFaultPlan.draw(
            from: World.beginning, to: end, kinds: configuration.kinds, isSwarm: configuration.isSwarm,
            random: &random)
        planned = Set(faults.map(\.kind))
        try begin()
        for moment in Self.moments(of: faults, every: .seconds(60), until: end) {
            try world.run(until: moment)
            for fault in active where fault.end <= moment { try heal(fault) }
            active.removeAll { $0.end <= moment }
            for fault in faults where fault.at == moment { try strike(fault) }
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
        return report
    }

    /// Every instant at which something begins or ends, and the invariants' own.
    private static func moments(
        of faults: [WorldFault], every interval: Duration, until end: MonotonicInstant
    ) -> [MonotonicInstant] {
        var moments = Set(faults.flatMap { [$0.at, $0.end] })
        var next = World.beginning
        while next < end {
            next = min(next + interval, end)
            moments.insert(next)
        }
        return moments.sorted()
    }

    private mutating func awaitHealing() throws {
        let from = world.now
        guard let writer = life?.writer else { return }
        let isHealed = try world.run(until: from + Self.healing) {
            writer.statistics.spooled == 0 && writer.statistics.isReconciled
        }
        if isHealed { report.healedAfter = world.now - from }
        if !isHealed {
            let statistics = writer.statistics
            report.problems.append(
                "\(statistics.spooled) records still wait \(Self.healing) after everything was healed: "
                    + "\(statistics.lastFault ?? statistics.heldBecause ?? "no fault")")
        }
    }

    // MARK: Lives

    private mutating func begin() throws {
        report.lives += 1
        let directory = spoolDirectory
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let node = world.node("life \(report.lives)")
        node.setClock(ahead: clockAhead)
        let quiet = TestDatabase.quiet
        let plc = WorldPLC(machine, asking: node, world: world)
        plc.faults = plcFaults
        var disk = world.stream("disk of \(node.name)")
        let spool = try Spool(
            directory: directory, configuration: Self.spool, random: &disk,
            turns: .simulated { isIdle, turn in
                node.schedule(after: isIdle ? .milliseconds(50) : .microseconds(500), turn)
            }, time: node.time, logger: quiet)
        let writer = try BatchWriter(
            spool: spool, sink: sink, time: node.time, random: world.stream("writer of \(node.name)"), logger: quiet)
        var pace = DataCollectionService.Configuration()
        pace.period = configuration.period
        let collection = try DataCollectionService(
            plc: plc, writer: writer, machine: 1, configuration: pace, time: node.time, logger: quiet)
        life = Life(
            node: node, plc: plc, spool: spool, writer: writer, collection: collection,
            collecting: node.spawn { try await collection.run() }, writing: node.spawn { try await writer.run() },
            beganAt: world.now)
    }

    private static var spool: Spool.Configuration {
        var configuration = Spool.Configuration()
        configuration.segmentBytes = 1 << 20
        configuration.freeSpaceFloor = 0
        configuration.ballastBytes = 0
        configuration.spareBytes = 0
        configuration.retainedWindow = .seconds(600)
        return configuration
    }

    /// The process dies. What is on the disk stays, and nothing else.
    private mutating func crash() throws {
        guard let life else { return }
        life.node.crash()
        if life.spool.account.waiting.records > 0 { report.reached.insert("crash with records waiting") }
        // The next life gets the files as they are now: closing the old ones would tidy them up.
        let left = spoolDirectory + "-left"
        try FileManager.default.copyItem(atPath: spoolDirectory, toPath: left)
        try end(life)
        try FileManager.default.removeItem(atPath: spoolDirectory)
        try FileManager.default.moveItem(atPath: left, toPath: spoolDirectory)
        self.life = nil
    }

    /// Takes the account of a life that is over, and gives back what it holds.
    private mutating func end(_ life: Life) throws {
        takeAccount(of: life)
        try life.spool.close()
        for (name, count) in life.plc.bites { report.bites[name, default: 0] += count }
        scans.merge(life.plc.scans) { $1 }
    }

    private mutating func takeAccount(of life: Life) {
        let (collected, written) = (life.collection.statistics, life.writer.statistics)
        report.cycles += collected.cycles
        report.missed += collected.missed
        report.accepted += written.accepted
        // A cycle under way is in no place yet, nor are those that were slept through.
        let passed = Int((world.now - life.beganAt).wholeNanoseconds / configuration.period.wholeNanoseconds) + 1
        if collected.due > passed { report.problems.append("\(collected.due) instants in \(passed) periods") }
        if !life.spool.account.isBalanced { report.problems.append("the spool's account: \(life.spool.account)") }
    }

    private mutating func finish() throws {
        guard let life else { return }
        life.collecting.cancel()
        guard try world.run(until: world.now + .seconds(30), isDone: { life.collecting.isDone }) else {
            report.problems.append("the collection did not end within 30 s")
            return
        }
        try world.run(until: world.now + .seconds(30)) { life.writer.statistics.spooled == 0 }
        life.writing.cancel()
        guard try world.run(until: world.now + .seconds(30), isDone: { life.writing.isDone }) else {
            report.problems.append("the writer did not end within 30 s")
            return
        }
        let waiting = life.spool.account.waiting.records
        if waiting > 0 { report.problems.append("\(waiting) records are left in the spool") }
        try end(life)
        self.life = nil
    }

    // MARK: Faults

    private mutating func strike(_ fault: WorldFault) throws {
        world.note("\(fault.kind.rawValue) \(fault.duration) \(fault.strength)")
        let strength = fault.strength
        switch fault.kind {
        case .databaseDown: database.faults.isDown = true
        case .databaseSlow: database.faults.delay = .milliseconds(Int64(50 + strength * 12_000))
        case .databaseRefuses: database.faults.refusals = 0.05 + strength * 0.95
        case .databaseRestarts: database.restart()
        case .databaseForgets:
            // Further back than the spool keeps what has landed nobody can help.
            let forgotten = database.restore(to: world.now - .milliseconds(Int64(strength * 120_000)))
            if forgotten > 0 { report.reached.insert("database forgot commits") }
        case .answersLost: database.faults.lostAnswers = 0.05 + strength * 0.45
        case .callsLost: database.faults.lostCalls = 0.05 + strength * 0.45
        case .callsLate: database.faults.lateCalls = 0.05 + strength * 0.45
        case .plcDown: plcFaults.isDown = true
        case .plcSlow: plcFaults.delay = .milliseconds(Int64(50 + strength * 3000))
        case .plcLossy: plcFaults.lostCalls = 0.05 + strength * 0.95
        case .crash:
            try crash()
            report.bites[fault.kind.bite, default: 0] += 1
        case .freeze:
            guard let life else { return }
            life.node.freeze(for: fault.duration)
            report.bites[fault.kind.bite, default: 0] += 1
        case .clockStep:
            // Never by the same amount twice, so that no two readings bear the same time.
            clockSteps += 1
            clockAhead = .milliseconds(Int64((strength - 0.5) * 120_000)) + .microseconds(clockSteps)
            life?.node.setClock(ahead: clockAhead)
            report.bites[fault.kind.bite, default: 0] += 1
        }
        life?.plc.faults = plcFaults
        if fault.duration > .zero { active.append(fault) }
    }

    private mutating func heal(_ fault: WorldFault) throws {
        world.note("healed \(fault.kind.rawValue)")
        switch fault.kind {
        case .databaseDown: database.faults.isDown = false
        case .databaseSlow: database.faults.delay = .zero
        case .databaseRefuses: database.faults.refusals = 0
        case .answersLost: database.faults.lostAnswers = 0
        case .callsLost: database.faults.lostCalls = 0
        case .callsLate: database.faults.lateCalls = 0
        case .plcDown: plcFaults.isDown = false
        case .plcSlow: plcFaults.delay = .zero
        case .plcLossy: plcFaults.lostCalls = 0
        case .crash: if life == nil { try begin() }
        case .databaseRestarts, .databaseForgets, .freeze, .clockStep: break
        }
        life?.plc.faults = plcFaults
    }

    // MARK: Judging

    private mutating func checkInvariants() {
        guard let life else { return }
        let statistics = life.writer.statistics
        if !statistics.isBalanced { report.problems.append("the writer's account: \(statistics)") }
        if statistics.lost > 0 { report.problems.append("\(statistics.lost) records were lost on the disk") }
        if statistics.breaker != .closed { report.reached.insert("breaker \(statistics.breaker.rawValue)") }
        if statistics.resurrected > 0 { report.reached.insert("records resurrected") }
        if statistics.spooled > 1000 { report.reached.insert("backlog") }
        if life.collection.statistics.gapRecords > 0 { report.reached.insert("gap recorded") }
        if life.collection.statistics.missedLate > 0 { report.reached.insert("instants slept through") }
    }

    /// What is in the database, beside what the machine said and what was accepted.
    private mutating func audit() {
        report.landed = database.records
        report.bites.merge(database.bites) { $0 + $1 }
        report.toothless = Set(planned.map(\.bite)).subtracting(report.bites.keys).sorted()
        if database.records != report.accepted {
            report.problems.append("\(report.accepted) records were accepted, \(database.records) are in the database")
        }
        var wrong = 0
        for (time, landed) in database.landed {
            guard let said = scans[time], said == landed.checksum, landed.rows == configuration.parameters else {
                wrong += 1
                continue
            }
        }
        if wrong > 0 { report.problems.append("\(wrong) instants in the database are not what the machine said") }
        let missedInDatabase = database.gaps.reduce(0) { $0 + Int($1.instants) }
        // The gaps of a life that crashed may not have been recorded yet.
        if missedInDatabase > report.missed {
            report.problems.append("\(missedInDatabase) missed instants recorded, \(report.missed) were missed")
        }
    }
}
