import NIOCore

/// What is to happen when: in order of time, and of entry for the same time.
struct Agenda<Event: Sendable>: Sendable {
    private struct Entry: Sendable {
        var time: NIODeadline
        var event: Event
    }

    /// The latest first, so that the next one leaves at the end. Seldom more than a few entries for each connection.
    private var entries: [Entry] = []

    /// When the next event is due.
    var next: NIODeadline? {
        entries.last?.time
    }

    mutating func add(_ event: Event, at time: NIODeadline) {
        var (low, high) = (0, entries.count)
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].time > time { low = middle + 1 } else { high = middle }
        }
        entries.insert(Entry(time: time, event: event), at: low)
    }

    /// Forgets events that nobody waits for any more.
    mutating func remove(where isStale: (Event) -> Bool) {
        entries.removeAll { isStale($0.event) }
    }

    /// Takes the next event that is due at `now` or before.
    mutating func pop(dueAt now: NIODeadline) -> (NIODeadline, Event)? {
        guard let last = entries.last, last.time <= now else { return nil }
        entries.removeLast()
        return (last.time, last.event)
    }
}
