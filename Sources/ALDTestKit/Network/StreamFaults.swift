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
    /// ``Ending/timeout`` can it be produced to its end; see also ``trigger``.
    public var losesAnswer = false
    /// The connection ends where the next one of these begins, and nothing of it passes, unless its beginning had passed
    /// when the fault was set. Until it can be told apart, the beginning of what may be one is held back.
    public var trigger: FaultTrigger?
    /// How the connection ends that a limit, a lost answer or a trigger ends.
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

    /// The connection ends where the next one of these begins.
    public static func cut(at trigger: FaultTrigger, _ ending: Ending) -> StreamFaults {
        var faults = StreamFaults()
        (faults.trigger, faults.ending) = (trigger, ending)
        return faults
    }

    /// The next request is answered, and its answer is lost; for the direction in which the answer goes.
    public static func loseAnswer(_ ending: Ending) -> StreamFaults {
        var faults = StreamFaults()
        (faults.losesAnswer, faults.ending) = (true, ending)
        return faults
    }
}
