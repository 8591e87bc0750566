public import ALDCore

/// Why a ``World`` stopped. Each names the seed: with it the run happens again, step by step.
public struct WorldError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Reason: Hashable, Sendable {
        /// Nothing is ready, nobody sleeps, and what was waited for has not come.
        case deadlock
        /// So many jobs ran without any time passing.
        case livelock(jobs: Int)
        /// A job came from a thread outside: something in the world uses real threads or the shared executor.
        case escaped
        /// An invariant was broken.
        case violated(String)
    }

    public var reason: Reason
    public var seed: UInt64
    public var at: MonotonicInstant

    public var description: String {
        let what =
            switch reason {
            case .deadlock: "deadlock: no job is ready, nobody sleeps, and the end has not come"
            case .livelock(let jobs): "livelock: \(jobs) jobs ran without any time passing"
            case .escaped: "a job was enqueued by a thread outside of the world, which cannot be replayed"
            case .violated(let what): "violated: \(what)"
            }
        return "\(what); seed \(seed), \(at - World.beginning) into the run"
    }
}
