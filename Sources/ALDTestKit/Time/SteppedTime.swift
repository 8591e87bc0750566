public import ALDCore
import Synchronization

/// The machine's clocks, the civil one of which somebody sets.
public final class SteppedTime: TimeSource {
    private let system = SystemTime()
    private let offset = Mutex(Duration.zero)

    public init() {}

    public var now: MonotonicInstant { system.now }
    public var wallClock: Timestamp { system.wallClock.advanced(by: offset.withLock(\.self)) }

    public func sleep(until deadline: MonotonicInstant) async throws { try await system.sleep(until: deadline) }

    public func call(at deadline: MonotonicInstant, _ action: @escaping @Sendable () -> Void) -> any ScheduledCall {
        system.call(at: deadline, action)
    }

    /// From now on civil time is so far ahead of what it should be; negative: behind.
    public func step(to offset: Duration) { self.offset.withLock { $0 = offset } }
}
