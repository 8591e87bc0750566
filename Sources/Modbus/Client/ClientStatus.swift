import Synchronization

/// What the client's driver shares with every other thread.
final class ClientStatus: Sendable {
    private struct Shared {
        var state = ConnectionState.down(reason: ModbusError(.notConnected))
        var statistics = ClientStatistics()
        var readers: [UInt64: AsyncStream<ConnectionState>.Continuation] = [:]
        var lastReader: UInt64 = 0
        var isOver = false
    }

    /// How many changes are kept for a reader that falls behind.
    static let keptChanges = 16

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
        let readers = shared.withLock { shared in
            defer { shared.readers = [:] }
            shared.isOver = true
            return shared.readers.values
        }
        // Not under the lock: this calls `forget`.
        for reader in readers { reader.finish() }
    }

    func publish(_ statistics: ClientStatistics) {
        shared.withLock { $0.statistics = statistics }
    }

    func publish(_ state: ConnectionState) {
        shared.withLock { shared in
            shared.state = state
            for reader in shared.readers.values { reader.yield(state) }
        }
        observer?(state)
    }

    /// The state now and every change from now on, for one reader.
    func states() -> AsyncStream<ConnectionState> {
        let (stream, reader) = AsyncStream.makeStream(
            of: ConnectionState.self, bufferingPolicy: .bufferingNewest(Self.keptChanges))
        let id = shared.withLock { shared -> UInt64? in
            // Under the lock, so that no change can slip in front of it.
            reader.yield(shared.state)
            guard !shared.isOver else { return nil }
            shared.lastReader += 1
            shared.readers[shared.lastReader] = reader
            return shared.lastReader
        }
        if let id {
            reader.onTermination = { [weak self] _ in self?.forget(id) }
        } else {
            reader.finish()
        }
        return stream
    }

    /// How many streams of states have a reader.
    var readerCount: Int {
        shared.withLock { $0.readers.count }
    }

    private func forget(_ reader: UInt64) {
        // Let go of outside the lock: the end of a continuation may run code.
        _ = shared.withLock { $0.readers.removeValue(forKey: reader) }
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
