import ALDCore

/// What must hold while the day lasts and when it is over.
extension MachineDay {
    mutating func checkInvariants() {
        guard let life else { return }
        let written = life.writer.statistics
        demand("account", written.isBalanced, "the writer's account: \(written)")
        demand("disk", written.lost == 0, "\(written.lost) records were lost on the disk")
        if life.recipes.status.phase == .ready {
            let open = self.written.open(of: valves)
            demand("valves", open.isEmpty, "valves \(open) are open, and no recipe runs")
        }
        if written.breaker != .closed { report.reached.insert("breaker \(written.breaker.rawValue)") }
        if written.resurrected > 0 { report.reached.insert("records resurrected") }
        if written.spooled > 1000 { report.reached.insert("backlog") }
    }

    /// - Parameter name: of what must hold; when it does not, that is said once.
    private mutating func demand(_ name: String, _ holds: Bool, _ problem: @autoclosure () -> String) {
        guard !holds, broken.insert(name).inserted else { return }
        report.problems.append("\(problem()), \(world.now - World.beginning) into the run")
    }

    /// Each terminal reaches what it needs, and its last word from there was no failure.
    mutating func checkConnections() {
        guard let life else { return }
        let (control, recipes) = (life.control.statistics, life.recipes.status)
        let faults: [(String, String?)] = [
            ("Terminal 1 does not read", life.collection.statistics.lastFailure),
            // What is held was refused by a database that was reached.
            (
                "Terminal 1 does not write",
                life.writer.statistics.heldBecause == nil ? life.writer.statistics.lastFault : nil
            ),
            ("Terminal 2 has no tables", recipes.problem), ("Terminal 3 has no table", control.problem),
            ("Terminal 2 hears no bell", recipes.hearsBell ? nil : "none rings"),
            ("Terminal 3 hears no bell", control.hearsBell ? nil : "none rings"),
        ]
        for case (let what, let why?) in faults {
            report.problems.append("\(what) \(Self.reconnecting) after everything was healed: \(why)")
        }
    }

    /// What is in the database, beside what the machine said and what was accepted.
    mutating func audit() {
        auditRecords()
        auditCommands()
        auditRuns()
    }

    private mutating func auditRuns() {
        let queue = recipes.queue
        report.problems += queue.violations + ValveAudit(valves: valves, writes: written.writes).problems()
        for process in queue.processes.values.sorted(by: { $0.id < $1.id }) where process.ending == nil {
            report.problems.append("process \(process.id) has no end")
        }
        for command in queue.commands.values.sorted(by: { $0.id < $1.id }) where command.status.isOpen {
            report.problems.append("recipe command \(command.id) is still \(command.status.rawValue)")
        }
        let doubled = database.processEvents.count { $0.value != 1 }
        if doubled > 0 { report.problems.append("\(doubled) events of processes have landed more than once") }
        report.runEvents = database.processEvents.count
        report.runs = queue.processes.count
        report.runEnds = queue.processes.values.reduce(into: [:]) { $0[$1.ending ?? "running", default: 0] += 1 }
        if queue.givenAgain > 0 { report.reached.insert("recipe command taken without an answer") }
        if queue.adopted > 0 { report.reached.insert("recipe command left and adopted") }
    }

    private mutating func auditCommands() {
        let queue = commands.queue
        let asked = Set(machine.registerMap.parameters.filter(WorldOperator.isAsked).map(\.id))
        let audit = CommandAudit(queue: queue, writes: written.writes.filter { asked.contains($0.point.parameter) })
        report.problems += audit.problems()
        if queue.adopted > 0 { report.reached.insert("command left and adopted") }
        if queue.givenAgain > 0 { report.reached.insert("command taken without an answer") }
        if commands.swept > 0 { report.reached.insert("sweep found a command") }
        report.commands = queue.asked.count
        report.commandEnds = queue.commands.values.reduce(into: [:]) { $0[$1.status.rawValue, default: 0] += 1 }
        // Whoever asked has to ask again: a restored database knows nothing of them.
        if !queue.forgotten.isEmpty { report.commandEnds["forgotten"] = queue.forgotten.count }
    }

