import ServiceLifecycle
import UnixSignals

/// For our own tests: an error of a service that nobody has thought of and nobody catches.
struct UnforeseenError: Error, CustomStringConvertible {
    var description: String { "an error that nobody has thought of" }

    /// Throws it when SIGUSR1 comes.
    struct Source: Service {
        func run() async throws {
            let signals = await UnixSignalsSequence(trapping: [.sigusr1])
            for await _ in signals.cancelOnGracefulShutdown() { throw UnforeseenError() }
        }
    }
}
