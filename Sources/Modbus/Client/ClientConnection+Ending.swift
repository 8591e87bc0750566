import DequeModule
import NIOCore

extension ClientConnection {
    /// Why jobs end before all their answers came.
    enum Abandonment: Sendable {
        case deadline
        case cancelled
        case shuttingDown
    }

    /// Ends jobs whose caller does not wait any longer. Their answers, should they come, are recognised as late.
    /// First those on the wire in the order they were sent, then the others in the order of their calls: the order
    /// must follow from the events alone, or a schedule could not be replayed.
    mutating func abandon(_ ids: Set<JobID>, because cause: Abandonment, now: NIODeadline) {
        let sent = session?.bury(ids.contains, now: now) ?? []
        for (attempt, exchange) in sent {
            if cause == .deadline, exchange.sharesWire { misbehaved(sent: exchange.sent, now: now) }
            fail(attempt, sentCode(exchange.request, cause))
        }
        for id in ids.sorted() { finishAll(id, unsentCode(cause)) }
    }

    /// Ends every request that is not on the wire, in the order of the calls.
    mutating func dropUnsent() {
        let sent = (session?.exchanges ?? []).flatMap(\.attempts)
        for job in jobs.all.sorted(by: { $0.id < $1.id }) {
            let inFlight = sent.filter { $0.job == job.id }.map(\.index)
            for index in 0..<job.work.count where !inFlight.contains(index) {
                fail(Attempt(job: job.id, index: index), .shuttingDown)
            }
        }
        writes = []
        urgentWrites = []
        reads = []
        ready = []
        delayed = []
    }

    /// Ends every request of a job that has not ended yet.
    mutating func finishAll(_ id: JobID, _ code: ModbusError.Code) {
        guard let count = jobs[id]?.work.count else { return }
        for index in 0..<count { fail(Attempt(job: id, index: index), code) }
    }

    mutating func fail(_ attempt: Attempt, _ code: ModbusError.Code) {
        guard let job = jobs[attempt.job] else { return }
        let request = job.work.request(at: attempt.index)
        finish(
            attempt,
            .failure(
                ModbusError(code, peer: peer, unit: job.unit, function: request.function, range: request.range)))
    }

    /// Records how one request ended, and hands the job over when it was the last.
    mutating func finish(_ attempt: Attempt, _ result: Result<ModbusResponse, ModbusError>) {
        let id = attempt.job
        let time = session?.loneRoundTrip
        let isFirstEnd = jobs.change(id) { job in
            if case .success = result, let time { job.measured(attempt.index, time) }
            return job.finish(attempt.index, result)
        }
        guard isFirstEnd == true else { return }
        count(result)
        guard let outcome = jobs.change(id, { $0.outcome }) ?? nil, let job = jobs.remove(id) else { return }
        forget(job)
        actions.append(.complete(id, outcome))
    }

    private mutating func count(_ result: Result<ModbusResponse, ModbusError>) {
        switch result {
        case .success:
            statistics.succeeded += 1
        case .failure(let error):
            statistics.failed += 1
            report(.failed(error))
            if case .unknownOutcome = error.code { statistics.unknownOutcomes += 1 }
        }
    }

    /// Takes a job that ended out of every place where it may still wait.
    private mutating func forget(_ job: ClientJob) {
        if activeWrite == job.id { activeWrite = nil }
        if job.next < job.work.count {
            if job.work.isWrite {
                writes.removeAll { $0 == job.id }
                urgentWrites.removeAll { $0 == job.id }
            } else {
                reads.removeAll { $0.job == job.id }
            }
        }
        if !ready.isEmpty { ready.removeAll { $0.job == job.id } }
        if !delayed.isEmpty { delayed.removeAll { $0.attempt.job == job.id } }
    }

    private func sentCode(_ request: ModbusRequest, _ cause: Abandonment) -> ModbusError.Code {
        switch cause {
        case .deadline: request.isWrite ? .unknownOutcome(.replyTimedOut) : .timedOut(.reply)
        case .cancelled: request.isWrite ? .unknownOutcome(.cancelled) : .cancelled
        case .shuttingDown: request.isWrite ? .unknownOutcome(.shuttingDown) : .shuttingDown
        }
    }

    private func unsentCode(_ cause: Abandonment) -> ModbusError.Code {
        switch cause {
        case .cancelled: return .cancelled
        case .shuttingDown: return .shuttingDown
        case .deadline:
            if link == .up { return .timedOut(.queue) }
            return lastFailure ?? .timedOut(.connect)
        }
    }
}
