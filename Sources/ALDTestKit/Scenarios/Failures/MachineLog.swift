import ALDCore
import Synchronization

/// Every set point that was written to a simulated machine, and when: what the terminals did, as the machine has seen it.
final class MachineLog: Sendable {
    struct Write: Sendable {
        var parameter: ParameterID
        var value: Double
        var at: MonotonicInstant
    }

    /// A valve that was opened and closed.
    struct Pulse: Sendable {
        var opened: MonotonicInstant
        var closed: MonotonicInstant

        var length: Duration { closed - opened }
    }

    private let time = SystemTime()
    private let state = Mutex([Write]())

    /// For the machine's `onWrite`.
    func note(_ parameter: ParameterID, _ value: Double) {
        let write = Write(parameter: parameter, value: value, at: time.now)
        state.withLock { $0.append(write) }
    }

    var writes: [Write] { state.withLock(\.self) }

    /// How often one of these values was written again to the same parameter. Each command has a value of its own, so
    /// that is a command that was carried out twice.
    func repetitions(in parameters: Set<ParameterID>) -> Int {
        let values = writes.filter { parameters.contains($0.parameter) }
            .map { PerParameter(parameter: $0.parameter, value: $0.value) }
        return values.count - Set(values).count
    }

    /// The complete pulses of a valve, and whether it is open now.
    func pulses(of valve: ParameterID) -> (complete: [Pulse], isOpen: Bool) {
        var (pulses, opened) = ([Pulse](), MonotonicInstant?.none)
        for write in writes where write.parameter == valve {
            if write.value >= 0.5 {
                opened = opened ?? write.at
            } else if let since = opened {
                pulses.append(Pulse(opened: since, closed: write.at))
                opened = nil
            }
        }
        return (pulses, opened != nil)
    }

    private struct PerParameter: Hashable {
        var parameter: ParameterID
        var value: Double
    }
}
