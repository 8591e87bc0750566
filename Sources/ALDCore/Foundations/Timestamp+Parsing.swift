extension Timestamp {
    /// The moment that an ISO 8601 text names: a date, alone or with a time after `T` or a space, to the microsecond.
    /// Without a zone (`Z`, `+01:00`) it is UTC; a date alone is its midnight.
    ///
    /// - Returns: `nil` when it names no moment, for instance the 30th of February, or one after the year 294 247.
    public init?(iso8601 text: String) {
        let form =
            /(\d{4,6})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,6}))?)?(Z|[+-]\d{2}(?::?\d{2})?)?)?/
        guard let match = text.wholeMatch(of: form), let year = Int64(match.1), let month = Int64(match.2),
            let day = Int64(match.3), (1...12).contains(month)
        else { return nil }
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let lengths: [Int64] = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        guard (1...lengths[Int(month) - 1]).contains(day) else { return nil }
        let hour = match.4.flatMap { Int64($0) } ?? 0
        let minute = match.5.flatMap { Int64($0) } ?? 0
        let second = match.6.flatMap { Int64($0) } ?? 0
        guard hour < 24, minute < 60, second < 60, let offset = Self.seconds(ofZone: match.8) else { return nil }
        let fraction = match.7.flatMap { Int64($0 + String(repeating: "0", count: 6 - $0.count)) } ?? 0
        // A date of the Gregorian calendar to days (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
        let shiftedYear = month <= 2 ? year - 1 : year
        let era = shiftedYear / 400
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let days = era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
        let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset
        let (microseconds, isTooLate) = seconds.multipliedReportingOverflow(by: 1_000_000)
        // The last second that 64 bits hold is not told to the end.
        guard !isTooLate, microseconds <= .max - fraction else { return nil }
        self.init(microseconds: microseconds + fraction)
    }

    private static func seconds(ofZone zone: Substring?) -> Int64? {
        guard let zone, zone != "Z" else { return 0 }
        let digits = zone.dropFirst().filter(\.isNumber)
        guard let hours = Int64(digits.prefix(2)),
            let minutes = Int64(digits.dropFirst(2) + (digits.count == 2 ? "0" : "")),
            hours < 24, minutes < 60
        else { return nil }
        return (zone.first == "-" ? -1 : 1) * (hours * 3600 + minutes * 60)
    }
}
