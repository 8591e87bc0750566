import ALDCore

/// What must hold while the day lasts and when it is over.
extension MachineDay {
    mutating func checkInvariants() {
        guard let life else { return }
        let statistics = life.writer.statistics
        if !statistics.isBalanced { report.problems.append("the writer's account: \(statistics)") }
        if statistics.lost > 0 { report.problems.append("\(statistics.lost) records were lost on the disk") }
        if statistics.breaker != .closed { report.reached.insert("breaker \(statistics.breaker.rawValue)") }
        if statistics.resurrected > 0 { report.reached.insert("records resurrected") }
        if statistics.spooled > 1000 { report.reached.insert("backlog") }
        if life.collection.statistics.gapRecords > 0 { report.reached.insert("gap recorded") }
        if life.collection.statistics.missedLate > 0 { report.reached.insert("instants slept through") }
        if life.recipes.status.phase == .ready, !written.open(of: valves).isEmpty {
            report.problems.append("valves \(written.open(of: valves)) are open, and no recipe runs")
        }
        let (adopted, givenAgain) = commands.foundAgain
        if adopted > 0 { report.reached.insert("command left and adopted") }
        if givenAgain > 0 { report.reached.insert("command taken without an answer") }
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
        report.commands = queue.asked.count
        report.commandEnds = queue.commands.values.reduce(into: [:]) { $0[$1.status.rawValue, default: 0] += 1 }
        // Whoever asked has to ask again: a restored database knows nothing of them.
        if !queue.forgotten.isEmpty { report.commandEnds["forgotten"] = queue.forgotten.count }
    }

    private mutating func auditRecords() {
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
        if database.gaps.contains(where: { $0.cause == .stopped }) { report.reached.insert("stop recorded") }
        let missedInDatabase = database.gaps.filter { $0.cause != .stopped }.reduce(0) { $0 + Int($1.instants) }
        // The gaps of a life that crashed may not have been recorded yet.
        if missedInDatabase > report.missed {
            report.problems.append("\(missedInDatabase) missed instants recorded, \(report.missed) were missed")
        }
        // A clock that is set makes holes of its own.
        guard clockSteps == 0 else { return }
        let holes = HoleAudit.unexplained(
            between: database.landed.keys, database.gaps, longerThan: configuration.period * 2)
        if let first = holes.first {
            report.problems.append("\(holes.count) times without readings that no gap explains, the first \(first)")
        }
    }
}
