import ALDCore

/// What a load of a given rate has come to when the last of it has landed.
struct LandedLoad: Hashable, Sendable {
    /// By how much of it has landed in time.
    enum Class: String, Sendable {
        case stable = "STABLE"
        /// Less than four fifths.
        case degraded = "DEGRADED"
        /// Less than half.
        case failed = "FAILED"
    }

    /// A writer may hold a batch for 100 ms, and that nothing waits any more is seen some milliseconds later.
    static let grace = Duration.milliseconds(200)

    /// How long the load was to last.
    var planned: Duration
    /// From its beginning until all of it had landed: a load that could not be kept up takes longer itself, even if
    /// nothing waits in the end.
    var taken: Duration
    var due: Int
    var dropped: Int
    /// Of what was begun.
    var failureRatio: Double

    init(planned: Duration, taken: Duration, due: Int, dropped: Int = 0, failureRatio: Double = 0) {
        self.planned = planned
        self.taken = taken
        self.due = due
        self.dropped = dropped
        self.failureRatio = failureRatio
    }

    /// - Parameter landed: when nothing of the load waited any more.
    init(_ report: LoadReport, planned: Duration, landed: MonotonicInstant) {
        self.init(
            planned: planned, taken: report.span.map { landed - $0.lowerBound } ?? .zero, due: report.due,
            dropped: report.dropped, failureRatio: report.failureRatio)
    }

    /// How long after the end of the plan the last of it landed.
    var behind: Duration { max(.zero, taken - planned) }

    /// What of it was begun, did not fail and landed at the rate at which it was due, 0…1.
    var inTime: Double {
        let excess = max(0, (behind - Self.grace).inSeconds)
        let pace = planned.inSeconds / (planned.inSeconds + excess)
        return pace * (1 - failureRatio) * (1 - Double(dropped) / Double(max(1, due)))
    }

    var `class`: Class { inTime < 0.5 ? .failed : inTime < 0.8 ? .degraded : .stable }
}

/// Looks for the highest rate that is kept up: doubles it as long as it is. One miss may be the machine's, which had
/// something else to do; two in a row are the rate's.
struct RateSearch: Sendable {
    enum Step: Hashable, Sendable {
        /// Drive this many a second and report.
        case drive(Double)
        /// The highest rate that was kept up, 0 for none, and the one that was not; `nil` when all were.
        case end(best: Double, broken: Double?)
    }

    private let highest: Double
    private var rate: Double
    private var best = 0.0
    private var misses = 0

    init(from first: Double, upTo highest: Double) {
        rate = first
        self.highest = highest
    }

    /// The first step, and what has been found when there is no time for more.
    var first: Step { .drive(rate) }
    var interrupted: Step { .end(best: best, broken: misses > 0 ? rate : nil) }

    mutating func driven(isKept: Bool) -> Step {
        guard isKept else {
            misses += 1
            return misses < 2 ? .drive(rate) : .end(best: best, broken: rate)
        }
        misses = 0
        best = rate
        rate *= 2
        return rate <= highest ? .drive(rate) : .end(best: best, broken: nil)
    }
}
