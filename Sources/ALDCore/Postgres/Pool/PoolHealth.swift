/// How a pool is, in one word, for health checks and status pages.
public enum PoolHealth: Sendable, Hashable {
    /// It has not connected yet, and nothing has failed.
    case starting
    case ok
    /// Some connections are there; new ones fail, for this reason.
    case degraded(PoolFailure.Reason)
    /// No connection is there, and connecting fails in a way that may pass by itself.
    case down(PoolFailure.Reason)
    /// No connection is there until a person has changed something.
    case misconfigured(PoolFailure.Reason)
    /// With the words of whoever paused it.
    case paused(String)
    case shutDown
}

extension PoolStateMachine {
    var health: PoolHealth {
        if isShutDown { return .shutDown }
        if let pauseReason { return .paused(pauseReason) }
        guard let error = gate.lastError else { return counters.connectsSucceeded > 0 ? .ok : .starting }
        let reason = PoolFailure.Reason(connecting: error)
        if hasUsable { return .degraded(reason) }
        return error.isConfigurationFault ? .misconfigured(reason) : .down(reason)
    }
}
