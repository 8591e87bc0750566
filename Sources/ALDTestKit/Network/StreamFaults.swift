import ALDCore

/// What a proxy does to the bytes of one direction, in toxiproxy's words. By default nothing.
public struct StreamFaults: Hashable, Sendable {
    public enum Ending: Hashable, Sendable {
        /// In order, as if the peer had closed.
        case close
        /// At once, with a reset: what was under way is lost.
        case reset
        /// Not at all: nothing passes any more and nobody is told, as behind a cable that was pulled.
        case timeout
    }

    /// Every byte comes so much later, …
    public var latency: Duration = .zero
    /// … give or take, by chance; the order stays.
    public var jitter: Duration = .zero
    /// Bytes per second.
    public var bandwidth: Int?
    /// Bytes come in pieces of this size, …
    public var slicer: Int?
    /// … each so long after the one before.
    public var slicerDelay: Duration = .zero
    /// After so many bytes, counted from when the fault was set, the connection ends.
    public var limitData: Int?
    public var ending = Ending.reset

    public init() {}

    public static let none = StreamFaults()

    /// The connection ends when so many more bytes have passed.
    public static func cut(after bytes: Int, _ ending: Ending) -> StreamFaults {
        var faults = StreamFaults()
        (faults.limitData, faults.ending) = (bytes, ending)
        return faults
    }
}

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
    private var random: SeededGenerator
    private(set) var queued = 0
    /// Bytes that were thrown away.
    private(set) var swallowed = 0
    /// Whether whoever sends has ended.
    private(set) var isClosed = false

    init(seed: UInt64) {
        random = SeededGenerator(seed: seed)
    }

    /// From now on; what has come already goes as it was to go.
    mutating func set(_ faults: StreamFaults) {
        self.faults = faults
        left = faults.limitData
    }

    mutating func received(_ bytes: [UInt8], now: MonotonicInstant) {
        guard ending == nil else {
            swallowed += bytes.count
            return
        }
        var passing = bytes[...]
        if let left, bytes.count >= left {
            passing = bytes.prefix(left)
            swallowed += bytes.count - left
            ending = faults.ending
        }
        left = left.map { max(0, $0 - bytes.count) }
        let size = max(1, faults.slicer ?? passing.count)
        while !passing.isEmpty {
            let piece = Array(passing.prefix(size))
            passing = passing.dropFirst(size)
            enqueue(piece, now: now)
        }
    }

    private mutating func enqueue(_ bytes: [UInt8], now: MonotonicInstant) {
        let chance = faults.jitter > .zero ? Double.random(in: -1...1, using: &random) : 0
        var due = now + max(.zero, faults.latency + faults.jitter * chance)
        if let last = pieces.last {
            due = max(due, last.due + (faults.slicer == nil ? .zero : faults.slicerDelay))
        }
        if let bandwidth = faults.bandwidth {
            due = max(due, freeAt ?? due) + .seconds(1) * bytes.count / max(1, bandwidth)
            freeAt = due
        }
        pieces.append(Piece(due: due, bytes: bytes))
        queued += bytes.count
    }

    /// Whoever sends will send no more. Behind a pulled cable that is never heard of.
    mutating func closed() {
        isClosed = true
        ending = ending ?? .close
    }

    mutating func next(now: MonotonicInstant) -> Action {
        guard let first = pieces.first else {
            if let ending, ending != .timeout { return .end(ending) }
            return .wait(until: nil)
        }
        guard first.due <= now else { return .wait(until: first.due) }
        pieces.removeFirst()
        queued -= first.bytes.count
        return .send(first.bytes)
    }

    var hasBitten: Bool { ending != nil && left == 0 }
}
