import Foundation

/// A peer that accepts connections and never says a word: the kernel completes the handshake, nobody reads.
public final class SilentListener: Sendable {
    private let listener: ListeningSocket

    /// On 127.0.0.1.
    public var port: Int { listener.port }

    /// - Parameter accepts: with false nobody listens: the port is taken, and every connection to it is refused.
    public init(accepts: Bool = true) throws {
        listener = try ListeningSocket(accepts: accepts)
    }

    /// Whether a peer has connected.
    public var hasConnection: Bool {
        var waiting = pollfd(fd: listener.descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&waiting, 1, 0) > 0
    }

    /// Stops listening; connections that were never accepted are reset.
    public func close() {
        Foundation.close(listener.descriptor)
    }
}
