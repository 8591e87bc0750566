/// What the writer knows of one lane. A value; ``WriterStateMachine`` changes it.
struct WriterLane: Sendable {
    /// A batch that was read and has not been settled.
    struct Slot: Hashable, Sendable {
        var position: SpoolPosition
        var records: Int
        var kind: BatchKind
    }

    /// Batches of one kind that wait until somebody has changed something.
    struct Hold: Sendable {
        /// They are tried again then.
        var until: MonotonicInstant
        var fault: SinkFault
    }

    /// How a batch that must not be sent again as it is lives on.
    enum Cut: Hashable, Sendable {
        /// In two halves: one of its records is bad, or it is too big.
        case halves
        /// Its only record becomes a dead letter.
        case deadLetter
        /// The record at this offset becomes a dead letter, what is before and behind it goes on.
        case around(Int)
        /// As it is under a new name: its own was closed, and the process that did it has ended.
        case again
        /// The readings of these parameters, which nobody has registered, wait by themselves; the others go on.
        case apart(Set<Int32>)
    }

    enum Step: Hashable, Sendable {
        case deliver
        /// The name of the first batch is to be closed in the ledger, so that no attempt that is still on its way can
        /// land it; then it is cut.
        case void(Cut)
        case cut(Cut)
    }

    enum State: Hashable, Sendable {
        /// Nothing is under way. Can transition to: reading, working.
        case resting
        /// The spool is read. Can transition to: resting, pausing.
        case reading
        /// A delivery, or the closing of a name, is under way at the database. Can transition to: all but reading.
        case working(CircuitBreaker.Permit)
        /// The spool cuts. Can transition to: resting, pausing.
        case cutting
        /// It failed and is tried again then. Can transition to: resting.
        case pausing(until: MonotonicInstant)
    }

    var state = State.resting
    var step = Step.deliver
    /// In order of their positions.
    var bench: [Slot] = []
    /// How many batches of the bench the attempt under way has.
    var attempt = 0
    /// At most so many go into one attempt, while it is looked for the one that is bad.
    var most: Int?
    /// So many at the head of the bench were refused together.
    var suspects = 0
    /// The attempt is in doubt: just these are sent again.
    var repeats: Int?
    var fault: SinkFault?
    /// What is not read from the spool. An entry stays until a delivery of its kind has landed.
    var holds: [BatchKind: Hold] = [:]
    var backoff: Backoff
    var pace: DeliveryPace

    init(backoff: Backoff.Configuration, pace: DeliveryPace.Bounds) {
        self.backoff = Backoff(backoff)
        self.pace = DeliveryPace(pace)
    }

    var isBusy: Bool {
        switch state {
        case .reading, .working, .cutting: true
        case .resting, .pausing: false
        }
    }

    /// How many batches of the bench are to be tried together.
    var attemptSize: Int {
        if let repeats { return min(repeats, bench.count) }
        var size = 0
        var records = 0
        for slot in bench.prefix(most ?? bench.count) {
            records += slot.records
            if size > 0, records > pace.records { break }
            size += 1
        }
        return size
    }

    /// Kinds that are not to be read yet.
    func held(now: MonotonicInstant) -> Set<BatchKind> { Set(holds.filter { now < $0.value.until }.keys) }

    /// What is on the bench goes back to the spool, and what is known of it is forgotten: every batch has an entry of its
    /// own in the ledger, so it may come again in any company.
    mutating func clear() {
        bench = []
        (most, suspects, repeats) = (nil, 0, nil)
        (step, state) = (.deliver, .resting)
    }

    func records(in attempt: Int) -> Int { bench.prefix(attempt).reduce(0) { $0 + $1.records } }

    /// The first `count` batches of the bench need not be thought of any more, apart from those in `kept`.
    mutating func settle(_ count: Int, except kept: Set<Int> = []) {
        let left = bench.indices.prefix(count).filter { kept.contains($0) }.map { bench[$0] }
        bench = left + bench.dropFirst(count)
        suspects = max(0, suspects - (count - left.count))
        if suspects == 0 { most = nil }
        repeats = nil
    }

    /// One of the first `count` batches is bad.
    ///
    /// - Parameter first: how many before it are known to be good, if that is known.
    mutating func suspect(_ count: Int, first: Int?) {
        suspects = max(suspects, count)
        most = max(1, first ?? count / 2)
        repeats = nil
    }
}
