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
    /// 07, §6.7.
    public static let readExceptionStatus = FunctionCode(rawValue: 7)
    /// 08, §6.8.
    public static let diagnostics = FunctionCode(rawValue: 8)
    /// 11 (0B), §6.9.
    public static let getCommEventCounter = FunctionCode(rawValue: 11)
    /// 15 (0F), §6.11.
    public static let writeMultipleCoils = FunctionCode(rawValue: 15)
    /// 16 (10), §6.12.
    public static let writeMultipleRegisters = FunctionCode(rawValue: 16)
    /// 17 (11), §6.13.
    public static let reportServerID = FunctionCode(rawValue: 17)
    /// 20 (14), §6.14.
    public static let readFileRecord = FunctionCode(rawValue: 20)
    /// 21 (15), §6.15.
    public static let writeFileRecord = FunctionCode(rawValue: 21)
    /// 22 (16), §6.16.
    public static let maskWriteRegister = FunctionCode(rawValue: 22)
    /// 23 (17), §6.17.
    public static let readWriteMultipleRegisters = FunctionCode(rawValue: 23)
    /// 24 (18), §6.18.
    public static let readFIFOQueue = FunctionCode(rawValue: 24)
    /// 43 (2B), §6.19. Its type 14 reads the device identification (§6.21).
    public static let encapsulatedInterface = FunctionCode(rawValue: 43)

    /// The bit that turns a function code into the head of an exception response (§7).
    static let exceptionBit: UInt8 = 0x80

    var isException: Bool {
        rawValue & Self.exceptionBit != 0
    }

    /// Whether a request can have this function: 1…127. The others are no functions or announce an exception (§4.1).
    var isRequestable: Bool {
        rawValue != 0 && !isException
    }

    /// The head byte of an exception response to this function.
    var exceptionByte: UInt8 {
        rawValue | Self.exceptionBit
    }
}

extension FunctionCode: CustomStringConvertible {
    public var description: String {
        guard let name else { return "function \(rawValue)" }
        return (rawValue < 10 ? "0" : "") + "\(rawValue) \(name)"
    }

    private var name: String? {
        switch self {
        case .readCoils: "read coils"
        case .readDiscreteInputs: "read discrete inputs"
        case .readHoldingRegisters: "read holding registers"
        case .readInputRegisters: "read input registers"
        case .writeSingleCoil: "write single coil"
        case .writeSingleRegister: "write single register"
        case .readExceptionStatus: "read exception status"
        case .diagnostics: "diagnostics"
        case .getCommEventCounter: "get comm event counter"
        case .writeMultipleCoils: "write multiple coils"
        case .writeMultipleRegisters: "write multiple registers"
        case .reportServerID: "report server ID"
        case .readFileRecord: "read file record"
        case .writeFileRecord: "write file record"
        case .maskWriteRegister: "mask write register"
        case .readWriteMultipleRegisters: "read/write multiple registers"
        case .readFIFOQueue: "read FIFO queue"
        case .encapsulatedInterface: "encapsulated interface"
        default: nil
        }
    }
}
