import DequeModule
import Logging
import NIOCore
import Synchronization

/// A server's connections and counters, shared by all its event loops.
final class ServerRegistry: Sendable {
    private struct State {
        var isOpen = false
        /// Oldest first.
        var connections: Deque<any Channel> = []
        var statistics = ServerStatistics()
    }

    /// What to do with a new connection.
    private enum Admission {
        case serve
        case refuse
        /// Serve it and close this one.
        case replace(any Channel)
    }

    private let limit: Int
    private let policy: ModbusServer.Configuration.LimitPolicy
    private let logger: Logger
    private let state = Mutex(State())

    init(
        limit: Int, policy: ModbusServer.Configuration.LimitPolicy, logger: Logger = Logger(label: "modbus.server")
    ) {
        self.limit = limit
        self.policy = policy
        self.logger = logger
    }

    var statistics: ServerStatistics {
        state.withLock { $0.statistics }
    }

    /// Connections are admitted from now on.
    func begin() {
        state.withLock { $0.isOpen = true }
    }

    /// No connection is admitted from now on.
    ///
    /// - Returns: those that are open.
    func end() -> [any Channel] {
        state.withLock { state in
            state.isOpen = false
            return Array(state.connections)
        }
    }

    /// A connection was accepted.
    ///
    /// - Returns: whether it may be served.
    func admit(_ channel: any Channel) -> Bool {
        let admission = state.withLock { self.admission(of: channel, &$0) }
        switch admission {
        case .serve:
            return true
        case .refuse:
            logger.debug("connection refused", metadata: [LogKeys.connections: "\(limit)"])
            return false
        case .replace(let oldest):
            logger.debug("oldest connection closed", metadata: [LogKeys.connections: "\(limit)"])
            oldest.close(promise: nil)
            return true
        }
    }

    private func admission(of channel: any Channel, _ state: inout State) -> Admission {
        guard state.isOpen else { return .refuse }
        var evicted: (any Channel)?
        if state.connections.count >= limit {
            guard policy == .closeOldest, let oldest = state.connections.popFirst() else {
                state.statistics.refused += 1
                return .refuse
            }
            state.statistics.evicted += 1
            state.statistics.open -= 1
            state.statistics.closed += 1
            evicted = oldest
        }
        state.connections.append(channel)
        state.statistics.accepted += 1
        state.statistics.open += 1
        return evicted.map { .replace($0) } ?? .serve
    }

    /// A connection ended. Does nothing for one that was evicted before.
    func remove(_ channel: any Channel) {
        state.withLock { state in
            guard let index = state.connections.firstIndex(where: { $0 === channel }) else { return }
            state.connections.remove(at: index)
            state.statistics.open -= 1
            state.statistics.closed += 1
        }
    }

    /// Counts something that happened on a connection.
    func count(_ change: (inout ServerStatistics) -> Void) {
        state.withLock { change(&$0.statistics) }
    }
}
