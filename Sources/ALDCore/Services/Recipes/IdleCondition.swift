/// What one parameter must be before a recipe may start.
package struct IdleCondition: Hashable, Sendable {
    var parameter: ParameterID
    var minimum: Double?
    var maximum: Double?
    /// For people.
    var note: String

    /// - Parameter word: `range` with its bounds, `on` or `off`, as the table says.
    init(parameter: ParameterID, word: String, minimum: Double?, maximum: Double?, note: String) {
        self.parameter = parameter
        self.note = note
        switch word {
        case "on": (self.minimum, self.maximum) = (1, nil)
        case "off": (self.minimum, self.maximum) = (0, 0)
        default: (self.minimum, self.maximum) = (minimum, maximum)
        }
    }

    /// Why it does not hold; `nil` when it does. What cannot be read does not hold.
    func problem(in scan: Scan, of map: RegisterMap) -> String? {
        guard let reading = scan.readings.first(where: { $0.parameter == parameter }), let value = reading.value else {
            return "\(name(map)) cannot be read"
        }
        if let minimum, value < minimum { return "\(name(map)) is \(value), must be at least \(minimum)\(remark)" }
        if let maximum, value > maximum { return "\(name(map)) is \(value), must be at most \(maximum)\(remark)" }
        return nil
    }

    private func name(_ map: RegisterMap) -> String { map[parameter]?.qualifiedName ?? "parameter \(parameter)" }

    private var remark: String { note.isEmpty ? "" : " (\(note))" }
}
