import Logging
import Synchronization

/// The doorbell of a terminal: rings when somebody inserts a command. It may be broken without anybody noticing at
/// first, so it rings itself from time to time and listens for the echo; and it is never the only way to learn of a
/// command.
final class CommandBell: Doorbell {
    struct Configuration: Hashable, Sendable {
        /// Between two rings of our own. Defaults to 10 s.
        var echoInterval: Duration = .seconds(10)
        /// How long the echo may take before the bell counts as broken. Defaults to 2 s.
        var echoTimeout: Duration = .seconds(2)
        /// Between two tries to listen. Defaults to 0.1 to 5 s.
        var backoff = Backoff.Configuration(base: .milliseconds(100), cap: .seconds(5))
    }

    /// Whether the last echo came back; while it does not, commands have to be looked for more often.
    var isWorking: Bool { state.withLock { $0.isWorking } }

    private struct State {
        var isWorking = false
        var echoes = 0
    }

    private let pool: ConnectionPool
    private let channel: String
    private let configuration: Configuration
    private let time: any TimeSource
    private let logger: Logger
    private let state = Mutex(State())
    private let echoed = Wakeup()
    private let onRing: @Sendable () -> Void

    /// - Parameter onRing: called for every ring of somebody else, and when the bell begins to work; must not wait.
    init(
        pool: ConnectionPool, channel: String, configuration: Configuration = Configuration(), time: any TimeSource,
        logger: Logger, onRing: @escaping @Sendable () -> Void
    ) {
        self.pool = pool
        self.channel = channel
        self.configuration = configuration
        self.time = time
        self.logger = logger
        self.onRing = onRing
    }

    /// Listens until it is cancelled, and begins anew whenever it does not work.
    func run() async {
        var backoff = Backoff(configuration.backoff)
        while !Task.isCancelled {
            var reason = "the session has ended"
            do {
                try await listen()
            } catch {
                reason = "\(error)"
            }
            let wasWorking = state.withLock { state in
                defer { state.isWorking = false }
                return state.isWorking
            }
            if Task.isCancelled { return }
            if wasWorking {
                backoff = Backoff(configuration.backoff)
                logger.warning(
                    "notifications do not come through; commands are looked for", metadata: ["reason": "\(reason)"])
            }
            let pause = backoff.next(chance: Double.random(in: 0..<1))
            // Cancelled: the loop ends.
            do { try await time.sleep(for: pause) } catch {}
        }
    }

    private struct Silent: Error, CustomStringConvertible {
        let description = "its own notification did not come back"
    }

    private func listen() async throws {
        let deadline = time.now + .seconds(5)
        try await pool.withConnection(
            holder: "doorbell", lane: .commandListener, deadline: deadline, limits: LeaseLimits.none
        ) { connection in
            let own = try await connection.query("SELECT pg_backend_pid()", [], deadline: deadline).first?
                .decode(0, as: Int32.self)
            try await connection.listen(to: [channel], deadline: deadline) { notifications in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await self.hear(notifications, own: own) }
                    group.addTask { try await self.ring() }
                    // Whichever ends first: a session that is lost, or an echo that does not come.
                    defer { group.cancelAll() }
                    try await group.next()
                }
            }
        }
    }

    private func hear(_ notifications: PostgresNotifications, own: Int32?) async throws {
        for try await notification in notifications {
            if notification.payload.hasPrefix(Self.echo) {
                state.withLock { $0.echoes += 1 }
                echoed.signal()
            } else {
                onRing()
            }
        }
    }

    /// Rings over another connection, as whoever inserts a command does.
    private func ring() async throws {
        while !Task.isCancelled {
            let heard = state.withLock(\.echoes)
            let deadline = time.now + configuration.echoTimeout
            try await pool.withConnection(holder: "doorbell echo", lane: .probe, deadline: deadline) { connection in
                _ = try await connection.query(
                    "SELECT pg_notify($1, $2)", [.text(channel), .text(Self.echo)], deadline: deadline)
            }
            while state.withLock(\.echoes) == heard {
                guard time.now < deadline else { throw Silent() }
                if Task.isCancelled { return }
                await echoed.wait(until: deadline, time: time)
            }
            let isNew = state.withLock { state in
                defer { state.isWorking = true }
                return !state.isWorking
            }
            // What was inserted while nobody listened has not rung.
            if isNew { onRing() }
            try await time.sleep(for: configuration.echoInterval)
        }
    }

    private static let echo = "echo"
}
