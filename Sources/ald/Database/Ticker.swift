import ALDCore
import Synchronization

/// Tells on standard error what a long command is doing, and every few seconds that it still does.
final class Ticker: Sendable {
    private let current = Mutex<(text: String, since: MonotonicInstant)?>(nil)
    private let time = SystemTime()

    /// Between two signs of life.
    static let interval: Duration = .seconds(5)

    func begin(_ text: String) {
        let now = time.now
        current.withLock { $0 = (text, now) }
        StandardStream.error.write(text + "\n")
    }

    fileprivate func tick() async {
        while true {
            do { try await time.sleep(for: Self.interval) } catch { return }
            guard let (text, since) = current.withLock(\.self) else { continue }
            let duration = time.now - since
            if duration >= Self.interval { StandardStream.error.write("\(text): \(TextTable.span(duration))\n") }
        }
    }
}

/// Runs `body` with somebody who speaks while it is silent.
func withTicker<Result: Sendable>(_ body: @Sendable (Ticker) async throws -> Result) async throws -> Result {
    let ticker = Ticker()
    // Cancelled, and waited for, when `body` has ended.
    async let _: Void = ticker.tick()
    return try await body(ticker)
}

/// Runs `body` until it ends or somebody ends this program, which then stops what runs in the database and says so.
func interruptibly<Result: Sendable>(_ body: @escaping @Sendable () async throws -> Result) async throws -> Result {
    let interruption = Interruption()
    do {
        return try await cancelledBySignals(body, onSignal: { interruption.hasCome.withLock { $0 = true } })
    } catch  where interruption.hasCome.withLock(\.self) {
        throw Failure(.temporary, "interrupted; the step under way was undone")
    }
}

private final class Interruption: Sendable {
    let hasCome = Mutex(false)
}
