import Foundation

/// A listening socket of the operating system on 127.0.0.1, for peers that must not depend on an event loop. Whoever
/// makes it closes its descriptor.
public struct ListeningSocket: Sendable {
    public let descriptor: Int32
    /// Chosen by the system.
    public let port: Int

    /// - Parameter accepts: with false nobody listens: the port is taken, and every connection to it is refused.
    /// - Throws: ``NeverHappened`` with the operating system's reason.
    public init(accepts: Bool = true) throws {
        #if os(Linux)
            let stream = Int32(SOCK_STREAM.rawValue)
        #else
            let stream = SOCK_STREAM
        #endif
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
        guard result else {
            let reason = String(cString: strerror(errno))
            Foundation.close(descriptor)
            throw NeverHappened(description: "no listener: \(reason)")
        }
        self.descriptor = descriptor
        port = Int(UInt16(bigEndian: address.sin_port))
    }
}
