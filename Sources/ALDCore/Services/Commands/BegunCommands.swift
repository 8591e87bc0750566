/// Which commands this terminal has begun since it started, so that none is carried out twice, whatever the table says: a
/// database that was restored does not know what was written. It remembers at least the last ``capacity``.
struct BegunCommands: Sendable {
    /// A restore that reaches further back than so many commands is no longer noticed.
    static let capacity = 10_000

    private var current: Set<Int64> = []
    private var earlier: Set<Int64> = []

    /// - Returns: whether it is new.
    mutating func insert(_ id: Int64) -> Bool {
        if current.contains(id) || earlier.contains(id) { return false }
        if current.count == Self.capacity { (earlier, current) = (current, []) }
        current.insert(id)
        return true
    }
}
