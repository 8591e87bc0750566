import ALDCore
import Synchronization

/// Every set point that was written in a ``World``, in the order in which they took effect.
final class WriteLog: Sendable {
    private struct State {
        var writes: [CommandAudit.Write] = []
        var values: [ParameterID: Double] = [:]
    }

    private let state = Mutex(State())

    var writes: [CommandAudit.Write] { state.withLock(\.writes) }

    func note(_ write: CommandAudit.Write) {
        state.withLock { state in
            state.writes.append(write)
            state.values[write.point.parameter] = write.point.value
        }
    }

    /// Which of these are not zero.
    func open(of valves: [ParameterID]) -> [ParameterID] {
        state.withLock { state in valves.filter { state.values[$0, default: 0] != 0 } }
    }
}
