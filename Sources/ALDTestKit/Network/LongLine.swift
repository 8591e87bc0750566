import ALDCore
import Foundation
import Synchronization

/// A long line in a ``NetworkNamespace`` that is at both of its ends: who connects to ``farEnd`` reaches what listens at
/// ``nearEnd``, and every packet, those of a handshake too, takes its time each way. It needs no netem: packets come out
/// of a TUN device, wait here, and go in again with their addresses exchanged.
public final class LongLine: Sendable {
    /// Whom to connect to. Both are of a block that is reserved for examples (RFC 5737).
    public static let farEnd = "198.51.100.2"
    /// Where to listen.
    public static let nearEnd = "198.51.100.1"

    private struct Control: Sendable {
        var isEnding = false
        var packets = 0
    }

    private let device: Int32
    private let bell: (read: Int32, write: Int32)
    private let control = Mutex(Control())
    private let ended = DispatchSemaphore(value: 0)
    private let time = SystemTime()

    /// How many packets have been held back so far.
    public var bites: Int { control.withLock(\.packets) }

    /// Runs `body` while there is such a line. It is gone afterwards, and with it what was under way.
    ///
    /// - Parameters:
    ///   - delay: of each packet, one way: a question and its answer take twice as long.
    ///   - jitter: gives or takes up to so much, by chance; the order stays.
    /// - Throws: ``Unavailable`` where the kernel has no TUN devices, and what `body` throws.
    public static func run<Result>(
        in namespace: NetworkNamespace, delay: Duration, jitter: Duration = .zero, seed: UInt64 = 1,
        _ body: (LongLine) async throws -> Result
    ) async throws -> Result {
        let name = "ald-line"
        let device = try await namespace.inside { try open(name) }
        let line: LongLine
        do {
            try await namespace.execute(["ip", "address", "add", nearEnd + "/30", "dev", name])
            try await namespace.execute(["ip", "link", "set", name, "up"])
            line = try LongLine(device: device)
        } catch {
            close(device)
            throw error
        }
        let packets = PacketLine(delay: delay, jitter: jitter, seed: seed)
        let thread = Thread { line.carry(packets) }
        thread.name = "ald.line"
        thread.start()
        defer { line.end() }
        return try await body(line)
    }

    private init(device: Int32) throws {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw NeverHappened(description: "no pipe: \(String(cString: strerror(errno)))") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        (self.device, bell) = (device, (ends[0], ends[1]))
    }

    /// A device that is gone when it is closed.
    private static func open(_ name: String) throws -> Int32 {
        #if os(Linux)
            let device = Foundation.open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC)
            // What <linux/if.h> calls an `ifreq`: 16 bytes of name, then flags, 40 bytes in all.
            var request = [UInt8](repeating: 0, count: 40)
            request.replaceSubrange(0..<name.utf8.count, with: name.utf8)
            let withoutHeader: UInt16 = 0x1001  // IFF_TUN | IFF_NO_PI
            withUnsafeBytes(of: withoutHeader) { request.replaceSubrange(16..<18, with: $0) }
            let setInterface: UInt = 0x4004_54CA  // TUNSETIFF
            if device >= 0, ioctl(device, setInterface, &request) == 0 { return device }
            let problem = String(cString: strerror(errno))
            if device >= 0 { close(device) }
            throw Unavailable(.kernel, "no TUN device: \(problem)", remedy: "use a kernel with them")
        #else
            throw Unavailable(.kernel, "no TUN devices here", remedy: "use Linux")
        #endif
    }

    /// The thread of the line.
    private func carry(_ packets: PacketLine) {
        var packets = packets
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while !control.withLock(\.isEnding) {
            while let packet = packets.next(now: time.now) { _ = write(device, packet, packet.count) }
            let wait = packets.nextDue.map { max(0, Int(($0 - time.now).inMilliseconds.rounded(.up))) } ?? -1
            var descriptors = [device, bell.read].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            _ = poll(&descriptors, nfds_t(descriptors.count), Int32(clamping: wait))
            while case let length = read(device, &buffer, buffer.count), length > 0 {
                if packets.received(Array(buffer[..<length]), now: time.now) { control.withLock { $0.packets += 1 } }
            }
        }
        ended.signal()
    }

    private func end() {
        control.withLock { $0.isEnding = true }
        _ = write(bell.write, [1], 1)
        ended.wait()
        for descriptor in [device, bell.read, bell.write] { close(descriptor) }
    }
}
