import Foundation

/// A peer that accepts connections and never says a word: the kernel completes the handshake, nobody reads.
public final class SilentListener: Sendable {
    /// On 127.0.0.1.
    public let port: Int
    private let descriptor: Int32

    /// - Parameter accepts: with false nobody listens: the port is taken, and every connection to it is refused.
    public init(accepts: Bool = true) throws {
        let stream = Int32(SOCK_STREAM.rawValue)
        let descriptor = socket(AF_INET, stream, 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                bind(descriptor, generic, length) == 0 && (!accepts || listen(descriptor, 16) == 0)
                    && getsockname(descriptor, generic, &length) == 0
            }
        }
        guard result else { throw NeverHappened(description: "no listener: \(String(cString: strerror(errno)))") }
        self.descriptor = descriptor
        port = Int(UInt16(bigEndian: address.sin_port))
    }

    /// Whether a peer has connected.
    public var hasConnection: Bool {
        var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&waiting, 1, 0) > 0
    }

    /// Stops listening; connections that were never accepted are reset.
    public func close() {
        Foundation.close(descriptor)
    }
}
