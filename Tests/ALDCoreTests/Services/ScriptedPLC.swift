import ALDTestKit
import Synchronization

@testable import ALDCore

/// A controller that the test can break and slow down.
final class ScriptedPLC: PLC {
    enum Behaviour {
        case answers, isUnreachable, takes(Duration), answersHalf
        /// Answers after so long, if that is before the deadline.
        case needs(Duration)
        /// Fails with this text.
        case fails(String)
    }

    let registerMap: RegisterMap
    let behaviour = Mutex(Behaviour.answers)
    private let time: ManualTime

    init(time: ManualTime) throws {
        self.time = time
        registerMap = try RegisterMap(file: Repository.machine51).restricted(to: ["MFC 1.flow", "Valve 1.valve_state"])
    }

    func scan(deadline: MonotonicInstant) async throws(PLCError) -> Scan {
        let started = time.wallClock
        switch behaviour.withLock(\.self) {
        case .answers: break
        case .isUnreachable: throw .unreachable("scripted")
        case .fails(let text): throw .unreachable(text)
        case .takes(let duration): time.advance(by: duration)
        case .needs(let duration):
            time.advance(by: min(duration, max(.zero, deadline - time.now)))
            if time.now >= deadline { throw .unanswered("scripted") }
        case .answersHalf:
            return Scan(
                time: started,
                readings: [
                    Reading(1, of: registerMap.parameters[0]), .unread(registerMap.parameters[1].id),
                ])
        }
        return Scan(time: started, readings: registerMap.parameters.map { Reading($0.initialValue, of: $0) })
    }

    func readSetPoint(of parameter: ParameterID, deadline: MonotonicInstant) async throws(PLCError) -> Double { 0 }
    func write(_ value: Double, to parameter: ParameterID, deadline: MonotonicInstant) async throws(PLCError) {}
}
