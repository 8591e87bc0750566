/// Which statements a session has prepared, least recently used first to go.
///
/// Decides only; what the server has done is reported to it.
struct StatementCache: Sendable {
    /// What identifies a prepared statement: another type of parameter is another statement.
    struct Key: Hashable, Sendable {
        var sql: String
        var types: [UInt32]
    }

    enum Use: Equatable, Sendable {
        /// It is there.
        case execute(name: String)
        /// It must be made, in place of those that are named.
        case prepare(name: String, dropping: [String])
        /// Nothing may be prepared here and now.
        case unnamed
    }

    private struct Entry {
        var name: String
        var lastUse: UInt64
    }

    let capacity: Int
    /// Off for good once a session turned out to change behind our back.
    private(set) var isEnabled: Bool
    private var entries: [Key: Entry] = [:]
    /// Names that the server still knows and nobody uses any more.
    private var abandoned: [String] = []
    private var clock: UInt64 = 0

    init(capacity: Int, isEnabled: Bool = true) {
        self.capacity = capacity
        self.isEnabled = isEnabled && capacity > 0
    }

    var count: Int { entries.count }

    func isPrepared(_ key: Key) -> Bool { entries[key] != nil }

    /// - Parameter isInTransaction: there, a failing clean-up would cost the transaction, so nothing is dropped.
    mutating func use(_ key: Key, isInTransaction: Bool) -> Use {
        guard isEnabled else { return .unnamed }
        clock += 1
        if let entry = entries[key] {
            entries[key]?.lastUse = clock
            return .execute(name: entry.name)
        }
        guard entries.count >= capacity || !abandoned.isEmpty else { return .prepare(name: nextName, dropping: []) }
        if isInTransaction { return entries.count < capacity ? .prepare(name: nextName, dropping: []) : .unnamed }
        if entries.count >= capacity, let oldest = entries.min(by: { $0.value.lastUse < $1.value.lastUse }) {
            entries[oldest.key] = nil
            abandoned.append(oldest.value.name)
        }
        return .prepare(name: nextName, dropping: abandoned)
    }

    /// Names are never used twice, whatever became of the statement.
    private var nextName: String { "ald_\(clock)" }

    mutating func prepared(_ key: Key, as name: String) {
        entries[key] = Entry(name: name, lastUse: clock)
    }

    /// Whether the server has made the statement is not known: its name is taken back with the next one.
    mutating func inDoubt(_ name: String) {
        if isEnabled { abandoned.append(name) }
    }

    /// The server has forgotten these.
    mutating func dropped(_ names: [String]) {
        abandoned.removeAll { names.contains($0) }
    }

    /// The statement is of no use any more, for instance because a table has changed.
    mutating func forget(_ key: Key) {
        if let entry = entries.removeValue(forKey: key) { abandoned.append(entry.name) }
    }

    mutating func disable() {
        isEnabled = false
        entries = [:]
        abandoned = []
    }
}
