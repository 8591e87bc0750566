import DequeModule
import NIOCore

/// Requests that a device has lost because it was sent several at a time.
///
/// Some devices answer only the first request of a TCP segment, some only the newest of those that wait. A read lost
/// so is made again, because its caller did not ask for several at a time; a write never is.
extension ClientConnection {
    /// The shortest wait for an answer that others have overtaken. Longer than a device takes that answers out of turn.
    private static let shortestGap = TimeAmount.milliseconds(20)
    /// The shortest wait for the oldest of several requests before it is taken for lost.
    private static let shortestSuspicion = TimeAmount.milliseconds(50)

    /// How many requests may be unanswered now.
    var window: Int {
        adaptive?.size ?? limits.window ?? 1
    }

    /// Remembers how long a slow round trip takes: a longer one counts at once, shorter ones slowly. Late answers
    /// count, too.
    mutating func measured(_ sample: TimeAmount, of unit: UnitID) {
        let former = roundTrips[unit] ?? .zero
        roundTrips[unit] = max(sample, .nanoseconds(former.nanoseconds / 8 * 7 + sample.nanoseconds / 8))
    }

    /// A read that was taken for lost was answered all the same. Its callers may still wait for the copy: this is their
    /// answer as well, because it was asked for after they called. Whoever has joined the copy since waits on.
    ///
    /// What is no data is dropped, as for any late answer: the copy will bring its own.
    mutating func receiveSkipped(_ frame: ModbusFrame, for exchange: Exchange, now: NIODeadline) {
        let waiting = exchange.attempts.filter { jobs[$0.job]?.isFinished($0.index) == false }
        guard !waiting.isEmpty else { return }
        let response: ModbusResponse
        do throws(ResponseMismatch) {
            response = try decode(frame, answering: exchange)
        } catch {
            return
        }
        if case .exception = response { return }
        accepted()
        let isServed = { (attempt: Attempt) in waiting.contains { $0.isSameRequest(as: attempt) } }
        ready.removeAll(where: isServed)
        delayed.removeAll { isServed($0.attempt) }
        session?.withdraw(isServed, now: now)
        for attempt in waiting { finish(attempt, .success(response)) }
    }

    /// The request of `transaction` is being answered. Those of the same unit that were sent before it should have
    /// been answered first; behind a gateway other units answer at their own speed.
    mutating func noticeGap(before transaction: UInt16, now: NIODeadline) {
        guard let skipped = session?.skip(before: transaction, now: now), let latest = skipped.last else { return }
        statistics.gaps += skipped.count
        misbehaved(sent: latest, now: now)
        wakeNoLater(than: now + min(Self.shortestGap, longestPatience))
    }

    /// A request that shared the wire with others went wrong. It may be because of that.
    mutating func misbehaved(sent: NIODeadline, now: NIODeadline) {
        adaptive?.event(.misbehaved(sent: sent), now: now)
    }

    /// Makes reads again that must be taken for lost, and ends a write whose answer is overdue while others come.
    mutating func remake(_ now: NIODeadline) {
        guard let session else { return }
        var again: [Attempt] = []
        for exchange in session.exchanges {
            guard let due = remakeTime(of: exchange), due <= now else { continue }
            self.session?.giveUp(exchange.transaction, isSkipped: !exchange.request.isWrite, now: now)
            misbehaved(sent: exchange.sent, now: now)
            if exchange.request.isWrite {
                statistics.timeouts += 1
                for attempt in exchange.attempts { fail(attempt, .unknownOutcome(.replyTimedOut)) }
            } else {
                again += exchange.attempts.map { attempt in
                    var attempt = attempt
                    attempt.remakes += 1
                    return attempt
                }
            }
        }
        statistics.remade += again.count
        reportRepetition(again, .skipped)
        repeatFirst(again)
    }

    /// When `exchange` must be taken for lost; nil when only its caller's deadline or the peer's silence ends it.
    ///
    /// The time of a request runs from when it is the oldest: a device that serves one after the other cannot be
    /// expected to begin with it earlier. It doubles every time the request is made again: a device that has only
    /// become slow serves every copy, and would fall behind further with each.
    func remakeTime(of exchange: Exchange) -> NIODeadline? {
        // A client that is closing sends nothing more and waits no longer than its drain timeout.
        guard drainDeadline == nil else { return nil }
        let oldestSince = exchange.transaction == session?.exchanges.first?.transaction ? session?.oldestSince : nil
        if !exchange.request.isWrite, !limits.repeatsRequests { return nil }
        if exchange.request.isWrite { return oldestSince.map { $0 + limits.progressTimeout } }
        if let skipped = exchange.skipped { return skipped + patience(gapPatience(exchange.unit), exchange) }
        guard let oldestSince, let sharedSince = exchange.sharedSince else { return nil }
        return max(oldestSince, sharedSince) + patience(suspicion(exchange.unit), exchange)
    }

    private func patience(_ first: TimeAmount, _ exchange: Exchange) -> TimeAmount {
        min(.nanoseconds(first.nanoseconds << min(exchange.remakes, 16)), longestPatience)
    }

    /// Requests to be sent again before all others, except the write whose turn it is.
    mutating func repeatFirst(_ attempts: [Attempt]) {
        let hasWrite = ready.first.map { $0.job == activeWrite } ?? false
        ready.insert(contentsOf: attempts, at: hasWrite ? 1 : 0)
    }

    private func gapPatience(_ unit: UnitID) -> TimeAmount {
        min(max(roundTrips[unit] ?? .zero, Self.shortestGap), longestPatience)
    }

    private func suspicion(_ unit: UnitID) -> TimeAmount {
        guard let roundTrip = roundTrips[unit] else { return longestPatience }
        return min(
            max(.nanoseconds(min(roundTrip, longestPatience).nanoseconds * 2), Self.shortestSuspicion), longestPatience)
    }

    /// A suspicion must come before the connection is given up, or it would be of no use.
    private var longestPatience: TimeAmount {
        .nanoseconds(limits.progressTimeout.nanoseconds / 2)
    }
}
