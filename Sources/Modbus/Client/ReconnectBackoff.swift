import NIOCore

/// How long to wait before the next connection attempt: doubling from a first wait to a cap, varied by ±20 %.
///
/// Only a valid reply starts it over. A device at its connection limit accepts and closes at once; were the wait
/// reset on connect, such a device would be dialled in a tight loop.
struct ReconnectBackoff: Sendable {
    private let first: TimeAmount
    private let cap: TimeAmount
    /// Attempts and connections in a row that brought no valid reply.
    private(set) var failures = 0

    init(first: TimeAmount, cap: TimeAmount) {
        self.first = first
        self.cap = cap
    }

    /// A valid reply came.
    mutating func succeeded() {
        failures = 0
    }

    /// An attempt failed, or a connection ended without a valid reply.
    ///
    /// - Returns: how long to wait before the next attempt.
    mutating func failed(using random: inout SeededGenerator) -> TimeAmount {
        failures += 1
        // 2^40 first waits exceed every cap that can be configured, so the shift is bounded there.
        let factor = Int64(1) << Int64(min(failures - 1, 40))
        let (doubled, overflow) = first.nanoseconds.multipliedReportingOverflow(by: factor)
        let wait = overflow ? cap.nanoseconds : min(doubled, cap.nanoseconds)
        let varied = Int64(Double(wait) * Double.random(in: 0.8...1.2, using: &random))
        return .nanoseconds(min(varied, cap.nanoseconds))
    }
}
