public import ALDCore

/// Load of clients each of which begins its next operation as soon as its last one has ended: it shows what can be done
/// in a given time. Nothing is due at any instant, so latency is how long an operation itself took; who asks how late
/// things get at a given rate needs an ``OpenLoop``.
public struct ClosedLoop: Sendable {
    /// When no further operation is begun.
    public enum Limit: Sendable {
        /// So long after the beginning. Each client begins one in any case.
        case duration(Duration)
        /// All clients together have begun so many.
        case operations(Int)
    }

    /// How many are under way at a time.
    public var clients: Int
    public var limit: Limit

    public init(clients: Int, duration: Duration) {
        self.clients = clients
        limit = .duration(duration)
    }

    public init(clients: Int, operations: Int) {
        self.clients = clients
        limit = .operations(operations)
    }

    /// - Parameter operation: given its client, `0..<clients`, and its number, from 0.
    /// - Returns: when the last operation has ended. All that were begun were due, none is dropped.
    /// - Throws: `CancellationError`; what an operation throws is counted.
    public func run(
        time: any TimeSource = SystemTime(),
        _ operation: @escaping @Sendable (_ client: Int, _ number: Int) async throws -> Void
    ) async throws -> LoadReport {
        let beginning = time.now
        let (most, end, planned): (Int, MonotonicInstant?, Duration?) =
            switch limit {
            case .duration(let duration): (.max, beginning + duration, duration)
            case .operations(let count): (max(1, count), nil, nil)
            }
        let progress = LoadProgress(LoadReport(from: beginning, planned: planned))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for client in 0..<max(1, clients) {
                group.addTask {
                    repeat {
                        guard let number = progress.next(below: most) else { return }
                        let began = time.now
                        let failure = try await LoadProgress.failure(of: { try await operation(client, number) })
                        let ended = time.now
                        progress.note { $0.record(dueAt: began, from: began, to: ended, failure: failure) }
                    } while end.map { time.now < $0 } ?? true
                }
            }
            try await group.waitForAll()
        }
        return progress.report(due: nil)
    }
}
