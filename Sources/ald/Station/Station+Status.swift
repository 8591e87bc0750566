import ALDCore
import Synchronization

extension Station {
    /// What the station is doing; `nil` before it records, and when it does not.
    var status: StationStatus? {
        let parts = parts.withLock(\.self)
        guard let collection = parts.collection, let started = parts.started, let plc = parts.plc,
            var writer = parts.writers[.collection]?.statistics
        else { return nil }
        if let recipes = parts.writers[.recipes]?.statistics { writer.add(recipes) }
        let collected = collection.collection.statistics
        return StationStatus(
            machine: settings.machineName, parameters: collectedMap.parameters.count, period: settings.period,
            running: (collected.endedAt ?? time.now) - started, collection: collected, writer: writer,
            plc: PLCStatus(place: parts.plcPlace, state: plc.connectionState),
            database: DatabaseStatus(place: parts.databasePlace, fault: writer.lastFault),
            rowsCounted: parts.counted, spoolRecounted: parts.recounted, terminals: terminalLines)
    }

    /// What each terminal of this process does, in their order.
    var terminalLines: [TerminalLine] {
        let parts = parts.withLock(\.self)
        return terminals.compactMap { terminal in
            guard let supervisor = parts.supervisors[terminal] else { return nil }
            let report = report(of: terminal)
            let text =
                switch supervisor.state {
                case .waiting: "starting"
                case .restarting(let reason, let at): "restarts in \(StatusReport.seconds(at - time.now)): \(reason)"
                case .ended(let reason): "ended" + (reason.map { ": \($0)" } ?? "")
                case .running: words(of: terminal, parts)
                }
            return TerminalLine(
                terminal: terminal, text: text, problem: report.status == .degraded ? report.reason : nil,
                restarts: supervisor.failures)
        }
    }

    private func words(of terminal: Terminal, _ parts: StationParts) -> String {
        switch terminal {
        case .collection:
            guard let compared = parts.collection?.synchroniser.statistics else { return "starting" }
            return "collects; set points: \(compared.external) changed at the machine, "
                + "\(compared.refused) out of limits"
        case .commands:
            guard let done = parts.commands?.statistics else { return "starting" }
            return "\(done.succeeded) succeeded, \(done.failed) failed, \(done.unknown) unknown, "
                + "\(done.executing) under way"
        case .recipes: return parts.recipes.map { RecipeWords(map: registerMap).words(of: $0.status) } ?? "starting"
        }
    }

    /// What a terminal says of itself: to the registry and to people.
    func report(of terminal: Terminal) -> TerminalReport {
        let parts = parts.withLock(\.self)
        var fault: String?
        if let plc = parts.plc {
            let state = PLCStatus(place: parts.plcPlace, state: plc.connectionState)
            fault = state.isUp ? nil : state.text
        }
        var report = TerminalReport()
        switch terminal {
        case .collection: report = parts.collection?.report(controllerFault: fault) ?? report
        case .commands:
            report.controllerFault = fault
            if let done = parts.commands?.statistics {
                (report.processed, report.errors) = (done.succeeded, done.failed + done.unknown)
                report.hearsBell = done.hearsBell
                if let problem = done.problem { report.degrade("the command table is out of reach: \(problem)") }
            }
        case .recipes:
            report.controllerFault = fault
            if let status = parts.recipes?.status {
                (report.processed, report.errors) = (status.completed, status.failed + status.aborted)
                report.hearsBell = status.hearsBell
                report.lastError = status.lastProblem
                if case .unsafe(let reason) = status.phase {
                    report.degrade("the machine is not known to be safe: \(reason)")
                }
                if let problem = status.problem { report.degrade("the recipe tables are out of reach: \(problem)") }
            }
            if let fault = parts.writers[.recipes]?.statistics.lastFault {
                report.degrade("what runs did waits on disk: \(fault)")
            }
        }
        if case .restarting(let reason, _)? = parts.supervisors[terminal]?.state {
            report.degrade("has failed and is started again: \(reason)")
            report.lastError = reason
        }
        return report
    }
}
