public import ALDCore
import Modbus
import Synchronization

/// A controller in a ``World``: the simulated machine behind a link that has a latency and faults.
///
/// It remembers every scan that it has answered, so that what lands can be compared with what the machine said.
public final class WorldPLC: PLC {
    public struct Faults: Hashable, Sendable {
        public var isDown = false
        /// What every call takes beside the usual 5 to 20 ms.
        public var delay = Duration.zero
        /// Probability that a call is lost, or its answer.
        public var lostCalls = 0.0

        public init() {}
    }

    private struct State {
        var faults = Faults()
        var random: SeededGenerator
        var scans: [Timestamp: UInt64] = [:]
        var bites: [String: Int] = [:]
    }

    private let machine: SimulatedPLC
    private let world: World
    private let time: any TimeSource
    private let state: Mutex<State>

    /// - Parameter node: whose clock stamps the scans: the process that asks.
    public init(_ machine: SimulatedPLC, asking node: WorldNode, world: World) {
        self.machine = machine
        self.world = world
        time = node.time
        state = Mutex(State(random: world.stream("plc of \(node.name)")))
    }

    public var registerMap: RegisterMap { machine.registerMap }

    public var faults: Faults {
        get { state.withLock(\.faults) }
        set { state.withLock { $0.faults = newValue } }
    }

    /// Of each scan that was answered, its ``digest(_:_:)`` summed up.
    public var scans: [Timestamp: UInt64] { state.withLock(\.scans) }
    public var bites: [String: Int] { state.withLock(\.bites) }

    /// Of one parameter's value; sums of it do not depend on the order.
    static func digest(_ parameter: ParameterID, _ value: Double?) -> UInt64 {
        var digest = WorldDigest()
        digest.mix(UInt64(bitPattern: Int64(parameter.rawValue)))
        digest.mix(value?.bitPattern ?? 1)
        return digest.value
    }

    public func scan(deadline: MonotonicInstant) async throws(PLCError) -> Scan {
        // The time stamp is that of the beginning, as over a real link.
        let began = time.wallClock
        guard try await travel(until: deadline) else { throw .unanswered("no answer by the deadline") }
        var scan = try await machine.scan(deadline: deadline)
        scan.time = began
        let digest = scan.readings.reduce(0 as UInt64) { $0 &+ Self.digest($1.parameter, $1.value) }
        state.withLock { $0.scans[began] = digest }
        return scan
    }

    public func readSetPoint(of parameter: ParameterID, deadline: MonotonicInstant) async throws(PLCError) -> Double {
        guard try await travel(until: deadline) else { throw .unanswered("no answer by the deadline") }
        return try await machine.readSetPoint(of: parameter, deadline: deadline)
    }

    public func write(_ value: Double, to parameter: ParameterID, deadline: MonotonicInstant) async throws(PLCError) {
        // Of a write that is lost: whether the machine does it all the same, and whether a gateway says that it got no
        // answer to it.
        let (acts, isTold) = state.withLock { (Bool.random(using: &$0.random), Bool.random(using: &$0.random)) }
        let journey = try embark(until: deadline)
        let answer = WorldOutcome<Result<Void, PLCError>>()
        // Once it is sent the machine does it, whatever becomes of the sender, and never after the deadline.
        if journey.isInTime || acts {
            world.schedule(at: min(journey.arrival, deadline)) {
                do throws(PLCError) {
                    answer.set(.success(try self.machine.write(value, to: parameter)))
                } catch {
                    answer.set(.failure(error))
                }
            }
        }
        do {
            let answered = journey.isInTime || isTold ? min(journey.arrival, deadline) : deadline
            try await time.sleep(until: answered)
            // Its turn comes at the same instant, maybe after ours.
            if journey.isInTime, answer.value == nil { try await time.sleep(until: journey.arrival + .milliseconds(1)) }
        } catch {
            throw .unknownOutcome("the call was cancelled")
        }
        guard journey.isInTime, let answer = answer.value else {
            throw .unknownOutcome(
                isTold
                    ? "exception \(ExceptionCode.gatewayTargetFailedToRespond)"
                    : "no answer by the deadline")
        }
        try answer.get()
    }

    /// - Returns: whether there was an answer by the deadline.
    private func travel(until deadline: MonotonicInstant) async throws(PLCError) -> Bool {
        let journey = try embark(until: deadline)
        do {
            try await time.sleep(until: journey.isInTime ? journey.arrival : deadline)
        } catch {
            throw .unreachable("the call was cancelled")
        }
        return journey.isInTime
    }

    /// What becomes of a call that is made now; one whose deadline has passed is not sent.
    private func embark(
        until deadline: MonotonicInstant
    ) throws(PLCError) -> (arrival: MonotonicInstant, isInTime: Bool) {
        if time.now >= deadline { throw .unreachable("the deadline had passed") }
        let (isDown, latency, isLost) = state.withLock { state in
            let usual = Duration.milliseconds(Int64.random(in: 5...20, using: &state.random))
            let isLost = Double.random(in: 0..<1, using: &state.random) < state.faults.lostCalls
            if state.faults.isDown { state.bites[WorldFault.Kind.plcDown.bite, default: 0] += 1 }
            if isLost { state.bites[WorldFault.Kind.plcLossy.bite, default: 0] += 1 }
            if state.faults.delay > .zero { state.bites[WorldFault.Kind.plcSlow.bite, default: 0] += 1 }
            return (state.faults.isDown, usual + state.faults.delay, isLost)
        }
        if isDown { throw .unreachable("connection refused") }
        let arrival = time.now + latency
        return (arrival, !isLost && arrival <= deadline)
    }
}
