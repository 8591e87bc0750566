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
    /// The connection ends with the first bytes that come after something has passed the other way since the fault was
    /// set: whoever was asked has answered, and none of the answer passes. Where an answer is sent in parts, only with
    /// ``Ending/timeout`` can it be produced to its end; see also ``message``.
    public var losesAnswer = false
    /// The connection ends where the next message of PostgreSQL with this type begins, which does not pass. A client's
    /// start-up packets have no type.
    public var message: UInt8?
    /// How the connection ends that a limit, a lost answer or a message ends.
    public var ending = Ending.reset
    /// How probable it is of each byte that it comes as another one, 0…1.
    public var corrupt = 0.0
    /// When whoever sends has ended, the other one hears of it so much later, or when the fault is healed.
    public var slowClose: Duration = .zero
    /// How probable it is of each connection that these faults apply to it at all, 0…1.
    public var toxicity = 1.0

    public init() {}

    public static let none = StreamFaults()

    /// The connection ends when so many more bytes have passed.
    public static func cut(after bytes: Int, _ ending: Ending) -> StreamFaults {
        var faults = StreamFaults()
        (faults.limitData, faults.ending) = (bytes, ending)
        return faults
    }

    /// The connection ends where the next message of PostgreSQL with this type, such as `UInt8(ascii: "C")`, begins.
    public static func cut(atMessage type: UInt8, _ ending: Ending) -> StreamFaults {
        var faults = StreamFaults()
        (faults.message, faults.ending) = (type, ending)
        return faults
    }

    /// The next request is answered, and its answer is lost; for the direction in which the answer goes.
    public static func loseAnswer(_ ending: Ending) -> StreamFaults {
        var faults = StreamFaults()
        (faults.losesAnswer, faults.ending) = (true, ending)
        return faults
    }
}
