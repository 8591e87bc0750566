import ALDCore
import Foundation

/// The lives of the process: each begins with what the one before has left on the disk.
extension MachineDay {
    /// Starts the process. On a full disk it may not come up, and is started again at the next look.
    mutating func begin() throws {
        isWanted = true
        do {
            try start()
        } catch let error as SpoolError where error.code == .full {
            report.bites[WorldFault.Kind.diskFull.bite, default: 0] += 1
        }
    }

    private mutating func start() throws {
        report.lives += 1
        let directory = spoolDirectory
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let node = world.node("life \(report.lives)")
        node.setClock(ahead: clockAhead)
        let quiet = TestDatabase.quiet
        let plc = WorldPLC(machine, asking: node, world: world)
        plc.faults = plcFaults
        var random = world.stream("disk of \(node.name)")
        let spool = try node.spool(
            in: directory, on: disk, configuration: spool, random: &random, logger: quiet)
        shortage.follow(spool)
        let writer = try BatchWriter(
            spool: spool, sink: sink, time: node.time, random: world.stream("writer of \(node.name)"), logger: quiet)
        var pace = DataCollectionService.Configuration()
        pace.period = configuration.period
        let collection = try DataCollectionService(
            plc: plc, writer: writer, machine: 1, configuration: pace, time: node.time, logger: quiet)
        let recipes = try recipeService(on: node, plc, writer)
        // As in one process: no command opens a valve of the recipe under way.
        let control = try control(on: node, recipes.guarded)
        life = Life(
            node: node, plc: plc, spool: spool, writer: writer, collection: collection,
            collecting: node.spawn { try await collection.run() }, writing: node.spawn { try await writer.run() },
            control: control, controlling: node.spawn { try await control.run() }, recipes: recipes,
            running: node.spawn { try await recipes.run() }, beganAt: world.now)
    }

    static func recipeSettings(_ valves: [ParameterID], _ journal: String) -> RecipeService.Configuration {
        let interlocks = Interlocks(exclusiveGroups: valves.count < 2 ? [] : [Set(valves)])
        return RecipeService.Configuration(machine: 1, interlocks: interlocks, journal: journal)
    }

    private func recipeService(on node: WorldNode, _ plc: WorldPLC, _ writer: BatchWriter) throws -> RecipeService {
        let plc: any PLC = configuration.plantedBug == .leavesValvesOpen ? BuggyPLC(plc: plc, valves: valves) : plc
        return try RecipeService(
            configuration: Self.recipeSettings(valves, journal), plc: plc, table: recipes.desk(of: node.name),
            bell: { recipes.bells.hang(on: node, onRing: $0) }, writer: writer, time: node.time,
            logger: TestDatabase.quiet)
    }

    private func control(on node: WorldNode, _ plc: any PLC) throws -> ParameterControlService {
        var table: any ParameterCommandTable = commands.desk(of: node.name)
        if let bug = configuration.plantedBug { table = BuggyCommandTable(table: table, bug: bug) }
        var settings = ParameterControlService.Configuration()
        // It relies on more than the table gives.
        if configuration.plantedBug == .outlivesLeases { settings.lease = .seconds(3600) }
        return try ParameterControlService(
            plc: plc, table: table, bell: { commands.bells.hang(on: node, onRing: $0) }, configuration: settings,
            time: node.time, logger: TestDatabase.quiet)
    }

    private var spool: Spool.Configuration {
        var configuration = Spool.Configuration()
        // Many come and go in each hour, at the same instants on every disk, and the window ends soon after its length.
        configuration.segmentAge = .seconds(60)
        configuration.freeSpaceFloor = 0
        configuration.ballastBytes = 0
        configuration.spareBytes = 0
        configuration.retainedWindow = .seconds(600)
        // Nobody reads it here, and once a second it would take a sixth of the run.
        configuration.statusInterval = .seconds(600)
        return configuration
    }

    /// The process dies. What is on the disk stays, and nothing else.
    mutating func crash() throws {
        isWanted = false
        guard let life else { return }
        life.node.crash()
        if life.spool.account.waiting.records > 0 { report.reached.insert("crash with records waiting") }
        // The next life gets the files as they are now: closing the old ones would tidy them up.
        if let disk {
            let image = disk.image
            try end(life)
            disk.restore(image)
        } else {
            let left = spoolDirectory + "-left"
            try FileManager.default.copyItem(atPath: spoolDirectory, toPath: left)
            try end(life)
            try FileManager.default.removeItem(atPath: spoolDirectory)
            try FileManager.default.moveItem(atPath: left, toPath: spoolDirectory)
        }
        self.life = nil
    }

    /// Takes the account of a life that is over, and gives back what it holds.
    mutating func end(_ life: Life) throws {
        takeAccount(of: life)
        try life.spool.close()
        for (name, count) in life.plc.bites { report.bites[name, default: 0] += count }
        scans.merge(life.plc.scans) { $1 }
    }

    mutating func takeAccount(of life: Life) {
        let (collected, written) = (life.collection.statistics, life.writer.statistics)
        if collected.gapRecords > 0 { report.reached.insert("gap recorded") }
        if collected.missedLate > 0 { report.reached.insert("instants slept through") }
        if collected.missedSpool > 0 {
            report.reached.insert("spool refused")
            report.bites[WorldFault.Kind.diskFull.bite, default: 0] += collected.missedSpool
        }
        report.cycles += collected.cycles
        report.missed += collected.missed
        report.accepted += written.accepted
        // A cycle under way is in no place yet, nor are those that were slept through.
        let passed = Int((world.now - life.beganAt).wholeNanoseconds / configuration.period.wholeNanoseconds) + 1
        if collected.due > passed { report.problems.append("\(collected.due) instants in \(passed) periods") }
        let control = life.control.statistics
        if control.taken != control.executing + control.succeeded + control.failed + control.unknown {
            report.problems.append("Terminal 3's account: \(control)")
        }
        if !life.spool.account.isBalanced { report.problems.append("the spool's account: \(life.spool.account)") }
    }

    mutating func finish() throws {
        guard let life else { return }
        life.running.cancel()
        guard try world.run(until: world.now + .seconds(30), isDone: { life.running.isDone }) else {
            report.problems.append("Terminal 2 did not end within 30 s")
            return
        }
        life.controlling.cancel()
        guard try world.run(until: world.now + .seconds(30), isDone: { life.controlling.isDone }) else {
            report.problems.append("Terminal 3 did not end within 30 s")
            return
        }
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
}
