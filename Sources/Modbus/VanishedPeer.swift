import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// How the operating system notices a peer that vanished without a word, on both sides of a connection.
///
/// Keep-alive probes after 10 s of silence, at most three of them, 5 s apart; and no waiting beyond a limit for the
/// acknowledgement of what was sent.
enum VanishedPeer {
    /// Silence, three probes and a wait after each: the limit for a side that has none of its own.
    static let sendTimeout = TimeAmount.seconds(25)

    /// The socket options of one connection.
    ///
    /// - Parameter sendTimeout: how long what was sent may stay unacknowledged. Only Linux lets it be set.
    static func options(
        sendTimeout: TimeAmount = sendTimeout
    ) -> [(ChannelOptions.Types.SocketOption, SocketOptionValue)] {
        let keepAlive: (ChannelOptions.Types.SocketOption, SocketOptionValue) = (.socketOption(.so_keepalive), 1)
        #if os(Linux)
            let milliseconds = sendTimeout.nanoseconds / 1_000_000
            return [
                keepAlive,
                (.tcpOption(NIOBSDSocket.Option(rawValue: TCP_KEEPIDLE)), 10),
                (.tcpOption(NIOBSDSocket.Option(rawValue: TCP_KEEPINTVL)), 5),
                (.tcpOption(NIOBSDSocket.Option(rawValue: TCP_KEEPCNT)), 3),
                (
                    .tcpOption(NIOBSDSocket.Option(rawValue: TCP_USER_TIMEOUT)),
                    SocketOptionValue(clamping: milliseconds)
                ),
            ]
        #else
            return [keepAlive]
        #endif
    }
}
