/// A moment in civil time (UTC): microseconds since 1970-01-01T00:00:00Z, which is what PostgreSQL's `timestamptz`
/// resolves. Rows are stamped with it; nothing is ever scheduled by it, because civil time can jump.
public struct Timestamp: Hashable, Comparable, Sendable {
    /// Microseconds since the Unix epoch, leap seconds ignored.
    public var microseconds: Int64

    public init(microseconds: Int64) {
        self.microseconds = microseconds
    }

    public static func < (left: Timestamp, right: Timestamp) -> Bool {
        left.microseconds < right.microseconds
    }

    public func advanced(by duration: Duration) -> Timestamp {
        Timestamp(microseconds: microseconds &+ duration.wholeNanoseconds / 1000)
    }
}

extension Timestamp: CustomStringConvertible {
    private static let microsecondsPerDay: Int64 = 86_400_000_000

    /// Days since 1970-01-01, rounded down.
    private var day: Int64 {
        let (quotient, remainder) = microseconds.quotientAndRemainder(dividingBy: Self.microsecondsPerDay)
        return remainder < 0 ? quotient - 1 : quotient
    }

    /// Midnight UTC at which this moment's day began.
    public var startOfDay: Timestamp { Timestamp(microseconds: day &* Self.microsecondsPerDay) }

    /// ISO 8601 in UTC, for instance `2026-11-21T22:18:18.250000Z`.
    public var description: String {
        // Days to a date of the Gregorian calendar (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
        let shifted = day + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        let rest = microseconds &- day &* Self.microsecondsPerDay
        let seconds = rest / 1_000_000
        // In one piece: every event of a run is written with some of these.
        var text = ""
        text.reserveCapacity(27)
        func add(_ number: Int64, _ width: Int, _ end: Character) {
            let digits = String(number)
            for _ in digits.utf8.count..<max(width, digits.utf8.count) { text.append("0") }
            text += digits
            text.append(end)
        }
        add(year, 4, "-")
        add(month, 2, "-")
        add(dayOfYear - (153 * shiftedMonth + 2) / 5 + 1, 2, "T")
        add(seconds / 3600, 2, ":")
        add(seconds / 60 % 60, 2, ":")
        add(seconds % 60, 2, ".")
        add(rest % 1_000_000, 6, "Z")
        return text
    }
}
