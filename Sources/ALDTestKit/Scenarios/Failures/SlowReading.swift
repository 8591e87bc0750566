import ALDCore

/// How often a controller can be read each of whose answers comes late: what Terminal 1 owes while it is slow.
///
/// Readings begin on the grid. The first ones may be given up for being slower than ever before: the first after most of a
/// period, each further one after twice as long. Then each is finished, and the next one begins with the next instant.
struct SlowReading: Hashable, Sendable {
    var period: Duration
    /// Of one request, at the most.
    var delay: Duration
    /// Of one reading, one after the other.
    var requests: Int

    /// What a reading takes at the most; it may begin a quarter of a period late.
    private var reading: Duration { delay * requests + period / 4 }

    /// From one reading to the next.
    private var interval: Duration { Self.instants(in: reading, period) }

    /// Until one has the time that it needs.
    private var adaptation: Duration {
        var (patience, passed) = (period * 0.8, Duration.zero)
        while patience < reading {
            passed += Self.instants(in: patience, period)
            patience = patience * 2
        }
        return passed
    }

    private static func instants(in time: Duration, _ period: Duration) -> Duration {
        period * Int((time / period).rounded(.up))
    }

    /// Readings that begin and end in such a time, whatever the moment at which it begins.
    func count(in duration: Duration) -> Int {
        max(0, Int(((duration - period - adaptation) / interval).rounded(.down)))
    }

    /// In which there is one.
    var shortest: Duration { period + adaptation + interval }
}
