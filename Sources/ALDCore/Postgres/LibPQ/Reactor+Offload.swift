import Synchronization

extension Reactor {
    private static let offloaded = Mutex(OffloadCensus())

    /// Runs a blocking call on a thread of its own.
    ///
    /// - Returns: its result, or `nil` when the deadline passed or, if `heedingCancellation`, the task was cancelled.
    ///   The call then ends by itself some time later and its result is dropped.
    /// - Throws: ``PostgresError/Code/connectionFailed`` when no thread can be had.
    func offload<R: Sendable>(
        _ kind: OffloadCensus.Kind, until deadline: MonotonicInstant, heedingCancellation: Bool,
        _ work: @escaping @Sendable () -> R
    ) async throws(PostgresError) -> R? {
        guard Self.offloaded.withLock({ $0.admit(kind) }) else { throw kind.refusal }
        let id = makeWaitID()
        let slot = OffloadSlot<R>()
        do {
            try DetachedThread.start(name: kind.rawValue) {
                slot.put(work())
                Self.offloaded.withLock { $0.leave(kind) }
                self.end(id, as: .ready)
            }
        } catch {
            retire(id)
            Self.offloaded.withLock { $0.leave(kind) }
            throw error
        }
        let outcome =
            heedingCancellation
            ? await waitHeedingCancellation(id, for: -1, .signal, until: deadline)
            : await wait(id, for: -1, .signal, until: deadline)
        return outcome == .ready ? slot.take() : nil
    }
}

/// Where a thread leaves its result.
private final class OffloadSlot<R: Sendable>: Sendable {
    private let value = Mutex<R?>(nil)

    func put(_ result: R) {
        value.withLock { $0 = result }
    }

    func take() -> R? {
        value.withLock { $0 }
    }
}
