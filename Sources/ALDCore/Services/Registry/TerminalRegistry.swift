import Foundation
public import Logging
public import ServiceLifecycle
import Synchronization

/// Tells the database which terminals of this process live, and hears from it when another one has taken a place.
///
/// It has one connection of its own, asks no pool, and waits for nobody: however stuck the database is, the terminals
/// work on and only their heartbeats are missed. It is the last to end, so that a terminal is in the registry as long
/// as it works.
public final class TerminalRegistry: Service {
    public struct Configuration: Hashable, Sendable {
        /// Between two heartbeats, in whole seconds, 1 to 300 s. Three missed ones are a death. Defaults to 10 s.
        public var heartbeatInterval: Duration = .seconds(10)
        /// How long one heartbeat of all terminals may take, the connect included. Defaults to 5 s.
        public var callTimeout: Duration = .seconds(5)
        /// Of the program, as people see it in the registry.
        public var version: String
        /// `production`, `development` or `testing`. Defaults to `production`.
        public var environment = "production"

        public init(version: String) {
            self.version = version
        }

        /// - Throws: every setting that is out of its range.
        public func validate() throws(ConfigurationProblems) {
            var problems: [String] = []
            if heartbeatInterval < .seconds(1) || heartbeatInterval > .seconds(300) {
                problems.append("heartbeatInterval is \(heartbeatInterval); allowed are 1 s to 300 s")
            }
            if callTimeout <= .zero { problems.append("callTimeout is \(callTimeout); it must be longer than zero") }
            if !["production", "development", "testing"].contains(environment) {
                problems.append("environment is \"\(environment)\"; it must be production, development or testing")
            }
            if let problems = ConfigurationProblems(problems) { throw problems }
        }
    }

    /// What the registry knows of one terminal of this process.
    public enum Standing: Hashable, Sendable {
        /// The database could not be told yet; the terminal works.
        case unregistered
        case registered(instance: Int64)
        /// Another process is this terminal: it must do nothing any more. Says who.
        case displaced(String)
        case ended
    }

    /// Another process is this terminal of this machine.
    public struct Displaced: Error, Hashable, Sendable, CustomStringConvertible {
        public var terminal: Terminal
        public var reason: String
        public var description: String { reason }
    }

    struct State {
        var pulses: [Terminal: TerminalPulse]
        var reports: [Terminal: @Sendable () -> TerminalReport] = [:]
        var problem: String?
        var throttle = ReportThrottle<String>()
    }

    let database: PostgresConfiguration
    let locks: [TerminalLock]
    let configuration: Configuration
    let time: any TimeSource
    let logger: Logger
    let state: Mutex<State>
    private let onDisplaced: @Sendable (Displaced) -> Void

    /// - Parameters:
    ///   - locks: of the terminals of this process. They stay the caller's.
    ///   - onDisplaced: told once of each terminal whose place another process has; must not wait.
    /// - Throws: every setting that is out of its range.
    public init(
        database: PostgresConfiguration, locks: [TerminalLock], configuration: Configuration,
        time: any TimeSource = SystemTime(), logger: Logger,
        onDisplaced: @escaping @Sendable (Displaced) -> Void = { _ in }
    ) throws(ConfigurationProblems) {
        try configuration.validate()
        var database = database.withApplicationName("ald registry")
        database.timeouts = PostgresTimeouts(
            lock: .seconds(1), statement: .seconds(3), idleInTransaction: .seconds(10))
        self.database = database
        self.locks = locks
        self.configuration = configuration
        self.time = time
        self.logger = logger
        self.onDisplaced = onDisplaced
        state = Mutex(
            State(
                pulses: Dictionary(
                    uniqueKeysWithValues: locks.map { ($0.terminal, TerminalPulse(predecessors: $0.predecessors)) })))
    }

    public func standing(of terminal: Terminal) -> Standing {
        switch state.withLock({ $0.pulses[terminal]?.state }) {
        case .unregistered, nil: .unregistered
        case .registered(let instance): .registered(instance: instance)
        case .displaced(let reason): .displaced(reason)
        case .ended: .ended
        }
    }

    /// Why the last heartbeat was not heard; `nil` when it was.
    public var problem: String? { state.withLock(\.problem) }

