import NIOCore

/// What belongs to one TCP connection and ends with it.
struct ClientSession: Sendable {
    var decoder = FrameDecoder()
    /// A request that ended before its answer came.
    struct Tombstone: Sendable {
        let transaction: UInt16
        /// An answer that has not come by then is lost.
        let expires: NIODeadline
    }

    /// The shortest time for which an answer counts as late and not as lost.
    static let shortestMemory = TimeAmount.seconds(10)
    /// The longest, for a caller that would have waited for ever.
    static let longestMemory = TimeAmount.hours(1)

    /// Requests whose answers are waited for, oldest first; never more than the window.
    private(set) var exchanges: [Exchange] = []
    /// Requests that ended before their answer came. Such an answer is recognised and dropped, and its transaction
    /// is not used again while it may still come.
    private(set) var tombstones: [Tombstone] = []
    /// Since when the peer owes an answer without having sent a complete frame; nil while it owes none.
    private(set) var silentSince: NIODeadline?
    /// Whether a valid reply has come.
    var isProductive = false
    /// Whether an answer was given up by ``forgetLost(_:)``.
    private var hasLost = false
    private var nextTransaction: UInt16

    init(firstTransaction: UInt16) {
        nextTransaction = firstTransaction
    }

    /// A transaction that is neither in flight nor still owed. There are 65536 and at most 1040 are taken.
    private mutating func freshTransaction() -> UInt16 {
        while exchanges.contains(where: { $0.transaction == nextTransaction })
            || tombstones.contains(where: { $0.transaction == nextTransaction })
        {
            nextTransaction &+= 1
        }
        defer { nextTransaction &+= 1 }
        return nextTransaction
    }

    /// Whether something that was sent has no answer.
    var isOwed: Bool {
        !exchanges.isEmpty || !tombstones.isEmpty || hasLost
    }

    /// Puts a request on the wire for all of `attempts`.
    ///
    /// - Parameter deadline: the latest of their calls' deadlines.
    mutating func open(
        _ request: ModbusRequest, unit: UnitID, attempts: [Attempt], deadline: NIODeadline, now: NIODeadline
    ) -> Exchange {
        let exchange = Exchange(
            transaction: freshTransaction(), unit: unit, request: request, attempts: attempts,
            patience: deadline - now)
        exchanges.append(exchange)
        if silentSince == nil { silentSince = now }
        return exchange
    }

    /// Takes the exchange that `transaction` belongs to.
    mutating func answered(_ transaction: UInt16, now: NIODeadline) -> Exchange? {
        guard let index = exchanges.firstIndex(where: { $0.transaction == transaction }) else { return nil }
        let exchange = exchanges.remove(at: index)
        progressed(now)
        return exchange
    }

    /// Takes the tombstone that `transaction` belongs to.
    ///
    /// - Returns: whether there was one.
    mutating func answeredLate(_ transaction: UInt16, now: NIODeadline) -> Bool {
        guard let index = tombstones.firstIndex(where: { $0.transaction == transaction }) else { return false }
        tombstones.remove(at: index)
        progressed(now)
        return true
    }

    /// Takes the attempts of jobs that ended off the wire. An exchange that nobody waits for any more becomes a
    /// tombstone: its answer may be late by three times what its caller was ready to wait, within
    /// ``shortestMemory`` and ``longestMemory``.
    ///
    /// - Returns: the attempts in the order in which they were sent, each with its request.
    mutating func bury(_ isEnded: (JobID) -> Bool, now: NIODeadline) -> [(Attempt, ModbusRequest)] {
        var ended: [(Attempt, ModbusRequest)] = []
        for index in exchanges.indices {
            for attempt in exchanges[index].attempts where isEnded(attempt.job) {
                ended.append((attempt, exchanges[index].request))
            }
            exchanges[index].attempts.removeAll { isEnded($0.job) }
        }
        guard !ended.isEmpty else { return [] }
        for exchange in exchanges where exchange.attempts.isEmpty {
            let memory = min(exchange.patience, Self.longestMemory).nanoseconds * 3
            let bounded = min(max(.nanoseconds(memory), Self.shortestMemory), Self.longestMemory)
            tombstones.append(Tombstone(transaction: exchange.transaction, expires: now + bounded))
        }
        exchanges.removeAll { $0.attempts.isEmpty }
        return ended
    }

    /// Gives up answers that have been owed for so long that they must be lost.
    mutating func forgetLost(_ now: NIODeadline) {
        let owed = tombstones.count
        tombstones.removeAll { $0.expires <= now }
        if tombstones.count < owed { hasLost = true }
    }

    /// Requests that time out do not end the silence, or a dead peer would be asked for ever.
    private mutating func progressed(_ now: NIODeadline) {
        silentSince = exchanges.isEmpty ? nil : now
    }
}
