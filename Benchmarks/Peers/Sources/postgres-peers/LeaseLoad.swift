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

    /// Whoever holds all ten connections at once knows that they are open.
    private static func warmUp(_ pool: ConnectionPool, holding count: Int = 0) async throws {
        guard count < 10 else { return }
        try await pool.withConnection(holder: "warm-up", deadline: Target.time.now + .seconds(10)) { _ in
            try await warmUp(pool, holding: count + 1)
        }
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
