public import ALDCore

/// What becomes of a proxy in the course of time.
public struct FaultScript: Hashable, Sendable {
    public enum Action: Hashable, Sendable {
        case set(StreamFaults, FaultProxy.Direction)
        case refuse(first: Int, StreamFaults.Ending)
        case down
        case freeze
        case reset
        case heal
    }

    public struct Step: Hashable, Sendable {
        /// After the step before, or after the beginning.
        public var after: Duration
        public var action: Action
    }

    public private(set) var steps: [Step] = []

    public init() {}

    /// - Parameter delay: after the step before, or after the beginning.
    public func then(after delay: Duration, _ action: Action) -> FaultScript {
        var script = self
        script.steps.append(Step(after: delay, action: action))
        return script
    }
}

extension FaultProxy {
    /// Plays a script to its end. What its last step has set stays; one that is cancelled heals.
    ///
    /// - Throws: `CancellationError`.
    nonisolated(nonsending) public func play(_ script: FaultScript, on time: some TimeSource) async throws {
        var due = time.now
        do {
            for step in script.steps {
                due = due + step.after
                try await time.sleep(until: due)
                perform(step.action)
            }
        } catch {
            heal()
            throw error
        }
    }

    private func perform(_ action: FaultScript.Action) {
        switch action {
        case .set(let faults, let direction): set(faults, direction)
        case .refuse(let count, let ending): refuse(first: count, ending)
        case .down: down()
        case .freeze: freeze()
        case .reset: reset()
        case .heal: heal()
        }
    }
}
