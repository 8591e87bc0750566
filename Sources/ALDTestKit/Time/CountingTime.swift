public import ALDCore
import Synchronization

/// A clock that counts how often somebody goes to sleep by it, or has himself called.
public final class CountingTime: TimeSource {
    private let count = Mutex(0)
    private let time: any TimeSource

    public init(_ time: any TimeSource) { self.time = time }

    public var sleeps: Int { count.withLock(\.self) }
    public var now: MonotonicInstant { time.now }
    public var wallClock: Timestamp { time.wallClock }

    public func sleep(until deadline: MonotonicInstant) async throws {
        count.withLock { $0 += 1 }
        try await time.sleep(until: deadline)
    }

    public func call(at deadline: MonotonicInstant, _ action: @escaping @Sendable () -> Void) -> any ScheduledCall {
        count.withLock { $0 += 1 }
        return time.call(at: deadline, action)
    }
}
