import ALDCore
import Synchronization

/// What is wrong with the database and the controller of a ``VirtualPlant``, and how often that has hit something.
final class VirtualFaults: Sendable {
    struct Trouble: Hashable, Sendable {
        /// What every call to the database takes.
        var databaseDelay = Duration.zero
        var databaseIsDown = false
        /// Calls to the database in a minute; the others are refused.
        var rateLimit: Int?
        var controllerDelay = Duration.zero
        var controllerIsDown = false
    }

    private struct State {
        var trouble = Trouble()
        var bites = 0
        var minute: Int64 = 0
        var calls = 0
    }

    private let state = Mutex(State())
    private let time: any TimeSource

    init(time: any TimeSource) { self.time = time }

    /// Of the trouble that there is now.
    var bites: Int { state.withLock(\.bites) }

    func begin(_ trouble: Trouble) { state.withLock { ($0.trouble, $0.bites) = (trouble, 0) } }

    func heal() { state.withLock { $0.trouble = Trouble() } }

    /// What the usual way to the database and back takes.
    private static let roundTrip = Duration.milliseconds(2)

    enum Refusal: Error { case down, limited, late }

    /// A call to the database is on its way.
    func reachDatabase(deadline: MonotonicInstant) async throws(Refusal) {
        let now = time.now
        let (delay, refusal) = state.withLock { state -> (Duration, Refusal?) in
            let minute = now.nanoseconds / 60_000_000_000
            if state.minute != minute { (state.minute, state.calls) = (minute, 0) }
            state.calls += 1
            let delay = Self.roundTrip + state.trouble.databaseDelay
            var refusal: Refusal?
            if state.trouble.databaseIsDown { refusal = .down }
            if let limit = state.trouble.rateLimit, state.calls > limit { refusal = .limited }
            if refusal != nil || state.trouble.databaseDelay > .zero { state.bites += 1 }
            return (delay, refusal)
        }
        let isLate = now + delay > deadline
        // A caller that is cancelled gets no answer, either.
        do { try await time.sleep(until: isLate ? deadline : now + delay) } catch { throw .late }
        if let refusal { throw refusal }
        if isLate { throw .late }
    }

    /// A call to the controller is on its way.
    func reachController(deadline: MonotonicInstant) async throws(PLCError) {
        let now = time.now
        let (delay, isDown) = state.withLock { state in
            if state.trouble.controllerIsDown || state.trouble.controllerDelay > .zero { state.bites += 1 }
            return (Self.scanTime + state.trouble.controllerDelay, state.trouble.controllerIsDown)
        }
        if isDown { throw .unreachable("connection refused") }
        let isLate = now + delay > deadline
        do { try await time.sleep(until: isLate ? deadline : now + delay) } catch {
            throw .unreachable("the call was cancelled")
        }
        if isLate { throw .unreachable("no answer by the deadline") }
    }

    /// What the usual way to the controller and back takes.
    private static let scanTime = Duration.milliseconds(10)
}

/// A simulated machine behind a way that may be in trouble.
struct DistantPLC: PLC {
    let machine: SimulatedPLC
    let faults: VirtualFaults

    var registerMap: RegisterMap { machine.registerMap }

    func scan(deadline: MonotonicInstant) async throws(PLCError) -> Scan {
        try await faults.reachController(deadline: deadline)
        return try await machine.scan(deadline: deadline)
    }

    func readSetPoint(of parameter: ParameterID, deadline: MonotonicInstant) async throws(PLCError) -> Double {
        try await faults.reachController(deadline: deadline)
        return try await machine.readSetPoint(of: parameter, deadline: deadline)
    }

    func write(_ value: Double, to parameter: ParameterID, deadline: MonotonicInstant) async throws(PLCError) {
        try await faults.reachController(deadline: deadline)
        try await machine.write(value, to: parameter, deadline: deadline)
    }
}
