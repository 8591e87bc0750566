import ALDCore
import Testing

@testable import ALDTestKit

@Suite("A long line") struct PacketLineTests {
    private static let start = MonotonicInstant(nanoseconds: 0)

    /// An IPv4 packet from 10.0.0.1 to 10.0.0.2 with one byte of payload.
    private static func packet(_ payload: UInt8) -> [UInt8] {
        [0x45, 0, 0, 21, 0, 0, 0, 0, 64, 6, 0x66, 0xD1, 10, 0, 0, 1, 10, 0, 0, 2, payload]
    }

    /// As RFC 1071 has it: the sum of a header with a right checksum.
    private static func sum(_ header: some Sequence<UInt8>) -> UInt32 {
        let bytes = Array(header)
        var sum: UInt32 = 0
        for place in stride(from: 0, to: bytes.count, by: 2) {
            sum += UInt32(bytes[place]) << 8 | UInt32(bytes[place + 1])
        }
        return (sum & 0xFFFF) + (sum >> 16)
    }

    @Test("a packet comes back from whom it was sent to, with the checksum that it had")
    func returned() throws {
        let returned = try #require(PacketLine.returned(Self.packet(7)))
        #expect(returned[12..<20] == [10, 0, 0, 2, 10, 0, 0, 1] && returned.last == 7)
        #expect(Self.sum(returned.prefix(20)) == Self.sum(Self.packet(7).prefix(20)))
        #expect(PacketLine.returned([0x60] + Self.packet(7).dropFirst()) == nil, "IPv6")
        #expect(PacketLine.returned(Array(Self.packet(7).prefix(19))) == nil, "cut short")
    }

    @Test("each packet waits for the delay, and not longer")
    func delay() {
        var line = PacketLine(delay: .milliseconds(40), jitter: .zero, seed: 1)
        let isTaken = line.received(Self.packet(1), now: Self.start)
        #expect(isTaken && line.nextDue == Self.start + .milliseconds(40))
        let early = line.next(now: Self.start + .microseconds(39_999))
        let due = line.next(now: Self.start + .milliseconds(40))
        #expect(early == nil && due?.last == 1 && line.nextDue == nil)
    }

    @Test("jitter stays within its bounds, differs from packet to packet and leaves the order as it is")
    func jitter() throws {
        var line = PacketLine(delay: .milliseconds(50), jitter: .milliseconds(20), seed: TestSeed.draw())
        var waits: Set<Duration> = []
        for number in 0..<UInt8(200) {
            // So far apart that none waits for another.
            let now = Self.start + .milliseconds(100 * Int(number))
            _ = line.received(Self.packet(number), now: now)
            let due = try #require(line.nextDue)
            waits.insert(due - now)
            let packet = line.next(now: due)
            #expect(packet?.last == number)
        }
        #expect(waits.allSatisfy { $0 >= .milliseconds(30) && $0 <= .milliseconds(70) } && waits.count > 100)
        for number in 0..<UInt8(200) { _ = line.received(Self.packet(number), now: Self.start + .seconds(60)) }
        var order: [UInt8] = []
        while let packet = line.next(now: Self.start + .seconds(61)) { order.append(packet.last ?? 0) }
        #expect(order == Array(0..<200))
    }
}
