/// What a parameter is in the simulated machine.
///
/// A register map does not say so; it is found from the words of its name and its component's name ("Vacuum Pump",
/// "power_on"), its unit, its type and whether it can be written. The first rule that fits decides; words are compared
/// whole and in lower case.
///
/// | Role | Rule |
/// |---|---|
/// | ``pump`` | writable binary, "pump" in the component or the name |
/// | ``gateValve`` | writable binary, "gate" or "exhaust" |
/// | ``purge`` | writable binary, "purge" |
/// | ``processValve`` | writable binary, "valve" in the component and "state" or "open" in the name |
/// | ``power`` | writable binary, "power" in the name |
/// | ``ready`` | binary that can only be read, "ready" in the name |
/// | ``heaterOutput`` | number that can only be read, "pid" and "output" in the name |
/// | ``heater`` | writable number in °C, °F or K, or "temperature" in the name |
/// | ``massFlow`` | writable number in sccm, slm or sl/min, or "flow" in the name |
/// | ``gauge`` | number that can only be read, in Pa, hPa, kPa, mbar, bar or Torr, or "pressure" in the name |
/// | ``other`` | everything else |
enum MachineRole: Hashable, Sendable, CaseIterable {
    /// A temperature under control: it follows its set point.
    case heater
    /// How hard a heater works, in per cent.
    case heaterOutput
    /// A flow under control: it follows its set point.
    case massFlow
    /// A pressure in the chamber.
    case gauge
    case pump
    /// Between chamber and pump.
    case gateValve
    /// Lets a dose into the chamber while it is open.
    case processValve
    /// Lets purge gas into the chamber while it is on.
    case purge
    /// Switches the heater, flow or generator of its component.
    case power
    /// Follows the power switch of its component after a while.
    case ready
    case other

    init(of parameter: Parameter) {
        let (component, name) = (Self.words(parameter.component), Self.words(parameter.name))
        self =
            parameter.dataType == .binary
            ? Self.binary(component, name, isWritable: parameter.isWritable)
            : Self.number(name, unit: parameter.unit, isWritable: parameter.isWritable)
    }

    private static func binary(_ component: Set<String>, _ name: Set<String>, isWritable: Bool) -> MachineRole {
        guard isWritable else { return name.contains("ready") ? .ready : .other }
        let all = component.union(name)
        if all.contains("pump") { return .pump }
        if !all.isDisjoint(with: ["gate", "exhaust"]) { return .gateValve }
        if all.contains("purge") { return .purge }
        if component.contains("valve"), !name.isDisjoint(with: ["state", "open"]) { return .processValve }
        return name.contains("power") ? .power : .other
    }

    private static func number(_ name: Set<String>, unit: String, isWritable: Bool) -> MachineRole {
        if !isWritable, name.isSuperset(of: ["pid", "output"]) { return .heaterOutput }
        if isWritable, ["°C", "°F", "K"].contains(unit) || name.contains("temperature") { return .heater }
        if isWritable, ["sccm", "slm", "sl/min"].contains(unit) || name.contains("flow") { return .massFlow }
        let pressures = ["Pa", "hPa", "kPa", "mbar", "bar", "Torr"]
        if !isWritable, pressures.contains(unit) || name.contains("pressure") { return .gauge }
        return .other
    }

    /// Names of states: a value called so is what it is and has no noise.
    private static let stateWords: Set = [
        "binary", "state", "status", "switch", "enable", "enabled", "on", "off", "running", "active", "alarm", "fault",
        "error", "warning", "mode", "position",
    ]

    /// Whether a parameter's measured value has noise and takes time to move: not a switch, not one whose range is at
    /// most 1, not one that is named like a state, and not a setting, which is read where it is written.
    static func fluctuates(_ parameter: Parameter) -> Bool {
        parameter.dataType != .binary && parameter.range.upperBound - parameter.range.lowerBound > 1
            && parameter.writeLocation != parameter.readLocation
            && words(parameter.name).isDisjoint(with: stateWords)
    }

    private static func words(_ text: String) -> Set<String> {
        Set(text.lowercased().split { !$0.isLetter && !$0.isNumber }.map(String.init))
    }
}
