/// What a measurement counts. Numbers are in base units, so that nobody has to guess.
public enum Quantity: String, Codable, Sendable {
    case seconds
    case bytes
    /// How many.
    case count
    /// A part of a whole, 0…1, or one number divided by another.
    case ratio
    case perSecond = "per second"
    case bytesPerHour = "bytes per hour"
    case bytesPerSecond = "bytes per second"

    /// For people: `12.4 ms`, `3.1 %`, `1.5 MB`.
    public func text(_ value: Double) -> String {
        switch self {
        case .seconds: Self.seconds(value)
        case .bytes: Self.bytes(value)
        case .count: value == value.rounded() && abs(value) < 1e15 ? "\(Int(value))" : Self.digits(value)
        case .ratio: Self.digits(value * 100) + " %"
        case .perSecond: Self.digits(value) + "/s"
        case .bytesPerHour: Self.bytes(value) + "/h"
        case .bytesPerSecond: Self.bytes(value) + "/s"
        }
    }

    private static func seconds(_ value: Double) -> String {
        switch abs(value) {
        case 0: "0 ms"
        case ..<0.001: digits(value * 1e6) + " µs"
        case ..<1: digits(value * 1e3) + " ms"
        case ..<120: digits(value) + " s"
        case ..<7200: digits(value / 60) + " min"
        default: digits(value / 3600) + " h"
        }
    }

    private static func bytes(_ value: Double) -> String {
        switch abs(value) {
        case ..<1e3: digits(value) + " B"
        case ..<1e6: digits(value / 1e3) + " kB"
        case ..<1e9: digits(value / 1e6) + " MB"
        default: digits(value / 1e9) + " GB"
        }
    }

    /// Three digits that mean something.
    private static func digits(_ value: Double) -> String {
        guard value.isFinite else { return "\(value)" }
        let decimals: Double = abs(value) < 10 ? 100 : abs(value) < 100 ? 10 : 1
        let rounded = (value * decimals).rounded() / decimals
        return rounded == rounded.rounded() && abs(rounded) < 1e15 ? "\(Int(rounded))" : "\(rounded)"
    }
}
