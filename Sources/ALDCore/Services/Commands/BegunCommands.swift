import Foundation

/// Which commands this terminal has begun since it started, so that none is carried out twice, whatever the table says: a
/// database that was restored does not know what was written. They are known by their trace: a restored database gives
/// their numbers to others. It remembers at least the last ``capacity``.
struct BegunCommands: Sendable {
    /// A restore that reaches further back than so many commands is no longer noticed.
    static let capacity = 10_000

    private var current: Set<UUID> = []
    private var earlier: Set<UUID> = []

    /// - Returns: whether it is new.
    mutating func insert(_ trace: UUID) -> Bool {
        if current.contains(trace) || earlier.contains(trace) { return false }
        if current.count == Self.capacity { (earlier, current) = (current, []) }
        current.insert(trace)
        return true
    }
}
