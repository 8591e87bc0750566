import ALDCore

extension Scenario {
    /// What it is set to: how many clients, at which rate, which trouble. Read from the values that its work keeps, so that
    /// what is said here is what is run.
    public var parameters: [String: String] {
        guard let work else { return [:] }
        return Mirror(reflecting: work).children.reduce(into: [:]) { parameters, child in
            if let name = child.label { parameters[name] = Self.text(child.value) }
        }
    }

    /// `nil` for what is not there, and for what a test plants.
    private static func text(_ value: Any) -> String? {
        switch value {
        case let duration as Duration: return DurationText.short(duration)
        case let range as ClosedRange<Duration>:
            return range.lowerBound == range.upperBound
                ? text(range.lowerBound)
                : "\(DurationText.short(range.lowerBound)) to \(DurationText.short(range.upperBound))"
        case let number as Double: return number == number.rounded() ? "\(Int(number))" : "\(number)"
        case is String, is any BinaryInteger, is Bool: return "\(value)"
        case let value as any RawRepresentable: return text(value.rawValue)
        default: break
        }
        let mirror = Mirror(reflecting: value)
        let parts = mirror.children.compactMap { child -> String? in
            guard let text = text(child.value) else { return nil }
            return child.label.flatMap { $0.hasPrefix(".") || $0 == "some" ? nil : $0 }.map { "\($0): \(text)" } ?? text
        }
        switch mirror.displayStyle {
        case .optional: return parts.first
        case .enum: return parts.isEmpty ? "\(value)" : parts.joined(separator: ", ")
        case .collection: return parts.joined(separator: ", ")
        // In the same order each time.
        case .set: return parts.sorted().joined(separator: ", ")
        case .struct, .tuple: return parts.isEmpty ? nil : parts.joined(separator: ", ")
        // Functions have no style.
        default: return nil
        }
    }
}
