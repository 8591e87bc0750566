/// What a ``FaultProxy`` can do, in toxiproxy's words where it has one. Each kind counts its own bites, so that a fault
/// which touched nothing is known: see ``FaultProxy/Evidence/bites``.
public enum ProxyFault: String, Hashable, Sendable, CaseIterable {
    /// A bite is a piece that was held back.
    case latency
    /// A bite is a piece whose latency chance has changed.
    case jitter
    /// A bite is a piece that had to wait for those before it.
    case bandwidth
    /// A bite is a piece more than had come.
    case slicer
    /// A bite is a connection that ended at its limit.
    case limitData
    /// A bite is a connection whose answer was swallowed.
    case loseAnswer
    /// A bite is a connection that ended where a message of PostgreSQL was to pass.
    case message
    /// A bite is a connection that ended where a request or an answer of Modbus with a certain function was to pass.
    case function
    /// A bite is a byte that was changed.
    case corrupt
    /// A bite is an end that was held back.
    case slowClose
    /// A bite is a connection that was refused because it was among the first.
    case refuse
    /// A bite is a connection that was refused or reset.
    case down
    /// A bite is an end of a connection, or whoever wants a new one, that has something to say and is not heard.
    case freeze
    /// A bite is a connection that was reset.
    case reset
}
