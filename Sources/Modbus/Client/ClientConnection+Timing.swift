import NIOCore

extension ClientConnection {
    /// Makes sure that a tick comes at `instant`. An earlier one that has become pointless is not taken back: its
    /// sweep finds nothing and computes the next.
    mutating func wakeNoLater(than instant: NIODeadline) {
        wake = wake.map { min($0, instant) } ?? instant
    }

    /// Ends whatever has had its time.
    mutating func expire(_ now: NIODeadline) {
        if let drainDeadline, drainDeadline <= now {
            abandon(Set(jobs.ids), because: .shuttingDown, now: now)
            return
        }
        let expired = Set(jobs.all.lazy.filter { $0.deadline <= now }.map(\.id))
        if !expired.isEmpty {
            let wasInFlight = session?.exchanges.contains { $0.attempts.contains { expired.contains($0.job) } } ?? false
            statistics.timeouts += expired.reduce(0) { $0 + (jobs[$1]?.unfinished ?? 0) }
            abandon(expired, because: .deadline, now: now)
            if wasInFlight, session?.decoder.hasPartialFrame == true {
                // Whatever comes next could be the rest of that frame or anything else.
                statistics.poisonedStreams += 1
                giveUp("the peer stopped in the middle of a frame", now: now)
            }
        }
        if let since = session?.silentSince, since + limits.progressTimeout <= now {
            statistics.progressTimeouts += 1
            giveUp("the peer sent no answer for \(limits.progressTimeout.nanoseconds / 1_000_000) ms", now: now)
        }
        remake(now)
        limitLateReplies(now)
    }

    /// A device that falls behind further and further only recovers on a fresh connection. Answers that have been
    /// owed for long are lost and not late; they do not count.
    mutating func limitLateReplies(_ now: NIODeadline) {
        session?.forgetLost(now)
        guard let owed = session?.lateReplies, owed > limits.lateReplyLimit else { return }
        statistics.progressTimeouts += 1
        giveUp("the peer owes \(owed) late answers", now: now)
    }

    mutating func recomputeWake() {
        wake = drainDeadline
        for job in jobs.all { wakeNoLater(than: job.deadline) }
        for entry in delayed { wakeNoLater(than: entry.due) }
        if let since = session?.silentSince { wakeNoLater(than: since + limits.progressTimeout) }
        if let session {
            for exchange in session.exchanges {
                if let due = remakeTime(of: exchange) { wakeNoLater(than: due) }
            }
        }
        if case .down(let notBefore) = link, !jobs.isEmpty { wakeNoLater(than: notBefore) }
        if link == .closed { wake = nil }
    }
}
