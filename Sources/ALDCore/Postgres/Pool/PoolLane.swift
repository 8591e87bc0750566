/// What a connection is wanted for. Callers of one lane are served in order of arrival; every lane can have
/// connections reserved for it, so that a slow reader never keeps the writer waiting.
public enum PoolLane: String, Sendable, CaseIterable {
    /// Recording: what was accepted has to get into the database.
    case writer
    /// Everything that asks and can wait.
    case reader
    /// Learns about commands to the machine, which are worth milliseconds.
    case commandListener
    /// Health checks.
    case probe

    /// When a connection that every lane may have becomes free, a caller of this lane is treated as if he had come
    /// that much earlier. A difference and no rank: whoever waits longer than that goes first, so that no lane
    /// starves another one.
    var headStart: Duration {
        switch self {
        case .commandListener: .milliseconds(2000)
        case .writer: .milliseconds(1000)
        case .probe: .milliseconds(500)
        case .reader: .zero
        }
    }
}

/// One value for every lane.
struct PerLane<Value: Sendable>: Sendable {
    private var writer: Value
    private var reader: Value
    private var commandListener: Value
    private var probe: Value

    init(_ value: (PoolLane) -> Value) {
        writer = value(.writer)
        reader = value(.reader)
        commandListener = value(.commandListener)
        probe = value(.probe)
    }

    subscript(lane: PoolLane) -> Value {
        get {
            switch lane {
            case .writer: writer
            case .reader: reader
            case .commandListener: commandListener
            case .probe: probe
            }
        }
        _modify {
            switch lane {
            case .writer: yield &writer
            case .reader: yield &reader
            case .commandListener: yield &commandListener
            case .probe: yield &probe
            }
        }
    }
}
