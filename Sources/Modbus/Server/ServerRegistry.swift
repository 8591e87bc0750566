import DequeModule
import Logging
import NIOCore
import Synchronization

/// A server's connections and counters, shared by all its event loops.
final class ServerRegistry: Sendable {
    fileprivate struct State {
        var isOpen = false
        /// Oldest first.
        var connections: Deque<any Channel> = []
        /// Accepted beyond the limit and not served.
        var held: [ObjectIdentifier: any Channel] = [:]
        var statistics = ServerStatistics()
    }

    /// What to do with a new connection.
    enum Admission {
        case serve
        /// Serve it and close this one.
        case replace(any Channel)
        /// Close it at once.
        case refuse
        /// Close it when its first bytes arrive.
        case closeAtFirstBytes
        /// Keep it and never answer.
        case hang
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
            return Array(state.connections) + Array(state.held.values)
        }
    }

    /// A connection was accepted.
    func admit(_ channel: any Channel) -> Admission {
        let admission = state.withLock { self.admission(of: channel, &$0) }
        switch admission {
        case .serve: break
        case .replace: logger.debug("oldest connection closed", metadata: [LogKeys.connections: "\(limit)"])
        case .refuse: logger.debug("connection refused", metadata: [LogKeys.connections: "\(limit)"])
        case .closeAtFirstBytes, .hang:
            logger.debug("connection not served", metadata: [LogKeys.connections: "\(limit)"])
        }
        return admission
    }

    private func admission(of channel: any Channel, _ state: inout State) -> Admission {
        guard state.isOpen else { return .refuse }
        guard state.connections.count >= limit else {
            state.add(channel)
            return .serve
        }
        switch policy {
        case .refuseNewest:
            state.statistics.refused += 1
            return .refuse
        case .closeOldest:
            guard let oldest = state.connections.popFirst() else { return .refuse }
            state.statistics.evicted += 1
            state.statistics.open -= 1
            state.statistics.closed += 1
            state.add(channel)
            return .replace(oldest)
        case .acceptThenClose:
            return state.hold(channel) ? .closeAtFirstBytes : .refuse
        case .hang:
            return state.hold(channel) ? .hang : .refuse
        case .backlog:
            // The listener counts for itself and accepts no more than fit. Here the place of a connection that just
            // closed may not be free yet.
            state.add(channel)
            return .serve
        }
    }

    /// A connection ended. Does nothing for one that was evicted before.
    func remove(_ channel: any Channel) {
        state.withLock { state in
            if state.held.removeValue(forKey: ObjectIdentifier(channel)) != nil { return }
            guard let index = state.connections.firstIndex(where: { $0 === channel }) else { return }
            state.connections.remove(at: index)
            state.statistics.open -= 1
            state.statistics.closed += 1
        }
    }

    /// A connection could not be secured.
    func handshakeFailed(_ problem: TLSProblem) {
        count { $0.handshakesFailed += 1 }
        logger.info("TLS connection refused", metadata: [LogKeys.reason: "\(problem)"])
    }

    /// Counts something that happened on a connection.
    func count(_ change: (inout ServerStatistics) -> Void) {
        state.withLock { change(&$0.statistics) }
    }
}

extension ServerRegistry.State {
    fileprivate mutating func add(_ channel: any Channel) {
        connections.append(channel)
        statistics.accepted += 1
        statistics.open += 1
    }

    /// - Returns: whether there was room for one more that is not served.
    fileprivate mutating func hold(_ channel: any Channel) -> Bool {
        guard held.count < ModbusServer.Configuration.maximumHeldConnections else {
            statistics.refused += 1
            return false
        }
        held[ObjectIdentifier(channel)] = channel
        statistics.held += 1
        return true
    }
}
