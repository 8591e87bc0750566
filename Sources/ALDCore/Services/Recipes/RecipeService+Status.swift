extension RecipeService {
    /// What Terminal 2 is doing, and what it has done since it was created.
    /// `started = completed + aborted + failed` and the run under way.
    public struct Status: Hashable, Sendable {
        public enum Phase: Hashable, Sendable {
            /// What an earlier process may have left open is closed, and its process ended.
            case starting
            /// The same, and it does not succeed; says why. No recipe starts before it has.
            case unsafe(String)
            case ready
            /// The machine and the recipe are looked at before the start.
            case checking
            case running
            case paused
            case stopping
            case ended
        }

        public internal(set) var phase = Phase.starting
        /// The process under way.
        public internal(set) var process: Int64?
        /// Its recipe.
        public internal(set) var recipe: String?
        public internal(set) var progress: RecipeMachine.Progress?
        public internal(set) var started = 0
        public internal(set) var completed = 0
        public internal(set) var aborted = 0
        public internal(set) var failed = 0
        /// Start commands that began no process.
        public internal(set) var refused = 0
        /// Why the last recipe did not run to its end, or did not start.
        public internal(set) var lastProblem: String?
        /// Commands that have ended and whose record does not say so yet.
        public internal(set) var unnoted = 0
        /// Whether notifications come through.
        public internal(set) var hearsBell = false
        /// Why the tables could not be reached; `nil` while they can.
        public internal(set) var problem: String?
    }

    struct Run {
        var command: Int64
        var process: Int64?
        var recipe: String?
        var isPaused = false
        var recorder: ProcessRecorder?
    }

    struct State {
        var status = Status()
        var run: Run?
        /// Commands that are this terminal's until their end is noted.
        var executing: Set<Int64> = []
        /// Processes that this terminal runs, or has run and whose end is not in the database yet.
        var processes: Set<Int64> = []
        var finished: [RecipeDesk.Finished] = []
        /// Commands that an earlier terminal was executing.
        var adopted: [RecipeDesk.Taken] = []
        var isRecovered = false
        var unsafe: String?
        var isStopping = false
        var isEnded = false
        var stopsBy: MonotonicInstant?

        /// Where a command about a process belongs.
        enum Destination: Hashable, Sendable {
            /// To the run under way.
            case here
            /// Not known yet: the run under way has no number so far.
            case unknown
            case elsewhere
        }

        /// Story: the process is in the database, and its stop arrives before the answer that tells us its number.
        func destination(of process: Int64?) -> Destination {
            guard let run else { return .elsewhere }
            guard let number = run.process else { return .unknown }
            return number == process ? .here : .elsewhere
        }

        var phase: Status.Phase {
            if isEnded { return .ended }
            if isStopping { return .stopping }
            if let run { return run.process == nil ? .checking : run.isPaused ? .paused : .running }
            if let unsafe { return .unsafe(unsafe) }
            return isRecovered ? .ready : .starting
        }

        /// - Returns: why no recipe may start now; `nil`: it may, and no other.
        mutating func claim(_ command: RecipeDesk.Taken) -> String? {
            if isStopping { return "the recipe service is shutting down" }
            if let unsafe { return "what an earlier run may have left open is not closed yet: \(unsafe)" }
            if !isRecovered { return "the recipe service is still looking after what an earlier one has left" }
            if let run { return "process \(run.process.map { "\($0)" } ?? "of command \(run.command)") is under way" }
            run = Run(command: command.id)
            return nil
        }
    }
}
