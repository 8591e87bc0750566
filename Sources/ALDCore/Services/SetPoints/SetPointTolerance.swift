/// How far two numbers for one set point may be apart and still be the same.
enum SetPointTolerance {
    /// Single precision keeps seven digits; what it rounds is no change.
    private static let rounding = 1e-6

    /// Below what the instruments of a unit resolve nothing has changed.
    private static let units: [String: Double] = [
        "°C": 0.01, "K": 0.01, "sccm": 0.01, "slm": 0.0001, "%": 0.01, "V": 0.001, "s": 0.001, "ms": 1,
    ]

    /// - Parameter given: what `component_parameters.setpoint_tolerance` says; it counts before the unit's.
    /// - Returns: in the unit of the value.
    static func of(_ value: Double, unit: String, given: Double?) -> Double {
        max(given ?? units[unit] ?? 0, abs(value) * rounding)
    }
}
