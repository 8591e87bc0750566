import ALDCore

/// Packets between coming out of a line and going into it again. A value without I/O.
struct PacketLine: Sendable {
    private let delay: Duration
    private let jitter: Duration
    private var random: SeededGenerator
    private var packets: [(due: MonotonicInstant, bytes: [UInt8])] = []
    private var lastDue: MonotonicInstant?

    init(delay: Duration, jitter: Duration, seed: UInt64) {
        (self.delay, self.jitter, random) = (delay, jitter, SeededGenerator(seed: seed))
    }

    /// When the first packet has waited for long enough.
    var nextDue: MonotonicInstant? { packets.first?.due }

    /// - Returns: whether the packet was taken. Those of IPv6, with which a device looks for routers, are not.
    mutating func received(_ packet: [UInt8], now: MonotonicInstant) -> Bool {
        guard let returned = Self.returned(packet) else { return false }
        let wait = max(.zero, delay + jitter * Double.random(in: -1...1, using: &random))
        // One line does not change the order.
        let due = max(lastDue ?? now, now + wait)
        packets.append((due, returned))
        lastDue = due
        return true
    }

    mutating func next(now: MonotonicInstant) -> [UInt8]? {
        guard let first = packets.first, first.due <= now else { return nil }
        packets.removeFirst()
        return first.bytes
    }

    /// The packet with its addresses exchanged, as if the other end had sent it. No checksum changes: that of IPv4, and
    /// those of TCP and UDP over it, are sums in which both addresses occur (RFC 791, 9293, 768).
    static func returned(_ packet: [UInt8]) -> [UInt8]? {
        guard packet.count >= 20, packet[0] >> 4 == 4 else { return nil }
        let (sender, receiver) = (packet[12..<16], packet[16..<20])
        var returned = packet
        returned.replaceSubrange(12..<16, with: receiver)
        returned.replaceSubrange(16..<20, with: sender)
        return returned
    }
}
