public import ALDCore
import Synchronization

/// Takes the time of what a collection is made of: readings of the controller and deliveries to the database.
public final class CycleMeter: Sendable {
    private let time = SystemTime()
    private struct State {
        var reads = DurationHistogram()
        var deliveries = DurationHistogram()
        var batches = 0
        var start = CollectionStatistics()
    }

    private let state = Mutex(State())

    public init() {}

    /// Readings of all parameters, those that failed left out.
    public var reads: DurationHistogram { state.withLock(\.reads) }
    /// Deliveries that have landed, each from its beginning to the database's word.
    public var deliveries: DurationHistogram { state.withLock(\.deliveries) }

    /// Batches that have landed; a delivery has one or more.
    public var batches: Int { state.withLock(\.batches) }

    /// What the collection had done when the meter was last restarted.
    var start: CollectionStatistics { state.withLock(\.start) }

    /// Forgets what it has seen so far: a start is no cycle.
    func restart(after start: CollectionStatistics) { state.withLock { $0 = State(start: start) } }

    /// The same controller, under watch.
    func before(_ plc: any PLC) -> any PLC { MeteredPLC(plc: plc, meter: self) }

    /// The same sink, under watch.
    func before(_ sink: any BatchSink) -> any BatchSink { MeteredSink(sink: sink, meter: self) }

    private struct MeteredPLC: PLC {
        let plc: any PLC
        let meter: CycleMeter

        var registerMap: RegisterMap { plc.registerMap }

        func scan(deadline: MonotonicInstant) async throws(PLCError) -> Scan {
            let began = meter.time.now
            let scan = try await plc.scan(deadline: deadline)
            let took = meter.time.now - began
            meter.state.withLock { $0.reads.record(took) }
            return scan
        }

        func readSetPoint(of parameter: ParameterID, deadline: MonotonicInstant) async throws(PLCError) -> Double {
            try await plc.readSetPoint(of: parameter, deadline: deadline)
        }

        func write(_ value: Double, to parameter: ParameterID, deadline: MonotonicInstant) async throws(PLCError) {
            try await plc.write(value, to: parameter, deadline: deadline)
        }
    }

    private struct MeteredSink: ForwardingSink {
        let sink: any BatchSink
        let meter: CycleMeter

        func deliver(_ batches: [Batch], deadline: MonotonicInstant) async throws(SinkFault) -> [BatchLanding] {
            let began = meter.time.now
            let landings = try await sink.deliver(batches, deadline: deadline)
            let took = meter.time.now - began
            meter.state.withLock { state in
                state.deliveries.record(took)
                state.batches += batches.count
            }
            return landings
        }
    }
}
