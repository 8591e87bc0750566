/// The addresses that host names had when they could last be looked up, for the time in which they cannot be.
///
/// Serving what is stale beats not connecting (RFC 8767): a server rarely moves while its name servers are away, and if it
/// did, certificate and password are still checked. A name that is known not to exist any more is forgotten.
struct NameMemory: Sendable {
    /// RFC 8767, section 5, suggests one to three days.
    static let maximumAge: Duration = .seconds(86_400)
    /// Names that are remembered at a time; beyond, the one that was looked up longest ago is forgotten.
    static let capacity = 64

    private struct Entry {
        var addresses: [String]
        var since: MonotonicInstant
    }

    private var entries: [String: Entry] = [:]

    mutating func remember(_ addresses: [String], of name: String, now: MonotonicInstant) {
        guard !addresses.isEmpty else { return }
        entries[name] = Entry(addresses: addresses, since: now)
        guard entries.count > Self.capacity, let oldest = entries.min(by: { $0.value.since < $1.value.since }) else {
            return
        }
        entries[oldest.key] = nil
    }

    mutating func forget(_ name: String) {
        entries[name] = nil
    }

    /// - Returns: the addresses and how long ago they were true; `nil` when there are none, or none young enough.
    func recall(_ name: String, now: MonotonicInstant) -> (addresses: [String], age: Duration)? {
        guard let entry = entries[name] else { return nil }
        let age = now - entry.since
        return age <= Self.maximumAge ? (entry.addresses, age) : nil
    }
}
