import Logging
import Synchronization

/// What is said about a table that is now and then out of reach: once a minute what keeps it so, and that it is back.
final class TableReach: Sendable {
    private struct State {
        var problem: (any Error)?
        var reports = ReportThrottle<String>()
    }

    private let table: String
    private let time: any TimeSource
    private let logger: Logger
    private let state = Mutex(State())

    init(_ table: String, time: any TimeSource, logger: Logger) {
        self.table = table
        self.time = time
        self.logger = logger
    }

    /// Why it could not be reached; `nil` while it can.
    var problem: String? { state.withLock(\.problem).map { "\($0)" } }

    /// - Parameter what: cannot be done, for the log.
    /// - Returns: `nil` when it was out of reach, or the task is cancelled.
    func reaching<Value>(_ what: String, _ body: () async throws -> Value) async -> Value? {
        do {
            let value = try await body()
            let wasAway = state.withLock { state in
                defer { state = State() }
                return state.problem != nil
            }
            if wasAway { logger.notice("\(table) is back") }
            return value
        } catch {
            if Task.isCancelled { return nil }
            let isDue = state.withLock { state in
                state.problem = error
                return state.reports.isDue(what, now: time.now)
            }
            if isDue { logger.warning("\(what)", metadata: ["reason": "\(error)"]) }
            return nil
        }
    }
}
