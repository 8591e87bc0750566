/// Durations as people write them: `30`, `30s`, `250ms`, `5m`, `2h`. A bare number is seconds.
enum DurationText {
    private static let units: [(suffix: String, seconds: Double)] = [
        ("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("", 1),
    ]

    /// - Returns: `nil` for anything that is not a positive duration of at most a year.
    static func parse(_ text: String) -> Duration? {
        let text = text.trimmingPrefix(while: \.isWhitespace)
        guard let unit = units.first(where: { text.hasSuffix($0.suffix) }),
            let number = Double(text.dropLast(unit.suffix.count)), number.isFinite
        else { return nil }
        let seconds = number * unit.seconds
        guard seconds > 0, seconds <= 366 * 86_400 else { return nil }
        return .seconds(seconds)
    }

    /// `h:mm:ss` for people.
    static func clock(_ duration: Duration) -> String {
        let seconds = Int(duration.components.seconds)
        let padded = [seconds / 60 % 60, seconds % 60].map { $0 < 10 ? "0\($0)" : "\($0)" }
        return "\(seconds / 3600):\(padded[0]):\(padded[1])"
    }
}
