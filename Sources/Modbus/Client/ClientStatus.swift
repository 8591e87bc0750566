import Synchronization

/// What the client's driver shares with every other thread.
final class ClientStatus: Sendable {
    private struct Shared {
        var state = ConnectionState.down(reason: ModbusError(.notConnected))
        var statistics = ClientStatistics()
    }

    private let shared = Mutex(Shared())
    private let lastCall = Atomic<UInt64>(0)
    private let closed = Atomic<Bool>(false)
    private let observer: (@Sendable (ConnectionState) -> Void)?

    init(observer: (@Sendable (ConnectionState) -> Void)?) {
        self.observer = observer
    }

    var state: ConnectionState {
        shared.withLock { $0.state }
    }

    var statistics: ClientStatistics {
        shared.withLock { $0.statistics }
    }

    /// Whether the client was closed, so that nothing is left to take down.
    var isClosed: Bool {
        closed.load(ordering: .acquiring)
    }

    func markClosed() {
        closed.store(true, ordering: .releasing)
    }

    func publish(_ statistics: ClientStatistics) {
        shared.withLock { $0.statistics = statistics }
    }

    func publish(_ state: ConnectionState) {
        shared.withLock { $0.state = state }
        observer?(state)
    }

    /// A call with a name no other call of this client has.
    func makeCall() -> ClientCall {
        ClientCall(id: JobID(rawValue: lastCall.wrappingAdd(1, ordering: .relaxed).newValue))
    }
}

/// One call on its way from the caller's task to the event loop.
///
/// 1. The task registers its cancellation handler, then sends `submit` to the loop.
/// 2. Cancelled before step 1, the handler's `cancel` reaches the loop first and finds nothing to cancel.
/// 3. So the handler leaves a mark here before it sends `cancel`, and `submit` looks at it.
final class ClientCall: Sendable {
    let id: JobID
    private let cancelled = Atomic<Bool>(false)

    init(id: JobID) {
        self.id = id
    }

    var isCancelled: Bool {
        cancelled.load(ordering: .acquiring)
    }

    func markCancelled() {
        cancelled.store(true, ordering: .releasing)
    }
}
