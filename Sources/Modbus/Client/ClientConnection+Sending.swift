import DequeModule
import NIOCore

extension ClientConnection {
    /// Does whatever has become possible: dial, send, or end the shutdown. Called at the end of every event.
    mutating func pump(_ now: NIODeadline) {
        if drainDeadline != nil {
            closeIfDrained()
            return
        }
        releaseDelayed(now)
        switch link {
        case .down(let notBefore):
            guard !jobs.isEmpty else { return }
            if notBefore <= now {
                link = .dialing
                actions.append(.stateChanged(.connecting))
                actions.append(.dial)
            } else {
                wakeNoLater(than: notBefore)
            }
        case .up:
            while (session?.exchanges.count ?? limits.window) < limits.window, let attempt = takeNext() {
                send(attempt, now: now)
            }
        case .dialing, .closed:
            return
        }
    }

    private mutating func send(_ attempt: Attempt, now: NIODeadline) {
        guard let job = jobs[attempt.job] else { return }
        let request = job.work.request(at: attempt.index)
        guard let exchange = session?.open(request, of: job, attempt: attempt, now: now) else { return }
        var frame = ByteBuffer()
        frame.reserveCapacity(ModbusLimits.headerSize + 5)
        do throws(ModbusError) {
            try frame.writeModbusRequest(request, transaction: exchange.transaction, unit: job.unit)
        } catch {
            // Checked on submission; if it ever fails here the caller is told and nothing is sent.
            _ = session?.answered(exchange.transaction, now: now)
            finish(attempt, .failure(error))
            return
        }
        statistics.requests += 1
        wakeNoLater(than: now + limits.progressTimeout)
        actions.append(.send(frame))
    }

    /// The next request to send: what was sent before, then writes, then reads. A repeated request goes first, since
    /// it has waited longest; among those, the write stands in front (``delay(_:until:)``).
    private mutating func takeNext() -> Attempt? {
        if let attempt = ready.first, attempt.job == activeWrite {
            return ready.popFirst()
        }
        if activeWrite == nil, let id = writes.popFirst() {
            activeWrite = id
            jobs[id]?.next = 1
            return Attempt(job: id, index: 0)
        }
        if let attempt = ready.popFirst() { return attempt }
        guard let id = reads.first, let job = jobs[id] else { return nil }
        jobs[id]?.next += 1
        if job.next + 1 == job.work.count { reads.removeFirst() }
        return Attempt(job: id, index: job.next)
    }

    /// Sends `attempt` again when the device may have stopped being busy.
    mutating func delay(_ attempt: Attempt, until due: NIODeadline) {
        delayed.append((due, attempt))
        wakeNoLater(than: due)
    }

    /// Also without a connection: an instant that has passed must not stay among those to wake for.
    private mutating func releaseDelayed(_ now: NIODeadline) {
        guard !delayed.isEmpty else { return }
        for entry in delayed where entry.due <= now {
            statistics.busyRetries += 1
            if entry.attempt.job == activeWrite {
                ready.prepend(entry.attempt)
            } else {
                ready.append(entry.attempt)
            }
        }
        delayed.removeAll { $0.due <= now }
        if let due = delayed.map(\.due).min() { wakeNoLater(than: due) }
    }

    private mutating func closeIfDrained() {
        guard link != .closed, session?.exchanges.isEmpty ?? true else { return }
        if let session { actions.append(.disconnect(reset: session.isOwed)) }
        session = nil
        link = .closed
        actions.append(.stateChanged(.down(reason: ModbusError(.shuttingDown, peer: peer))))
        actions.append(.finished)
    }
}
