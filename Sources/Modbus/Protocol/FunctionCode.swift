/// What a request asks for (MODBUS Application Protocol V1.1b3 §5).
///
/// Any byte can be held: a function this library does not know is still named in errors and statistics.
public struct FunctionCode: RawRepresentable, Hashable, Sendable {
    public var rawValue: UInt8

    public init(rawValue: UInt8) {
        self.rawValue = rawValue
    }

    /// 01, §6.1.
    public static let readCoils = FunctionCode(rawValue: 1)
    /// 02, §6.2.
    public static let readDiscreteInputs = FunctionCode(rawValue: 2)
    /// 03, §6.3.
    public static let readHoldingRegisters = FunctionCode(rawValue: 3)
    /// 04, §6.4.
    public static let readInputRegisters = FunctionCode(rawValue: 4)
    /// 05, §6.5.
    public static let writeSingleCoil = FunctionCode(rawValue: 5)
    /// 06, §6.6.
    public static let writeSingleRegister = FunctionCode(rawValue: 6)
    /// 15 (0F), §6.11.
    public static let writeMultipleCoils = FunctionCode(rawValue: 15)
    /// 16 (10), §6.12.
    public static let writeMultipleRegisters = FunctionCode(rawValue: 16)

    /// The bit that turns a function code into the head of an exception response (§7).
    static let exceptionBit: UInt8 = 0x80

    var isException: Bool {
        rawValue & Self.exceptionBit != 0
    }

    /// The head byte of an exception response to this function.
    var exceptionByte: UInt8 {
        rawValue | Self.exceptionBit
    }
}

extension FunctionCode: CustomStringConvertible {
    public var description: String {
        switch self {
        case .readCoils: "01 read coils"
        case .readDiscreteInputs: "02 read discrete inputs"
        case .readHoldingRegisters: "03 read holding registers"
        case .readInputRegisters: "04 read input registers"
        case .writeSingleCoil: "05 write single coil"
        case .writeSingleRegister: "06 write single register"
        case .writeMultipleCoils: "15 write multiple coils"
        case .writeMultipleRegisters: "16 write multiple registers"
        default: "function \(rawValue)"
        }
    }
}
