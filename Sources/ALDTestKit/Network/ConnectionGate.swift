/// What becomes of a new connection to a proxy. A value without I/O.
struct ConnectionGate: Sendable {
    enum Decision: Hashable, Sendable {
        case accept
        case refuse(ProxyFault, StreamFaults.Ending)
    }

    var isDown = false
    /// So many are refused yet, …
    private(set) var left = 0
    /// … so.
    private var ending = StreamFaults.Ending.reset

    mutating func refuse(first count: Int, _ ending: StreamFaults.Ending) {
        (left, self.ending) = (max(0, count), ending)
    }

    mutating func heal() { self = ConnectionGate() }

    mutating func connection() -> Decision {
        if isDown { return .refuse(.down, .reset) }
        guard left > 0 else { return .accept }
        left -= 1
        return .refuse(.refuse, ending)
    }
}