    /// Says where a terminal's reports come from. Called for every heartbeat; must not wait.
    public func report(_ terminal: Terminal, _ report: @escaping @Sendable () -> TerminalReport) {
        state.withLock { $0.reports[terminal] = report }
    }

    /// The first word to the database, before anything is done. A database that is away refuses nobody: the terminals
    /// work, and are entered when it is back.
    ///
    /// - Throws: ``Displaced`` when another process is one of these terminals. Nothing of this process stays entered.
    public func admit(by deadline: MonotonicInstant) async throws(Displaced) {
        let connection = await beat(on: nil, by: deadline)
        let refused = locks.compactMap { lock -> Displaced? in
            guard case .displaced(let reason) = standing(of: lock.terminal) else { return nil }
            return Displaced(terminal: lock.terminal, reason: reason)
        }
        if let first = refused.first {
            await sayGoodbye(on: connection)
            throw first
        }
        await connection?.close()
    }

    /// Beats until shutdown or cancellation, and then notes the end of every terminal.
    public func run() async throws {
        let connection = await cancelWhenGracefulShutdown { await self.beatForEver() }
        // Also who is cancelled says goodbye.
        await uncancellable { await self.sayGoodbye(on: connection) }
    }

    private func beatForEver() async -> PostgresConnection? {
        var connection: PostgresConnection?
        var next = time.now
        while !Task.isCancelled {
            connection = await beat(on: connection, by: time.now + configuration.callTimeout)
            // A heartbeat that took longer than its interval is followed by the next one in its turn.
            while next <= time.now { next = next + configuration.heartbeatInterval }
            do { try await time.sleep(until: next) } catch { break }
        }
        return connection
    }

    /// One word of every terminal.
    ///
    /// - Returns: the connection, when it is still good for the next one.
    private func beat(on connection: PostgresConnection?, by deadline: MonotonicInstant) async -> PostgresConnection? {
        var connection = connection
        do {
            let link: PostgresConnection
            if let open = connection, await open.isUsable {
                link = open
            } else {
                link = try await PostgresConnection.connect(database, deadline: deadline, time: time, logger: logger)
                connection = link
            }
            for lock in locks { try await speak(for: lock, on: link, by: deadline) }
            let wasSilent = state.withLock { state in
                defer { (state.problem, state.throttle) = (nil, ReportThrottle()) }
                return state.problem != nil
            }
            if wasSilent { logger.notice("the registry hears this process again") }
            return link
        } catch {
            await connection?.close()
            if Task.isCancelled { return nil }
            let isDue = state.withLock { state in
                state.problem = "\(error)"
                return state.throttle.isDue("beat", now: time.now)
            }
            if isDue {
                logger.warning("heartbeats are not heard; the work goes on", metadata: ["reason": "\(error)"])
            }
            return nil
        }
    }

    private func speak(
        for lock: TerminalLock, on connection: PostgresConnection, by deadline: MonotonicInstant
    ) async throws {
        // An entry that is gone is entered anew at once.
        for _ in 0..<2 {
            let action = state.withLock { $0.pulses[lock.terminal]?.next() } ?? .doNothing
            let event: TerminalPulse.Event
            switch action {
            case .register(let predecessors, let own):
                event = try await register(lock, after: predecessors, unless: own, on: connection, by: deadline)
            case .beat(let instance): event = try await heartbeat(lock, instance, on: connection, by: deadline)
            case .sayGoodbye(let instance): event = try await goodbye(lock, instance, on: connection, by: deadline)
            case .doNothing: return
            }
            state.withLock { $0.pulses[lock.terminal]?.happened(event) }
            if case .refused(let reason) = event {
                logger.error("another process is this terminal", metadata: ["reason": "\(reason)"])
                onDisplaced(Displaced(terminal: lock.terminal, reason: reason))
            }
            guard event == .unknown else { return }
        }
    }

    /// Everybody's orderly end, as far as the database can hear it.
    private func sayGoodbye(on connection: PostgresConnection?) async {
        state.withLock { state in
            for terminal in state.pulses.keys { state.pulses[terminal]?.happened(.stop) }
        }
        let isKnown = state.withLock { $0.pulses.values.contains { $0.next() != .doNothing } }
        guard isKnown else { await connection?.close(); return }
        let limit = min(configuration.callTimeout, .seconds(2))
        let rest = await beat(on: connection, by: time.now + limit)
        await rest?.close()
    }
}
