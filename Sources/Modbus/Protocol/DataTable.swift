/// The four tables of the Modbus data model (MODBUS Application Protocol V1.1b3 §4.3).
public enum DataTable: Hashable, Sendable, CaseIterable {
    /// Single bits, read and write.
    case coils
    /// Single bits, read only.
    case discreteInputs
    /// 16-bit words, read and write.
    case holdingRegisters
    /// 16-bit words, read only.
    case inputRegisters

    /// The function that reads this table.
    public var readFunction: FunctionCode {
        switch self {
        case .coils: .readCoils
        case .discreteInputs: .readDiscreteInputs
        case .holdingRegisters: .readHoldingRegisters
        case .inputRegisters: .readInputRegisters
        }
    }

    /// The most addresses one read may cover: 2000 bits or 125 registers.
    public var maximumReadCount: Int {
        isBits ? ModbusLimits.maximumReadBits : ModbusLimits.maximumReadRegisters
    }

    /// Whether an address holds one bit rather than one 16-bit register.
    public var isBits: Bool {
        switch self {
        case .coils, .discreteInputs: true
        case .holdingRegisters, .inputRegisters: false
        }
    }

    /// The table that `function` reads, nil when it is not one of functions 01 to 04.
    init?(readBy function: FunctionCode) {
        switch function {
        case .readCoils: self = .coils
        case .readDiscreteInputs: self = .discreteInputs
        case .readHoldingRegisters: self = .holdingRegisters
        case .readInputRegisters: self = .inputRegisters
        default: return nil
        }
    }
}

extension DataTable: CustomStringConvertible {
    public var description: String {
        switch self {
        case .coils: "coils"
        case .discreteInputs: "discrete inputs"
        case .holdingRegisters: "holding registers"
        case .inputRegisters: "input registers"
        }
    }
}
