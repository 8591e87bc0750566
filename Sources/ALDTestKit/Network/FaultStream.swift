import ALDCore

/// The bytes of one direction of one connection between coming and going. A value without I/O.
struct FaultStream: Sendable {
    enum Action: Hashable, Sendable {
        /// Pass these on.
        case send([UInt8])
        /// Nothing before then, unless more bytes come.
        case wait(until: MonotonicInstant?)
        /// End both directions.
        case end(StreamFaults.Ending)
    }

    private struct Piece {
        var due: MonotonicInstant
        var bytes: [UInt8]
    }

    private(set) var faults = StreamFaults.none
    private var pieces: [Piece] = []
    private var left: Int?
    private var freeAt: MonotonicInstant?
    private var ending: StreamFaults.Ending?
    /// Until then an end is held back.
    private var endsAt: MonotonicInstant?
    /// Whether something has passed the other way since the faults were set.
    private var isAsked = false
    private var framing: TriggerFraming
    /// What has come and may turn out to pull the trigger, and when it came.
    private var withheld: Piece?
    private var bites: [ProxyFault: Int] = [:]
    // Each has a stream of its own, so that the draws of one fault never change those of another.
    private var random: SeededGenerator
    private var corruption: SeededGenerator
    private var toxicity: SeededGenerator
    private(set) var queued = 0
    /// Bytes that were thrown away.
    private(set) var swallowed = 0
    /// Whether whoever sends has ended.
    private(set) var isClosed = false
    /// Whether a fault has ended the connection.
    private(set) var hasBitten = false

    init(seed: UInt64, _ direction: FaultProxy.Direction = .downstream) {
        random = SeededGenerator(seed: seed)
        var forks = SeededGenerator(seed: ~seed)
        (corruption, toxicity) = (forks.fork(), forks.fork())
        framing = TriggerFraming(direction)
    }

    /// From now on; what has come already goes as it was to go. Only an end that was held back is not any more.
    mutating func set(_ faults: StreamFaults) {
        passWithheld()
        self.faults = Double.random(in: 0..<1, using: &toxicity) < faults.toxicity ? faults : .none
        left = self.faults.limitData.map { max(0, $0) }
        isAsked = false
        endsAt = nil
    }

    /// Nothing passes any more, and nobody is told.
    mutating func pullCable() {
        ending = .timeout
        swallowed += withheld?.bytes.count ?? 0
        withheld = nil
    }

    /// Something has passed the other way.
    mutating func asked() {
        // What came before belongs to no answer.
        if !isAsked, faults.losesAnswer { passWithheld() }
        isAsked = true
    }

    mutating func received(_ bytes: [UInt8], now: MonotonicInstant) {
        let begin = framing.begin(of: faults.trigger, in: bytes)
        guard ending == nil else {
            swallowed += bytes.count
            return
        }
        let earlier = withheld?.bytes ?? []
        withheld = nil
        let bytes = earlier + bytes
        var passing = bytes
        // What has passed already is not to be had any more.
        if let cut = cut(bytes, triggeredAt: begin.map { max(0, earlier.count + $0) }) {
            passing = Array(bytes.prefix(cut.after))
            swallowed += bytes.count - cut.after
            ending = faults.ending
            hasBitten = true
            bite(cut.fault)
        } else {
            let undecided = bytes.suffix(framing.undecided(faults.trigger))
            if !undecided.isEmpty { withheld = Piece(due: now, bytes: Array(undecided)) }
            passing.removeLast(undecided.count)
        }
        left = left.map { max(0, $0 - passing.count) }
        pass(passing, now: now)
    }

    private mutating func passWithheld() {
        guard let held = withheld else { return }
        withheld = nil
        pass(held.bytes, now: held.due)
    }

    private mutating func pass(_ bytes: [UInt8], now: MonotonicInstant) {
        var bytes = bytes
        corrupt(&bytes)
        var rest = bytes[...]
        let size = max(1, faults.slicer ?? bytes.count)
        while !rest.isEmpty {
            enqueue(Array(rest.prefix(size)), now: now)
            rest = rest.dropFirst(size)
            if !rest.isEmpty { bite(.slicer) }
        }
    }

    /// Where in these bytes the connection ends, if it does.
    ///
    /// - Parameter begin: where what pulls the trigger begins.
    private func cut(_ bytes: [UInt8], triggeredAt begin: Int?) -> (after: Int, fault: ProxyFault)? {
        var cuts: [(after: Int, fault: ProxyFault)] = []
        if faults.losesAnswer, isAsked { cuts.append((0, .loseAnswer)) }
        if let trigger = faults.trigger, let begin { cuts.append((begin, trigger.fault)) }
        if let left, bytes.count >= left { cuts.append((left, .limitData)) }
        return cuts.min { $0.after < $1.after }
    }

    private mutating func corrupt(_ bytes: inout [UInt8]) {
        guard faults.corrupt > 0 else { return }
        for index in bytes.indices where Double.random(in: 0..<1, using: &corruption) < faults.corrupt {
            bytes[index] ^= UInt8.random(in: 1...255, using: &corruption)
            bite(.corrupt)
        }
    }

    private mutating func enqueue(_ bytes: [UInt8], now: MonotonicInstant) {
        let chance = faults.jitter > .zero ? Double.random(in: -1...1, using: &random) : 0
        let late = max(.zero, faults.latency + faults.jitter * chance)
        if faults.latency > .zero, late > .zero { bite(.latency) }
        if late != faults.latency { bite(.jitter) }
        var due = now + late
        if let last = pieces.last {
            due = max(due, last.due + (faults.slicer == nil ? .zero : faults.slicerDelay))
        }
        if let bandwidth = faults.bandwidth {
            let narrow = max(due, freeAt ?? due) + .seconds(1) * bytes.count / max(1, bandwidth)
            if narrow > due { bite(.bandwidth) }
            (due, freeAt) = (narrow, narrow)
        }
        pieces.append(Piece(due: due, bytes: bytes))
        queued += bytes.count
    }

    /// Whoever sends will send no more. Behind a pulled cable that is never heard of.
    mutating func closed(now: MonotonicInstant) {
        isClosed = true
        guard ending == nil else { return }
        passWithheld()
        ending = .close
        guard faults.slowClose > .zero else { return }
        endsAt = now + faults.slowClose
        bite(.slowClose)
    }

    mutating func next(now: MonotonicInstant) -> Action {
        guard let first = pieces.first else {
            guard let ending, ending != .timeout else { return .wait(until: nil) }
            if let endsAt, endsAt > now { return .wait(until: endsAt) }
            return .end(ending)
        }
        guard first.due <= now else { return .wait(until: first.due) }
        pieces.removeFirst()
        queued -= first.bytes.count
        return .send(first.bytes)
    }

    /// Whether whoever sends has ended and nobody is to know yet.
    func hidesEnd(now: MonotonicInstant) -> Bool { endsAt.map { $0 > now } ?? false }

    private mutating func bite(_ fault: ProxyFault) { bites[fault, default: 0] += 1 }

    /// Bites since this was asked last.
    mutating func takeBites() -> [ProxyFault: Int] {
        defer { bites = [:] }
        return bites
    }
}
