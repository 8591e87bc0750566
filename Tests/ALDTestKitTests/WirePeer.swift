import ALDTestKit
import Foundation

/// One end of a TCP connection, which never waits: a test asks it until something has come.
final class WirePeer: Sendable {
    enum End: Hashable, Sendable {
        case closed
        case reset
        /// By this machine's own system.
        case aborted
    }

    private let descriptor: Int32
    /// It was reset before whoever connected had heard that it is connected.
    private let isReset: Bool

    private init(_ descriptor: Int32, isReset: Bool = false) {
        (self.descriptor, self.isReset) = (descriptor, isReset)
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    }

    deinit { Foundation.close(descriptor) }

    /// To a port of this machine.
    static func connect(to port: Int) throws -> WirePeer {
        #if os(Linux)
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        #else
            let descriptor = socket(AF_INET, SOCK_STREAM, 0)
        #endif
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Foundation.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        let isReset = result != 0 && errno == ECONNRESET
        let peer = WirePeer(descriptor, isReset: isReset)
        guard result == 0 || isReset else {
            throw NeverHappened(description: "no connection: \(String(cString: strerror(errno)))")
        }
        return peer
    }

    /// Waits for the next connection to this listener, whose descriptor does not block.
    static func accept(_ listener: ListeningSocket) async throws -> WirePeer {
        var descriptor: Int32 = -1
        try await eventually("somebody connects") {
            descriptor = Foundation.accept(listener.descriptor, nil, nil)
            return descriptor >= 0
        }
        return WirePeer(descriptor)
    }

    func send(_ text: String) throws {
        let bytes = Array(text.utf8)
        #if os(Linux)
            let flags = Int32(MSG_NOSIGNAL)
        #else
            let flags = Int32(0)
        #endif
        guard Foundation.send(descriptor, bytes, bytes.count, flags) == bytes.count else {
            throw NeverHappened(description: "not sent: \(String(cString: strerror(errno)))")
        }
    }

    /// Sends no more; hears what comes.
    func finish() { _ = shutdown(descriptor, Int32(SHUT_WR)) }

    /// Nothing is heard any more: whoever sends is told so.
    func refuseMore() { _ = shutdown(descriptor, Int32(SHUT_RDWR)) }

    /// Waits for so many bytes.
    func receive(_ count: Int) async throws -> String {
        String(decoding: try await receiveBytes(count), as: UTF8.self)
    }

    /// Waits for so many bytes.
    func receiveBytes(_ count: Int) async throws -> [UInt8] {
        var received: [UInt8] = []
        try await eventually("\(count) bytes come") {
            var buffer = [UInt8](repeating: 0, count: count - received.count)
            let read = recv(descriptor, &buffer, buffer.count, 0)
            if read > 0 { received += buffer.prefix(read) }
            return received.count == count
        }
        return received
    }

    /// Whether nothing is to be read: neither bytes nor an end.
    var isQuiet: Bool {
        var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&waiting, 1, 0) == 0
    }

    /// Waits for the end of the connection.
    ///
    /// - Throws: ``NeverHappened`` when bytes come first.
    func end() async throws -> End {
        var end = isReset ? End.reset : nil
        var unexpected = 0
        try await eventually("the connection ends") {
            if end != nil { return true }
            var byte: UInt8 = 0
            let read = recv(descriptor, &byte, 1, 0)
            if read > 0 { unexpected += 1 }
            if read == 0 { end = .closed }
            if read < 0, errno == ECONNRESET { end = .reset }
            if read < 0, errno == ECONNABORTED { end = .aborted }
            return end != nil || unexpected > 0
        }
        guard unexpected == 0, let end else { throw NeverHappened(description: "bytes came before the end") }
        return end
    }
}
