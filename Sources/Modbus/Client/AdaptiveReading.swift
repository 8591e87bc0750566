public import NIOCore
import Synchronization

/// An ``AdaptiveReader`` that several tasks may use: what one call learns helps all others.
public final class AdaptiveReading: Sendable {
    private let state: Mutex<AdaptiveReader>

    public init(_ reader: AdaptiveReader) {
        state = Mutex(reader)
    }

    /// The reader as it is now: its plan, what it learnt, and what requests cost.
    public var reader: AdaptiveReader {
        state.withLock { $0 }
    }

    fileprivate func begin(now: NIODeadline, deadline: NIODeadline) -> ReadCycle {
        state.withLock { $0.begin(now: now, deadline: deadline) }
    }

    fileprivate func take(_ result: PlanResult, in cycle: ReadCycle, now: NIODeadline) -> ReadCycle {
        var cycle = cycle
        state.withLock { $0.take(result, in: &cycle, now: now) }
        return cycle
    }

    fileprivate func finish(_ cycle: ReadCycle) -> SpanResults {
        state.withLock { $0.finish(cycle) }
    }
}

extension ModbusClient {
    /// Reads all values of `reading` once. Blocks that the device refuses are read in parts within the same call; what
    /// was learnt by that shapes the next one.
    ///
    /// - Parameters:
    ///   - isUrgent: before others that wait.
    ///   - deadline: when the call ends at the latest.
    /// - Returns: values or an error for each span. Spans fail one by one.
    public nonisolated(nonsending) func read(
        _ reading: AdaptiveReading, unit: UnitID? = nil, isUrgent: Bool = false, deadline: NIODeadline
    ) async -> SpanResults {
        var cycle = reading.begin(now: .now(), deadline: deadline)
        while !cycle.next.requests.isEmpty {
            let result = await run(cycle.next, unit: unit, isUrgent: isUrgent, deadline: deadline)
            cycle = reading.take(result, in: cycle, now: .now())
        }
        return reading.finish(cycle)
    }
}
