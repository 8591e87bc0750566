import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// How a server's connections are set up and taken down.
enum ServerChannel {
    /// Puts the handlers into a connection that was just accepted. Runs on the connection's event loop.
    static func configure(
        _ channel: any Channel, device: any ModbusDevice, registry: ServerRegistry, idleTimeout: Duration?
    ) throws {
        guard registry.admit(channel) else {
            channel.close(promise: nil)
            return
        }
        let pipeline = channel.pipeline.syncOperations
        if let idleTimeout {
            try pipeline.addHandler(IdleStateHandler(readTimeout: TimeAmount(idleTimeout)))
        }
        try pipeline.addHandler(ServerChannelHandler(device: device, registry: registry))
    }

    /// Closes a channel and waits until it is closed.
    static func close(_ channel: any Channel) async {
        channel.close(promise: nil)
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            channel.closeFuture.whenComplete { _ in continuation.resume() }
        }
    }

    /// What the operating system's refusal to bind means.
    static func bindFailure(_ error: any Error) -> ModbusServerError.Code {
        switch (error as? IOError)?.errnoCode {
        case EADDRINUSE: .addressInUse
        case EACCES, EPERM: .permissionDenied
        default: .bindFailed(reason: "\(error)")
        }
    }
}
