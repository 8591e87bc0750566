import NIOCore
import Synchronization

extension ModbusServer {
    /// What the device has done and is doing; nil when the server has no behaviour of its own.
    public func deviceStatistics() async -> DeviceStatistics? {
        guard let impaired else { return nil }
        // The closure throws nothing, and event loops outlive the server.
        return try? await impaired.eventLoop.submit { impaired.value.statistics }.get()
    }

    /// Lets something happen to every connection, or to the device, now; returns when it has happened. Not counted as a
    /// bite of any rule. Does nothing when the server has no behaviour of its own.
    public func strike(_ fault: ConnectionFault) async {
        guard let impaired else { return }
        try? await impaired.eventLoop.submit { impaired.value.strike(fault) }.get()
    }

    /// Opens or closes the listener while the device restarts.
    func setListening(_ isListening: Bool, _ security: ServerSecurity) {
        if isListening { reopen(security) } else { closeForReboot() }
    }

    private func closeForReboot() {
        guard let listener = lifecycle.withLock({ $0.reboot() }) else { return }
        rebootPort.store(listener.localAddress?.port ?? configuration.port, ordering: .relaxed)
        for channel in registry.end() { ConnectionEnd.close(channel, reset: true) }
        listener.close(promise: nil)
    }

    private func reopen(_ security: ServerSecurity, again reboot: Int? = nil) {
        guard lifecycle.withLock({ $0.reopen(again: reboot) }) else { return }
        registry.begin()
        bind(port: rebootPort.load(ordering: .relaxed), security).whenComplete { result in
            switch result {
            case .success(let listener):
                if case .close = self.lifecycle.withLock({ $0.bound(listener) }) { self.close(listener) }
            case .failure:
                // Somebody else may have taken the port meanwhile, or the old listener is not quite gone.
                switch self.lifecycle.withLock({ $0.rebindFailed() }) {
                case .retry(let reboot):
                    _ = self.eventLoop.scheduleTask(in: .milliseconds(100)) { [weak self] in
                        self?.reopen(security, again: reboot)
                    }
                case .resume(let waiters):
                    for waiter in waiters { waiter.resume() }
                }
            }
        }
    }
}
