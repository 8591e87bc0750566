import Dispatch

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The machine's own clocks: `ContinuousClock` for instants, the real-time clock for civil time.
public struct SystemTime: TimeSource {
    /// `ContinuousClock` instants cannot be created from a number, so all of ours count from this one.
    private static let origin = ContinuousClock.now

    public init() {}

    public var now: MonotonicInstant {
        MonotonicInstant(nanoseconds: Self.origin.duration(to: .now).wholeNanoseconds)
    }

    public var wallClock: Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)
    }

    public func sleep(until deadline: MonotonicInstant) async throws {
        // The tolerance is zero on purpose: the default lets the system defer a wake-up, which is jitter here.
        try await Task.sleep(
            until: Self.origin.advanced(by: .nanoseconds(deadline.nanoseconds)), tolerance: .zero, clock: .continuous)
    }

    public func call(at deadline: MonotonicInstant, _ action: @escaping @Sendable () -> Void) -> any ScheduledCall {
        let timer = DispatchSource.makeTimerSource(queue: .global())
        let rest = max(0, (deadline - now).wholeNanoseconds)
        timer.schedule(deadline: .now() + .nanoseconds(Int(rest)), leeway: .nanoseconds(0))
        timer.setEventHandler(handler: action)
        timer.activate()
        return SystemCall(timer: timer)
    }
}

/// A timer of the system. It keeps its action until it is called off or let go.
///
/// Safe because Dispatch lets its sources be used from any thread; only their protocol does not say so.
private struct SystemCall: ScheduledCall, @unchecked Sendable {
    let timer: any DispatchSourceTimer

    func cancel() { timer.cancel() }
}
