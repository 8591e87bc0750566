public import ALDCore

/// Load at a constant rate that does not wait for answers: each operation is due at an instant fixed beforehand, and its
/// latency counts from then, so a stall is seen by everything that was due during it.
public struct OpenLoop: Sendable {
    /// Operations per second.
    public var rate: Double
    public var duration: Duration
    /// How many may be under way at a time.
    public var clients: Int
    /// An operation that nobody is free to begin for so long after it was due is dropped. Defaults to 5 s.
    public var patience: Duration = .seconds(5)

    public init(rate: Double, duration: Duration, clients: Int) {
        self.rate = rate
        self.duration = duration
        self.clients = clients
    }

    /// What has become of the operations, of this load and of a ``ClosedLoop``.
    public typealias Report = LoadReport

    /// - Parameter operation: given its client, `0..<clients`, and its number, from 0.
    /// - Returns: when the last operation has ended.
    /// - Throws: `CancellationError`; what an operation throws is counted.
    public func run(
        time: any TimeSource = SystemTime(),
        _ operation: @escaping @Sendable (_ client: Int, _ number: Int) async throws -> Void
    ) async throws -> Report {
        let due = max(1, Int((rate * duration.inSeconds).rounded()))
        let beginning = time.now
        let progress = LoadProgress(LoadReport(from: beginning, planned: duration))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for client in 0..<max(1, clients) {
                group.addTask {
                    while let number = progress.next(below: due) {
                        let instant = beginning + .seconds(Double(number) / rate)
                        try await time.sleep(until: instant)
                        let began = time.now
                        guard began - instant <= patience else {
                            progress.note { $0.drop(at: began) }
                            continue
                        }
                        let failure = try await LoadProgress.failure(of: { try await operation(client, number) })
                        let ended = time.now
                        progress.note { $0.record(dueAt: instant, from: began, to: ended, failure: failure) }
                    }
                }
            }
            try await group.waitForAll()
        }
        return progress.report(due: due)
    }
}
