extension ParameterControlService {
    /// What Terminal 3 knows of its commands.
    struct State {
        var statistics = Statistics()
        var executing: Set<Int64> = []
        /// Of those that may be written: how long nobody else decides what becomes of them. Not among them is one whose
        /// lease the table has called ended.
        var heldUntil: [Int64: MonotonicInstant] = [:]
        var begun = BegunCommands()
        var ended: [CommandDesk.Finished] = []
        /// The table is asked for commands; what it answers is under way from the next moment on.
        var isTaking = false
        /// A question for commands was not answered: so long it may have made some this terminal's.
        var doubtUntil: MonotonicInstant?
        var isStopping = false
        var stopsBy: MonotonicInstant?
    }

    /// What is to be done about the ends of commands.
    enum Noting: Equatable {
        case note([CommandDesk.Finished], by: MonotonicInstant)
        /// Ask which commands the table has given without an answer, since nobody will begin them any more.
        case findTaken(by: MonotonicInstant)
        /// Until something ends, the service stops, or this instant.
        case wait(until: MonotonicInstant?)
        /// Nothing is left to be done, or the time is up; then of these nobody says how they ended.
        case end(unnoted: [Int64])
    }
}

extension ParameterControlService.State {
    /// - Returns: whether there may be another question for commands.
    mutating func beginTaking() -> Bool {
        isTaking = !isStopping
        return isTaking
    }

    /// The table has prolonged the leases of these, except of those that had ended.
    mutating func renewed(_ ours: Set<Int64>, lost: Set<Int64>, until: MonotonicInstant) {
        for id in ours {
            guard let held = heldUntil[id] else { continue }
            heldUntil[id] = lost.contains(id) ? nil : max(held, until)
        }
    }

    /// These were given by an answer that never came, and now the service stops.
    mutating func neverBegan(_ commands: [Int64]) {
        doubtUntil = nil
        for id in commands {
            statistics.taken += 1
            statistics.failed += 1
            ended.append(.init(id: id, ending: .failed(ParameterCommandMachine.shutDown, actual: nil)))
        }
    }

    func noting(now: MonotonicInstant) -> ParameterControlService.Noting {
        let deadline = now + ParameterControlService.tableTimeout
        guard isStopping, let stopsBy else {
            return ended.isEmpty ? .wait(until: nil) : .note(ended, by: deadline)
        }
        if now >= stopsBy { return .end(unnoted: ended.map(\.id)) }
        if !ended.isEmpty { return .note(ended, by: min(deadline, stopsBy)) }
        // Story: the service is told to stop while it waits for commands. They come, and somebody has to say what
        // became of them.
        if isTaking || !executing.isEmpty { return .wait(until: stopsBy) }
        if let doubtUntil, now < doubtUntil { return .findTaken(by: min(deadline, stopsBy)) }
        return .end(unnoted: [])
    }
}
