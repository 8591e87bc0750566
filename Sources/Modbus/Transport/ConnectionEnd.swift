import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// How a connection is taken down, by either side.
enum ConnectionEnd {
    /// Closes a connection. With `reset` the peer gets a reset and nothing that was still to be sent. Call it on the
    /// connection's event loop.
    ///
    /// An ordinary close leaves unacknowledged bytes to the operating system, which goes on sending them:
    ///
    /// 1. A write is sent, the network loses it, its outcome is reported as unknown.
    /// 2. The connection is closed and the next write goes out on a new one and is executed.
    /// 3. The network recovers, the first write is sent again, and executed after the second.
    ///
    /// A reset throws them away. What it cannot take back is what already lies in the device's own buffer: a device
    /// that serves its connections side by side may still execute that after the next write.
    ///
    /// With TLS a reset leaves out the goodbye, which would be sent, and waited for, first.
    static func close(_ channel: any Channel, reset: Bool) {
        if reset, let socket = channel as? any SocketOptionProvider {
            // It only fails on a socket that is closed already, and there is nothing left to throw away then.
            _ = socket.setSoLinger(linger(l_onoff: 1, l_linger: 0))
            TLSGate.closeAtOnce(channel)
        } else {
            channel.close(promise: nil)
        }
    }
}
