/// How far a value can be trusted. The numbers are those of OPC, which historians know.
public enum Quality: Int16, Sendable, CaseIterable {
    /// Read from the PLC and within what the parameter allows.
    case good = 192
    /// Read from the PLC, but outside the parameter's range.
    case uncertain = 64
    /// Not read, or not a number: the reading has no value.
    case bad = 0
}