    /// Readings that are where they belong, and those that are there as dead letters.
    private mutating func arrivedReadings() -> [Timestamp: WorldDatabase.Landed] {
        let letters = database.deadLetters
        report.deadLetters = letters.count
        if !letters.isEmpty { report.reached.insert("dead letter written") }
        let doubled = letters.count { $0.value != 1 }
        if doubled > 0 { report.problems.append("\(doubled) dead letters have landed more than once") }
        if letters.count > mostLetters {
            report.problems.append(
                "\(letters.count) dead letters, where what all break is held: \(mostLetters) at most")
        }
        let rule = WorldRule(share: refusedAtMost)
        var (arrived, sound) = (database.landed, 0)
        for letter in letters.keys.sorted(by: { ($0.batch, $0.row) < ($1.batch, $1.row) }) {
            do throws(SpoolError) {
                guard case .history(let rows) = try letter.record() else {
                    report.problems.append("a dead letter of batch \(letter.batch) holds no reading")
                    continue
                }
                sound += rows.count { !rule.isBroken(by: $0) }
                for row in rows { arrived[row.time, default: WorldDatabase.Landed()].add(row) }
            } catch {
                report.problems.append("\(error)")
            }
        }
        if sound > 0 { report.problems.append("\(sound) dead letters are readings that nobody had refused") }
        return arrived
    }

    /// Of one cause, each life writes so many in each window.
    private var mostLetters: Int {
        let windows = Int(configuration.length / SystemicGuard.window) + 2
        return report.lives * windows * SystemicGuard.maximum
    }

    private mutating func auditRecords() {
        report.landed = database.records
        if database.resolved > 0 { report.reached.insert("delivery in doubt resolved") }
        report.bites.merge(database.bites) { $0 + $1 }
        let shortages = disk?.shortages ?? 0
        if shortages > 0 { report.bites[WorldFault.Kind.diskFull.bite, default: 0] += shortages }
        report.toothless = Set(planned.map(\.bite)).subtracting(report.bites.keys).sorted()
        report.demanded = Set(planned.compactMap(\.rareState))
        report.givenUp = shortage.records
        if report.givenUp > 0 { report.reached.insert("confirmed records given up that the database had forgotten") }
        if shortage.inDoubt > 0 { report.problems.append("\(shortage.inDoubt) files were given up while in doubt") }
        if database.records != report.accepted - report.givenUp {
            report.problems.append(
                "\(report.accepted) records were accepted, \(database.records) are in the database"
                    + (report.givenUp > 0 ? ", \(report.givenUp) were given up" : ""))
        }
        let arrived = arrivedReadings()
        let wrong = arrived.count { time, there in
            scans[time] != there.checksum || there.rows != configuration.parameters
        }
        if wrong > 0 { report.problems.append("\(wrong) instants in the database are not what the machine said") }
        if database.gaps.contains(where: { $0.cause == .stopped }) { report.reached.insert("stop recorded") }
        let missedInDatabase = database.gaps.filter { $0.cause != .stopped }.reduce(0) { $0 + Int($1.instants) }
        // The gaps of a life that crashed may not have been recorded yet.
        if missedInDatabase > report.missed {
            report.problems.append("\(missedInDatabase) missed instants recorded, \(report.missed) were missed")
        }
        // A clock that is set makes holes of its own.
        guard clockSteps == 0 else { return }
        let holes = HoleAudit.unexplained(
            between: shortage.times.union(arrived.keys), database.gaps, longerThan: configuration.period * 2)
        if let first = holes.first {
            report.problems.append("\(holes.count) times without readings that no gap explains, the first \(first)")
        }
    }
}
