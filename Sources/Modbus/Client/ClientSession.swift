import NIOCore

/// What belongs to one TCP connection and ends with it.
struct ClientSession: Sendable {
    var decoder = FrameDecoder()
    /// Requests whose answers are waited for, oldest first; never more than the window.
    private(set) var exchanges: [Exchange] = []
    /// Transactions of requests that ended before their answer came. Such an answer is recognised and dropped, and
    /// its transaction is not used again while it may still come.
    private(set) var tombstones: [UInt16] = []
    /// Since when the peer owes an answer without having sent a complete frame; nil while it owes none.
    private(set) var silentSince: NIODeadline?
    /// Whether a valid reply has come.
    var isProductive = false
    private var nextTransaction: UInt16

    init(firstTransaction: UInt16) {
        nextTransaction = firstTransaction
    }

    /// A transaction that is neither in flight nor still owed. There are 65536 and at most 1040 are taken.
    private mutating func freshTransaction() -> UInt16 {
        while exchanges.contains(where: { $0.transaction == nextTransaction })
            || tombstones.contains(nextTransaction)
        {
            nextTransaction &+= 1
        }
        defer { nextTransaction &+= 1 }
        return nextTransaction
    }

    mutating func open(_ request: ModbusRequest, unit: UnitID, attempt: Attempt, now: NIODeadline) -> Exchange {
        let exchange = Exchange(transaction: freshTransaction(), unit: unit, request: request, attempt: attempt)
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
        guard let index = tombstones.firstIndex(of: transaction) else { return false }
        tombstones.remove(at: index)
        progressed(now)
        return true
    }

    /// Turns the exchanges of jobs that ended into tombstones.
    ///
    /// - Returns: the exchanges.
    mutating func bury(_ isEnded: (JobID) -> Bool) -> [Exchange] {
        let ended = exchanges.filter { isEnded($0.attempt.job) }
        guard !ended.isEmpty else { return [] }
        exchanges.removeAll { isEnded($0.attempt.job) }
        tombstones += ended.map(\.transaction)
        return ended
    }

    /// Requests that time out do not end the silence, or a dead peer would be asked for ever.
    private mutating func progressed(_ now: NIODeadline) {
        silentSince = exchanges.isEmpty ? nil : now
    }
}
