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

    /// A batch with a record that is refused, when so many are that it may be no accident.
    struct Doubt: Sendable {
        var slot: Slot
        var fault: SinkFault
    }

    /// The look through batches of one kind of which the first ones wait for somebody: later ones need not.
    struct Walk: Sendable {
        /// So far it has come.
        var after = SpoolPosition.start
        /// Deliveries in a row of which all batches wait.
        var deliveries = 0
        var hasLanded = false
        var fault: SinkFault
    }

    /// How a batch that must not be sent again as it is lives on.
    typealias Cut = BatchCut.Way

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

    /// What is read from the spool while all of the bench is under way: the database need not wait for it.
    enum Ahead: Hashable, Sendable {
        case nothing
        case underWay
        /// Follows the bench when all of it has landed.
        case ready([Slot])
        /// Under way, but what it was meant to follow has not landed.
        case unwanted
    }

    var state = State.resting
    var step = Step.deliver
    /// In order of their positions.
    var bench: [Slot] = []
    var ahead = Ahead.nothing
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
    /// Put behind the others, so that these have a chance to land.
    var doubts: [Doubt] = []
    var walks: [BatchKind: Walk] = [:]
    /// The kind that is read alone, behind those of its batches that wait.
    var walking: BatchKind?
    var backoff: Backoff
    var pace: DeliveryPace

    init(backoff: Backoff.Configuration, pace: DeliveryPace.Bounds) {
        self.backoff = Backoff(backoff)
        self.pace = DeliveryPace(pace)
    }

    /// How the first batch of the bench is to live on, when it is to be cut.
    var cut: Cut? {
        switch step {
        case .deliver: nil
        case .void(let cut), .cut(let cut): cut
        }
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

    /// What the spool must not bring once more.
    var claimed: [SpoolPosition] {
        let claimed = bench.map(\.position) + doubts.map(\.slot.position)
        guard case .ready(let slots) = ahead else { return claimed }
        return claimed + slots.map(\.position)
    }

    /// Where the read under way begins.
    var readsAfter: SpoolPosition { walking.flatMap { walks[$0]?.after } ?? .start }

    /// Whether nothing waits for somebody to change something.
    var isFree: Bool { holds.isEmpty && walks.isEmpty }

    /// Whether what waits can be taken as it comes: nothing is held, passed by or looked for.
    var isPlain: Bool { isFree && doubts.isEmpty && suspects == 0 && step == .deliver }

    /// Kinds that are not to be read yet.
    func held(now: MonotonicInstant) -> Set<BatchKind> {
        holds.isEmpty ? [] : Set(holds.filter { now < $0.value.until }.keys)
    }

    /// What is on the bench goes back to the spool, and what is known of it is forgotten: every batch has an entry of its
    /// own in the ledger, so it may come again in any company.
    mutating func clear() {
        (bench, doubts) = ([], [])
        forgetAhead()
        (most, suspects, repeats) = (nil, 0, nil)
        (step, state) = (.deliver, .resting)
    }

    mutating func forgetAhead() {
        switch ahead {
        case .nothing, .ready: ahead = .nothing
        case .underWay, .unwanted: ahead = .unwanted
        }
    }

    /// All of the bench has landed: what was read meanwhile is the next.
    mutating func follow() {
        switch ahead {
        case .ready(let slots): (bench, ahead) = (slots, .nothing)
        case .underWay: state = .reading
        case .nothing, .unwanted: break
        }
    }

    /// The spool has brought what follows the bench; nothing when it could not be read.
    mutating func hasReadAhead(_ slots: [Slot]) {
        let isAwaited = ahead == .underWay && state == .reading
        if isAwaited { (bench, state) = (slots, .resting) }
        // Nothing is kept, too: what could not be read is not asked for again before its turn has come.
        ahead = ahead == .underWay && !isAwaited ? .ready(slots) : .nothing
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

    /// The first batch is tried again when the others have had their chance.
    mutating func setAside(because fault: SinkFault) {
        guard let slot = bench.first else { return }
        doubts.append(Doubt(slot: slot, fault: fault))
        settle(1)
    }

    /// Those of one kind that were put aside are tried again, one by one.
    mutating func takeUp(_ kind: BatchKind) {
        bench = doubts.map(\.slot).filter { $0.kind == kind }
        doubts.removeAll { $0.slot.kind == kind }
        (most, suspects) = (1, bench.count)
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
