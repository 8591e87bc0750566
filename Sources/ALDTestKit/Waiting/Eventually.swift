/// Something that had to become true did not, in time.
public struct NeverHappened: Error, Sendable, CustomStringConvertible {
    public var description: String

    public init(description: String) {
        self.description = description
    }
}

/// Waits until `condition` holds, for tests of real processes, sockets and servers that cannot be told to be finished.
///
/// Looks again every few milliseconds, so it costs little more than the event itself takes. It is no way to wait for
/// code that runs on an injected clock: there, move the clock.
///
/// - Parameters:
///   - what: asked for when it has not happened, so what it says of the state is what there was in the end.
///   - limit: generous on purpose. It is only used up when the test fails, and says nothing about speed.
/// - Throws: ``NeverHappened``, or what `condition` threw last.
public func eventually(
    _ what: @autoclosure () -> String, within limit: Duration = .seconds(30), _ condition: () async throws -> Bool
) async throws {
    let clock = ContinuousClock()
    let deadline = clock.now + limit
    while true {
        var lastError: (any Error)?
        do {
            if try await condition() { return }
        } catch {
            lastError = error
        }
        guard clock.now < deadline else {
            throw lastError ?? NeverHappened(description: "not within \(limit): \(what())")
        }
        try await clock.sleep(for: .milliseconds(5))
    }
}
