/// Tells one bad record from a database that no record fits any more. Without it a constraint that somebody adds by
/// mistake would turn a night's data into dead letters.
package struct SystemicGuard: Hashable, Sendable {
    /// So long a dead letter counts.
    package static let window = Duration.seconds(600)
    /// So many with the same fingerprint within the window are one cause, not many accidents.
    package static let maximum = 20
    /// So is this share of the records that went by in the meantime, …
    static let rate = 0.05
    /// … once there are more than so many.
    static let benefitOfDoubt = 5
    /// So many batches are put aside before everything of their kind is held: then others may land, and show that the
    /// bad ones are few.
    static let maximumDoubts = 10
    /// Rules that can be broken at the same time.
    static let maximumFingerprints = 64

    private struct Landing: Hashable {
        var at: MonotonicInstant
        var records: Int
    }

    private var buried: [String: [MonotonicInstant]] = [:]
    /// Joined by minute.
    private var landings: [Landing] = []

    mutating func landed(_ records: Int, now: MonotonicInstant) {
        if let last = landings.indices.last, now - landings[last].at < .seconds(60) {
            landings[last].records += records
        } else {
            landings.removeAll { now - $0.at > Self.window }
            landings.append(Landing(at: now, records: records))
        }
    }

    /// Whether one more record with this fault may become a dead letter.
    mutating func mayBury(_ fingerprint: String, now: MonotonicInstant) -> Bool {
        forget(now: now)
        guard let earlier = buried[fingerprint]?.count else { return buried.count < Self.maximumFingerprints }
        if earlier >= Self.maximum { return false }
        let landed = landings.reduce(0) { $0 + (now - $1.at > Self.window ? 0 : $1.records) }
        let share = Double(earlier + 1) / Double(landed + earlier + 1)
        return earlier < Self.benefitOfDoubt || share <= Self.rate
    }

    mutating func hasBuried(_ fingerprint: String, now: MonotonicInstant) {
        buried[fingerprint, default: []].append(now)
    }

    private mutating func forget(now: MonotonicInstant) {
        for (fingerprint, instants) in buried {
            let kept = instants.filter { now - $0 <= Self.window }
            buried[fingerprint] = kept.isEmpty ? nil : kept
        }
    }
}
