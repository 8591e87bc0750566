import Synchronization

extension Reactor {
    /// Blocking calls that may be under way at a time. One that hangs keeps its thread beyond the deadline of its
    /// caller; at the bound, further calls fail at once instead of piling up threads.
    static let maximumOffloaded = 32

    private static let offloaded = Mutex(0)

    /// Runs a blocking call on a thread of its own.
    ///
    /// - Returns: its result, or `nil` when the deadline passed or, if `heedingCancellation`, the task was cancelled.
    ///   The call then ends by itself some time later and its result is dropped.
    /// - Throws: ``PostgresError/Code/connectionFailed`` when no thread can be had.
    func offload<R: Sendable>(
        name: String, until deadline: MonotonicInstant, heedingCancellation: Bool, _ work: @escaping @Sendable () -> R
    ) async throws(PostgresError) -> R? {
        let isAdmitted = Self.offloaded.withLock { count in
            guard count < Self.maximumOffloaded else { return false }
            count += 1
            return true
        }
        guard isAdmitted else {
            throw PostgresError(
                .connectionFailed, "\(Self.maximumOffloaded) name look-ups or cancel requests hang already",
                remedy: "Check the name servers of this machine, or use addresses instead of names.")
        }
        let id = makeWaitID()
        let slot = OffloadSlot<R>()
        do {
            try DetachedThread.start(name: name) {
                slot.put(work())
                Self.offloaded.withLock { $0 -= 1 }
                self.end(id, as: .ready)
            }
        } catch {
            retire(id)
            Self.offloaded.withLock { $0 -= 1 }
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
