extension RecipeMachine {
    /// Where a run is.
    public struct Progress: Hashable, Sendable {
        /// The step under way; `nil` between steps and after the last.
        public var step: Int32?
        /// Which iteration of each loop around it, outermost first, from 1.
        public var iterations: [Int] = []
        /// Steps done, those in loops once per iteration.
        public var completedSteps: Int64 = 0
        public var totalSteps: Int64
    }

    /// Something to be written down: what a run did, in the order in which it did it.
    public enum Record: Hashable, Sendable {
        case began(step: Int32, iterations: [Int], at: MonotonicInstant)
        /// A step was done as programmed.
        case completed(step: Int32, iterations: [Int], at: MonotonicInstant)
        /// A step was left before its end.
        case broken(step: Int32, iterations: [Int], at: MonotonicInstant, reason: String)
        /// A valve was open from the first to the second instant: from when it was asked to open to when it was asked
        /// to close, which for calls that take equally long is how long it was open. The last is its confirmation.
        case pulse(
            ParameterID, programmed: Duration, opened: MonotonicInstant, closed: MonotonicInstant,
            confirmed: MonotonicInstant)
        /// A set point was written, in the middle of a ramp or not, and confirmed.
        case set(SetPoint, asked: MonotonicInstant, confirmed: MonotonicInstant)
        /// A set point was read back.
        case verified(SetPoint, actual: Double, at: MonotonicInstant)
        /// An output could not be written; it is tried again unless the run says that it failed.
        case trouble(SetPoint, reason: String, at: MonotonicInstant)
        /// An output was brought into its safe state.
        case secured(SetPoint, at: MonotonicInstant)
        case paused(at: MonotonicInstant)
        case resumed(at: MonotonicInstant)
    }

    /// What has to be written down since this was asked last.
    public mutating func takeRecords() -> [Record] {
        defer { records = [] }
        return records
    }

    mutating func noteBegin(_ step: RecipeStep, now: MonotonicInstant) {
        (progress.step, progress.iterations) = (step.id, cursor.iterations)
        records.append(.began(step: step.id, iterations: progress.iterations, at: now))
    }

    mutating func noteEnd(now: MonotonicInstant) {
        guard let step = progress.step else { return }
        records.append(.completed(step: step, iterations: progress.iterations, at: now))
        progress.completedSteps += 1
        (progress.step, progress.iterations) = (nil, [])
    }

    mutating func noteBreak(_ reason: String, now: MonotonicInstant) {
        guard let step = progress.step else { return }
        records.append(.broken(step: step, iterations: progress.iterations, at: now, reason: reason))
    }
}
