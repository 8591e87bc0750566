import Logging
import Synchronization

extension ParameterControlService {
    /// Does what the machine decides until the command has ended.
    ///
    /// - Parameter notAfter: until when it may be written; `nil` when it may have been written already.
    func execute(_ command: CommandDesk.Taken, takenAt: MonotonicInstant, notAfter: MonotonicInstant?) async {
        var settings = configuration.execution
        settings.tolerance =
            configuration.tolerances[command.target.parameter] ?? command.tolerance ?? settings.tolerance
        var machine =
            if let notAfter {
                ParameterCommandMachine(command.target, notAfter: notAfter, configuration: settings, now: takenAt)
            } else {
                ParameterCommandMachine(adopting: command.target, configuration: settings, now: takenAt)
            }
        var finished = CommandDesk.Finished(id: command.id, ending: .unknown("", actual: nil))
        /// By the database's clock.
        func stamp() -> Timestamp { command.executingAt.advanced(by: time.now - takenAt) }
        while true {
            // No call is under way here.
            let (isStopping, stopsBy) = state.withLock { ($0.isStopping, $0.stopsBy) }
            if isStopping { machine.happened(.stop, now: time.now) }
            // Whatever stands still behind this line keeps an instant that has passed: the call that is made with it as its
            // deadline sends nothing.
            let now = time.now
            let heldUntil = state.withLock { $0.heldUntil[command.id] } ?? now
            switch machine.next(now: now, heldUntil: heldUntil) {
            case .write(let point, let deadline):
                let failure = await plc.tryWriting(point, by: deadline)
                if failure == nil { finished.writtenAt = stamp() }
                machine.happened(failure.map { .writeFailed($0) } ?? .written, now: time.now)
            case .readBack(let parameter, let deadline):
                if let stopsBy, now >= stopsBy {
                    return ended(finished, "the terminal was shut down before it was read back")
                }
                switch await plc.tryReading(parameter, by: min(deadline, stopsBy ?? deadline)) {
                case .success(let value): machine.happened(.readBack(value), now: time.now)
                case .failure(let error): machine.happened(.readBackFailed("\(error)"), now: time.now)
                }
            case .wait(let until):
                // Cancelled: whatever is tried next fails at once, and the command ends as unknown.
                do {
                    try await time.sleep(until: min(until, stopsBy ?? until))
                } catch {
                    return ended(finished, "the terminal was cancelled")
                }
            case .listen: return ended(finished, "two calls at a time")
            case .finish(let ending):
                finished.ending = ending
                if case .succeeded = ending {
                    if notAfter != nil {
                        finished.verifiedAt = stamp()
                        // An answer that was lost: it was written by now.
                        finished.writtenAt = finished.writtenAt ?? finished.verifiedAt
                    }
                }
                return ended(finished, nil)
            }
        }
    }

    private func ended(_ finished: CommandDesk.Finished, _ doubt: String?) {
        var finished = finished
        if let doubt { finished.ending = .unknown(doubt, actual: nil) }
        state.withLock { state in
            state.executing.remove(finished.id)
            state.heldUntil[finished.id] = nil
            state.ended.append(finished)
            switch finished.ending {
            case .succeeded: state.statistics.succeeded += 1
            case .failed: state.statistics.failed += 1
            case .unknown: state.statistics.unknown += 1
            }
        }
        noting.signal()
    }

    /// Notes ends in the table, as many at once as there are, until the service stops and none is left.
    func noteEnds() async {
        while true {
            switch state.withLock({ $0.noting(now: time.now) }) {
            case .note(let ended, let deadline):
                let noted = await reach.reaching("ends of commands cannot be noted") {
                    try await desk.finish(ended, deadline: deadline)
                }
                if let noted { forget(ended, noted: noted) } else { await waitForTable() }
            case .findTaken(let deadline):
                let taken = await reach.reaching("what was taken cannot be known") {
                    try await desk.begun(deadline: deadline)
                }
                if let taken { state.withLock { $0.neverBegan(taken) } } else { await waitForTable() }
            case .wait(let until):
                if let until { await noting.wait(until: until, time: time) } else { await noting.wait() }
            case .end(let unnoted):
                if !unnoted.isEmpty {
                    logger.warning(
                        "ends of commands are not noted; the next start finds out how they ended",
                        metadata: ["commands": "\(unnoted)"])
                }
                return
            }
            if Task.isCancelled { return }
        }
    }

    private func waitForTable() async {
        await noting.wait(until: time.now + .milliseconds(100), time: time)
    }

    private func forget(_ ended: [CommandDesk.Finished], noted: Set<Int64>) {
        let ids = Set(ended.map(\.id))
        state.withLock { state in state.ended.removeAll { ids.contains($0.id) } }
        let foreign = ids.subtracting(noted)
        if !foreign.isEmpty {
            logger.error(
                "commands were taken away while they were executed; their records say what another terminal found",
                metadata: ["commands": "\(foreign.sorted())"])
        }
        // The next command of the same parameter may be taken now.
        wakeup.signal()
    }
}
