/// Durations as people write them: `30`, `30s`, `250ms`, `1.5 s`, `5m`, `2h`, `6d`. A bare number is seconds.
public enum DurationText {
    private static let units: [(suffix: String, seconds: Double)] = [
        ("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("d", 86_400), ("", 1),
    ]

    /// - Returns: to the nearest nanosecond; `nil` for anything that is not a positive duration of at most a year.
    public static func parse(_ text: String) -> Duration? {
        let text = text.trimmingPrefix(while: \.isWhitespace)
        guard let unit = units.first(where: { text.hasSuffix($0.suffix) }),
            let number = Double(trimmed(text.dropLast(unit.suffix.count))), number.isFinite
        else { return nil }
        let seconds = number * unit.seconds
        guard seconds > 0, seconds <= 366 * 86_400 else { return nil }
        return .nanoseconds(Int64((seconds * 1e9).rounded()))
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text
        while text.last?.isWhitespace == true { text.removeLast() }
        return text
    }

    /// The shortest way to write a duration of whole milliseconds, in the largest unit that holds it whole.
    public static func short(_ duration: Duration) -> String {
        let milliseconds = duration.wholeNanoseconds / 1_000_000
        for (suffix, size) in [("h", 3_600_000), ("m", 60_000), ("s", 1000)] as [(String, Int64)]
        where milliseconds >= size && milliseconds % size == 0 { return "\(milliseconds / size)\(suffix)" }
        return "\(milliseconds)ms"
    }

    /// `h:mm:ss` for people.
    public static func clock(_ duration: Duration) -> String {
        let seconds = Int(duration.components.seconds)
        let padded = [seconds / 60 % 60, seconds % 60].map { $0 < 10 ? "0\($0)" : "\($0)" }
        return "\(seconds / 3600):\(padded[0]):\(padded[1])"
    }
}
