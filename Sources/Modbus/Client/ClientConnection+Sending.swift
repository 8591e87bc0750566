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
                changeState(.connecting)
                actions.append(.dial)
            } else {
                wakeNoLater(than: notBefore)
            }
        case .up:
            while (session?.exchanges.count ?? .max) < window, let attempt = takeNext() {
                send(attempt, now: now)
            }
            // What had had its time may have taken the connection with it.
            guard case .up = link else { return pump(now) }
            adaptive?.event(.inFlight(session?.exchanges.count ?? 0), now: now)
            if let oldest = session?.exchanges.first, oldest.sharesWire, let due = remakeTime(of: oldest) {
                wakeNoLater(than: due)
            }
        case .dialing, .closed:
            return
        }
    }

    private mutating func send(_ attempt: Attempt, now: NIODeadline) {
        guard let job = jobs[attempt.job] else { return }
        // Story: the process stands still while a write waits behind a read. When it goes on, the answer to the read
        // makes room before the tick comes that ends what is too late.
        guard job.deadline > now else { return expire(now) }
        let request = job.work.request(at: attempt.index)
        var attempts = [attempt]
        if !request.isWrite { takeSharers(of: request, unit: job.unit, into: &attempts) }
        let deadline = attempts.dropFirst().reduce(job.deadline) { max($0, jobs[$1.job]?.deadline ?? $0) }
        guard
            let exchange = session?.open(request, unit: job.unit, attempts: attempts, deadline: deadline, now: now)
        else { return }
        var frame = ByteBuffer()
        frame.reserveCapacity(ModbusLimits.headerSize + 5)
        do throws(ModbusError) {
            try frame.writeModbusRequest(request, transaction: exchange.transaction, unit: job.unit)
        } catch {
            // Checked on submission; if it ever fails here the caller is told and nothing is sent.
            _ = session?.answered(exchange.transaction, now: now)
            for attempt in attempts { finish(attempt, .failure(error)) }
            return
        }
        statistics.coalesced += attempts.count - 1
        statistics.requests += 1
        wakeNoLater(than: now + limits.progressTimeout)
        actions.append(.send(frame))
        reportSent(exchange)
    }

    /// The next request to send: what was sent before, then urgent writes, writes, reads. A repeated request goes first, since
    /// it has waited longest; among those, the write stands in front (``delay(_:until:)``).
    ///
    /// While the window is being found out a write goes alone: lost in a trial it could not be made again.
    private mutating func takeNext() -> Attempt? {
        if adaptive != nil, let exchanges = session?.exchanges, !exchanges.isEmpty {
            let isWriteNext =
                activeWrite.map { $0 == ready.first?.job } ?? !(writes.isEmpty && urgentWrites.isEmpty)
            if isWriteNext || exchanges.contains(where: \.request.isWrite) { return nil }
        }
        if let attempt = ready.first, attempt.job == activeWrite {
            return ready.popFirst()
        }
        if activeWrite == nil, let id = urgentWrites.popFirst() ?? writes.popFirst() {
            activeWrite = id
            jobs.change(id) { $0.next = 1 }
            return Attempt(job: id, index: 0)
        }
        if let attempt = ready.popFirst() { return attempt }
        return reads.isEmpty ? nil : takeRead(at: 0)
    }

    /// Takes the read that stands at `position` of the queue, and lets the next one of its plan stand there.
    private mutating func takeRead(at position: Int) -> Attempt? {
        let id = reads[position].job
        guard let job = jobs[id] else { return nil }
        jobs.change(id) { $0.next += 1 }
        if job.next + 1 < job.work.count {
            reads[position].request = job.work.request(at: job.next + 1)
        } else {
            reads.remove(at: position)
        }
        return Attempt(job: id, index: job.next)
    }

    /// Takes every other read that is to be sent and asks the same, so that one frame serves them all. A plan takes
    /// part with the request whose turn it is, so two callers of one plan share all of it.
    ///
    /// Only what was not sent yet is shared: an answer to a request that was on the wire before the call may be older
    /// than the call, and a caller that writes and then reads would find the old value.
    private mutating func takeSharers(of request: ModbusRequest, unit: UnitID, into attempts: inout [Attempt]) {
        guard !reads.isEmpty || !ready.isEmpty else { return }
        ready.removeAll { attempt in
            guard let job = jobs[attempt.job], job.unit == unit, job.work.request(at: attempt.index) == request
            else { return false }
            attempts.append(attempt)
            return true
        }
        // From the end, since taking one may close the gap behind it.
        for position in reads.indices.reversed() where reads[position].unit == unit {
            if reads[position].request == request, let attempt = takeRead(at: position) { attempts.append(attempt) }
        }
        if attempts.count > 1 { attempts.sort { $0.job < $1.job } }
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
            reportRepetition([entry.attempt], .busy)
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
        changeState(.down(reason: ModbusError(.shuttingDown, peer: peer)))
        actions.append(.finished)
    }
}
