/// The three services that run a machine, by the words of `terminal_instances`.
public enum Terminal: String, CaseIterable, Hashable, Sendable, CustomStringConvertible {
    case collection = "terminal1"
    case recipes = "terminal2"
    case commands = "terminal3"

    /// For people: "Terminal 1 (collection)".
    public var description: String {
        switch self {
        case .collection: "Terminal 1 (collection)"
        case .recipes: "Terminal 2 (recipes)"
        case .commands: "Terminal 3 (commands)"
        }
    }

    /// The word of logs and commands.
    public var service: String {
        switch self {
        case .collection: "collect"
        case .recipes: "recipes"
        case .commands: "commands"
        }
    }
}

/// What a terminal says of itself with each heartbeat.
public struct TerminalReport: Hashable, Sendable {
    public enum Status: String, Hashable, Sendable { case healthy, degraded, stopping }

    public var status = Status.healthy
    /// Why it is not healthy; empty when it is.
    public var reason = ""
    /// Cycles, recipes or commands done.
    public var processed = 0
    public var errors = 0
    /// The last error, `nil` when there was none since the last report.
    public var lastError: String?
    /// Why the controller cannot be reached; `nil` while it can.
    public var controllerFault: String?
    /// Whether notifications of the database come through.
    public var hearsBell = false

    public init() {}

    /// Two reasons to be degraded are one, and who stops does nothing else.
    public mutating func degrade(_ cause: String) {
        reason = reason.isEmpty ? cause : reason + "; " + cause
        if status == .healthy { status = .degraded }
    }
}
