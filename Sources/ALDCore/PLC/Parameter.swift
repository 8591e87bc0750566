public import Modbus

/// How a value is stored in the PLC.
public enum DataType: String, Sendable, CaseIterable {
    /// IEEE 754 single precision in two consecutive registers.
    case float32 = "float"
    /// Two's complement in two consecutive registers.
    case int32
    /// Two's complement in one register.
    case int16
    /// One coil or discrete input; in a register, zero is off and anything else is on.
    case binary

    /// How many addresses a value takes in `table`.
    public func addressCount(in table: DataTable) -> Int {
        switch self {
        case .float32, .int32: 2
        case .int16, .binary: 1
        }
    }

    /// Numbers need registers; a binary may live anywhere.
    public func fits(_ table: DataTable) -> Bool {
        self == .binary || !table.isBits
    }
}

/// A place in the PLC's memory: one of the four tables of the Modbus data model and an address in it.
public struct RegisterLocation: Hashable, Sendable, CustomStringConvertible {
    public var table: DataTable
    public var address: UInt16

    public init(table: DataTable, address: UInt16) {
        self.table = table
        self.address = address
    }

    public var description: String { "\(table) \(address)" }
}

/// One quantity of the machine: a temperature, a valve, a flow.
public struct Parameter: Hashable, Sendable, Identifiable {
    public var id: ParameterID
    /// The component it belongs to, for instance "Chamber Heater".
    public var component: String
    /// Its name within the component, for instance "temperature".
    public var name: String
    /// The unit of value, limits and set point; empty for a plain number or a switch.
    public var unit: String
    /// The smallest and largest value that make sense, in `unit`, both included.
    public var range: ClosedRange<Double>
    public var dataType: DataType
    /// Where the measured value is read.
    public var readLocation: RegisterLocation
    /// Where the set point is written; `nil` for a parameter that can only be read.
    public var writeLocation: RegisterLocation?
    /// The value of a machine that has just been switched on, in `unit`.
    public var initialValue: Double

    public init(
        id: ParameterID, component: String, name: String, unit: String = "", range: ClosedRange<Double>,
        dataType: DataType, readLocation: RegisterLocation, writeLocation: RegisterLocation? = nil,
        initialValue: Double = 0
    ) {
        self.id = id
        self.component = component
        self.name = name
        self.unit = unit
        self.range = range
        self.dataType = dataType
        self.readLocation = readLocation
        self.writeLocation = writeLocation
        self.initialValue = initialValue
    }

    /// The name people type: component and name joined by a dot, for instance "Chamber Heater.temperature".
    public var qualifiedName: String { "\(component).\(name)" }

    public var isWritable: Bool { writeLocation != nil }
}
