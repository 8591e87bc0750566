import ArgumentParser
import UnixSignals

/// Runs `body` and cancels it when somebody ends this program with Ctrl-C, SIGTERM or SIGHUP; `body` then finishes in
/// order and still has its result.
func cancelledBySignals<Result: Sendable>(
    _ body: @escaping @Sendable () async throws -> Result, onSignal: @escaping @Sendable () -> Void = {}
) async throws -> Result {
    // Trapped before the body begins: no signal can fall between.
    let signals = await UnixSignalsSequence(trapping: [.sigint, .sigterm, .sighup])
    return try await withThrowingTaskGroup(of: Result?.self) { group in
        group.addTask { try await body() }
        group.addTask {
            for await _ in signals {
                onSignal()
                break
            }
            return nil
        }
        var result: Result?
        while let next = try await group.next() {
            if let next { result = next }
            group.cancelAll()
        }
        guard let result else { throw CancellationError() }
        return result
    }
}

extension ExitCode {
    /// Somebody ended the command before it was done, and it has written down what it had. As a shell shows Ctrl-C.
    static let interrupted = ExitCode(130)
}
