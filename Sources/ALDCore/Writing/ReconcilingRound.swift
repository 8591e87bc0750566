/// Where the comparison of what is retained with the ledger stands: once around, from where it began to the end of the
/// spool and on from the start, so that a page that fails again and again costs what it has of time and nothing else.
///
/// The end is where it was when the round began. What is accepted later is confirmed over a connection that is there by
/// then, or over a new one; when one comes or goes, there is another round. Who went on to the end of a spool that grows
/// as fast as it is compared would never be there, and no file could be given up.
struct ReconcilingRound: Hashable, Sendable {
    /// The next page begins behind this place.
    private(set) var after: SpoolPosition
    /// What lies up to here comes last.
    private var began: SpoolPosition
    private var isAround = false
    /// `nil` before its first page.
    private var end: SpoolPosition?

    init(after: SpoolPosition = .start) {
        self.after = after
        began = after
    }

    /// - Parameter last: behind it nothing is stored when the round's first page is asked for.
    func asked(storedUpTo last: SpoolPosition) -> ReconcilingRound {
        var round = self
        round.end = end ?? last
        return round
    }

    /// A page was compared.
    ///
    /// - Parameter position: how far it reached; `nil`: to the end of the spool.
    /// - Returns: the rest of the round; `nil` when that was all.
    func compared(through position: SpoolPosition?) -> ReconcilingRound? {
        var rest = self
        var next = position
        if let position, let end, position >= end { next = nil }
        if isAround {
            guard let next, next < began else { return nil }
            rest.after = next
        } else if let next {
            rest.after = next
        } else {
            guard began > .start else { return nil }
            (rest.after, rest.isAround) = (.start, true)
        }
        return rest
    }

    /// What was compared counts no more; it goes on from here all the same.
    var again: ReconcilingRound { ReconcilingRound(after: after) }
}

/// How many batches one question to the ledger is about: fewer when there is never an answer, to the end of the round. One
/// that grew meanwhile would fail again, and every failure may mean another server and so another round.
///
/// A single failure says little. Where a server is killed or a connection cut now and then, questions would soon be about
/// one batch each, and a round would take hours.
struct ReconcilingPage: Hashable, Sendable {
    static let most: Int64 = 1000
    /// So many connections that end under a question in a row are due to it; so are two questions that take all their time.
    static let patience = 8
    private(set) var size = most
    private var failures = 0

    /// - Parameters:
    ///   - isTooMuch: the database has said so.
    ///   - isLate: the answer did not come in time; otherwise the connection ended before.
    mutating func failed(isTooMuch: Bool, isLate: Bool) {
        failures += isTooMuch ? Self.patience : isLate ? Self.patience / 2 : 1
        guard failures >= Self.patience else { return }
        (size, failures) = (max(1, size / 4), 0)
    }

    mutating func answered() { failures = 0 }
}
