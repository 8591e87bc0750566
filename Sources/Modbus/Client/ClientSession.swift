import NIOCore

/// What belongs to one TCP connection and ends with it.
struct ClientSession: Sendable {
    var decoder = FrameDecoder()
    /// A request that ended before its answer came.
    struct Tombstone: Sendable {
        /// Those of its attempts whose calls have not ended are being made again.
        let exchange: Exchange
        /// An answer that has not come by then is lost.
        let expires: NIODeadline
        /// Whether the device is believed to have lost the request, so that no answer is on its way.
        let isSkipped: Bool

        var transaction: UInt16 { exchange.transaction }
    }

    /// The shortest time for which an answer counts as late and not as lost.
    static let shortestMemory = TimeAmount.seconds(10)
    /// The longest, for a caller that would have waited for ever.
    static let longestMemory = TimeAmount.hours(1)
    /// The most skipped requests that are remembered. The oldest is forgotten first; its transaction is not used
    /// again before tens of thousands of others.
    static let skippedLimit = 64

    /// Requests whose answers are waited for, oldest first; never more than the window.
    private(set) var exchanges: [Exchange] = []
    /// Requests that ended before their answer came. Such an answer is recognised and dropped, and its transaction
    /// is not used again while it may still come.
    private(set) var tombstones: [Tombstone] = []
    /// Since when the peer owes an answer without having sent a complete frame; nil while it owes none.
    private(set) var silentSince: NIODeadline?
    /// Since when the oldest exchange has been the oldest; nil while there is none.
    private(set) var oldestSince: NIODeadline?
    /// Whether a valid reply has come.
    var isProductive = false
    /// Whether an answer was given up by ``forgetLost(_:)``.
    private var hasLost = false
    private var nextTransaction: UInt16
    /// When the request in flight was sent, if no other answer has been owed since.
    private var loneSince: NIODeadline?
    /// How long the latest answer took; nil when its request was not alone on the connection all the time.
    private(set) var loneRoundTrip: Duration?

    init(firstTransaction: UInt16) {
        nextTransaction = firstTransaction
    }

    /// A transaction that is neither in flight nor still owed. There are 65536 and at most 1104 are taken.
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
            sent: now, patience: deadline - now, sharedSince: exchanges.isEmpty ? nil : now)
        for index in exchanges.indices where !exchanges[index].sharesWire { exchanges[index].sharedSince = now }
        if exchanges.isEmpty { oldestSince = now }
        loneSince = exchanges.isEmpty && tombstones.isEmpty ? now : nil
        exchanges.append(exchange)
        if silentSince == nil { silentSince = now }
        return exchange
    }

    /// Takes the exchange that `transaction` belongs to.
    mutating func answered(_ transaction: UInt16, now: NIODeadline) -> Exchange? {
        guard let index = exchanges.firstIndex(where: { $0.transaction == transaction }) else { return nil }
        let exchange = exchanges.remove(at: index)
        if index == 0 { oldestSince = exchanges.isEmpty ? nil : now }
        loneRoundTrip = loneSince.map { .nanoseconds((now - $0).nanoseconds) }
        loneSince = nil
        progressed(now)
        return exchange
    }

    /// Marks the exchanges of the same unit that were sent before the one of `transaction`.
    ///
    /// - Returns: when each that was not marked before was sent.
    mutating func skip(before transaction: UInt16, now: NIODeadline) -> [NIODeadline] {
        guard let answered = exchanges.firstIndex(where: { $0.transaction == transaction }), answered > 0 else {
            return []
        }
        var sent: [NIODeadline] = []
        for index in 0..<answered
        where exchanges[index].skipped == nil && exchanges[index].unit == exchanges[answered].unit {
            exchanges[index].skipped = now
            sent.append(exchanges[index].sent)
        }
        return sent
    }

    /// Takes the tombstone that `transaction` belongs to; nil when there is none.
    mutating func answeredLate(_ transaction: UInt16, now: NIODeadline) -> Tombstone? {
        guard let index = tombstones.firstIndex(where: { $0.transaction == transaction }) else { return nil }
        loneRoundTrip = nil
        progressed(now)
        return tombstones.remove(at: index)
    }

    /// Takes the attempts of jobs that ended off the wire. An exchange that nobody waits for any more becomes a
    /// tombstone: its answer may be late by three times what its caller was ready to wait, within
    /// ``shortestMemory`` and ``longestMemory``.
    ///
    /// - Returns: the attempts in the order in which they were sent, each with its exchange.
    mutating func bury(_ isEnded: (JobID) -> Bool, now: NIODeadline) -> [(Attempt, Exchange)] {
        var ended: [(Attempt, Exchange)] = []
        for index in exchanges.indices {
            for attempt in exchanges[index].attempts where isEnded(attempt.job) {
                ended.append((attempt, exchanges[index]))
            }
        }
        withdraw({ isEnded($0.job) }, now: now)
        return ended
    }

    /// Takes attempts off the wire. An exchange that nobody waits for any more becomes a tombstone.
    mutating func withdraw(_ isOver: (Attempt) -> Bool, now: NIODeadline) {
        for index in exchanges.indices { exchanges[index].attempts.removeAll(where: isOver) }
        for exchange in exchanges where exchange.attempts.isEmpty {
            giveUp(exchange.transaction, isSkipped: false, now: now)
        }
    }

    /// Turns the exchange of `transaction` into a tombstone.
    mutating func giveUp(_ transaction: UInt16, isSkipped: Bool, now: NIODeadline) {
        guard let index = exchanges.firstIndex(where: { $0.transaction == transaction }) else { return }
        let exchange = exchanges.remove(at: index)
        if index == 0 { oldestSince = exchanges.isEmpty ? nil : now }
        let memory = min(exchange.patience, Self.longestMemory).nanoseconds * 3
        let bounded = min(max(.nanoseconds(memory), Self.shortestMemory), Self.longestMemory)
        tombstones.append(
            Tombstone(exchange: exchange, expires: now + bounded, isSkipped: isSkipped))
        if isSkipped, tombstones.count(where: \.isSkipped) > Self.skippedLimit,
            let oldest = tombstones.firstIndex(where: \.isSkipped)
        {
            tombstones.remove(at: oldest)
            hasLost = true
        }
    }

    /// How many answers may still be on their way to nobody.
    var lateReplies: Int {
        tombstones.count { !$0.isSkipped }
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
