import DequeModule
import Synchronization

/// Hands commands from any thread to one consumer. Unlike an `AsyncStream` it keeps delivering to a consumer whose
/// task was cancelled: closing connections is what is left to do then.
final class CommandQueue<Command: Sendable>: Sendable {
    private struct State {
        var commands: Deque<Command> = []
        var consumer: CheckedContinuation<Command, Never>?
    }

    private let state = Mutex(State())

    func append(_ command: Command) {
        let consumer = state.withLock { state -> CheckedContinuation<Command, Never>? in
            if let consumer = state.consumer {
                state.consumer = nil
                return consumer
            }
            state.commands.append(command)
            return nil
        }
        consumer?.resume(returning: command)
    }

    /// The next command. For one consumer at a time.
    func next() async -> Command {
        await withCheckedContinuation { continuation in
            let command = state.withLock { state -> Command? in
                if let command = state.commands.popFirst() { return command }
                state.consumer = continuation
                return nil
            }
            if let command { continuation.resume(returning: command) }
        }
    }
}
