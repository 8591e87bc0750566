import ALDCore

/// Takes a connection from a pool of ten and gives it back, in so many tasks.
struct LeaseLoad {
    let tasks: Int

    func run(seconds: Double) async throws {
        var limits = PoolConfiguration()
        limits.minimumConnections = 10
        limits.maximumConnections = 10
        let pool = try ConnectionPool(configuration: Target.configuration(), pool: limits, logger: Target.logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await pool.run() }
            try await Self.warmUp(pool)
            try await Measurement.once { try await work(pool, seconds: seconds) }
            group.cancelAll()
        }
    }

    /// Until all ten connections are open.
    private static func warmUp(_ pool: ConnectionPool) async throws {
        while pool.statistics.idle < 10 { try await Task.sleep(for: .milliseconds(5)) }
    }

    private func work(_ pool: ConnectionPool, seconds: Double) async throws -> Int {
        let end = ContinuousClock().now + .seconds(seconds)
        return try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<tasks {
                group.addTask {
                    var leases = 0
                    while ContinuousClock().now < end {
                        try await pool.withConnection(
                            holder: "peers", deadline: Target.time.now + .seconds(10)
                        ) { _ in leases += 1 }
                    }
                    return leases
                }
            }
            return try await group.reduce(0, +)
        }
    }
}
