/// What function 08 is asked to do (MODBUS Application Protocol V1.1b3 §6.8.1).
///
/// The specification has function 08 for serial lines; many devices and gateways answer it on TCP, too.
public struct DiagnosticFunction: RawRepresentable, Hashable, Sendable {
    public var rawValue: UInt16

    public init(rawValue: UInt16) {
        self.rawValue = rawValue
    }

    /// 00: the device sends back what it was sent, 1…125 words.
    public static let returnQueryData = DiagnosticFunction(rawValue: 0x00)
    /// 01: the device starts its communication anew and clears its counters. The word is 0000, or FF00 to clear the
    /// event log as well.
    public static let restartCommunications = DiagnosticFunction(rawValue: 0x01)
    /// 02: the diagnostic register, whose meaning is the device's own.
    public static let returnDiagnosticRegister = DiagnosticFunction(rawValue: 0x02)
    /// 03: another end of line on ASCII lines. The character stands in the word's high byte.
    public static let changeASCIIDelimiter = DiagnosticFunction(rawValue: 0x03)
    /// 04: the device stops answering. Since this has no answer by its nature, the client refuses to send it and a
    /// server answers 01.
    public static let forceListenOnly = DiagnosticFunction(rawValue: 0x04)
    /// 0A: all counters and the diagnostic register become zero.
    public static let clearCounters = DiagnosticFunction(rawValue: 0x0A)
    /// 0B: messages on the line since the last start or clearing; those for other units count as well.
    public static let returnBusMessageCount = DiagnosticFunction(rawValue: 0x0B)
    /// 0C: messages that failed their checksum.
    public static let returnBusCommunicationErrorCount = DiagnosticFunction(rawValue: 0x0C)
    /// 0D: exception responses the device gave.
    public static let returnBusExceptionErrorCount = DiagnosticFunction(rawValue: 0x0D)
    /// 0E: messages that were for this device.
    public static let returnServerMessageCount = DiagnosticFunction(rawValue: 0x0E)
    /// 0F: messages for this device that it did not answer.
    public static let returnServerNoResponseCount = DiagnosticFunction(rawValue: 0x0F)
    /// 10: requests answered with exception 07, negative acknowledge.
    public static let returnServerNAKCount = DiagnosticFunction(rawValue: 0x10)
    /// 11: requests answered with exception 06, busy.
    public static let returnServerBusyCount = DiagnosticFunction(rawValue: 0x11)
    /// 12: messages lost because characters came faster than they could be stored.
    public static let returnBusCharacterOverrunCount = DiagnosticFunction(rawValue: 0x12)
    /// 14: the overrun counter becomes zero.
    public static let clearOverrunCounter = DiagnosticFunction(rawValue: 0x14)

    /// Whether the device is another one afterwards, so that the request is never repeated. True for every
    /// sub-function that is not known to be harmless.
    public var changesDevice: Bool {
        self != .returnQueryData && !returnsWord
    }

    /// Whether the answer is one word of the device's; otherwise it is the request's echo.
    var returnsWord: Bool {
        self == .returnDiagnosticRegister || (0x0B...0x12).contains(rawValue)
    }

    /// Whether this is a sub-function with an answer whose shape the specification gives.
    var isAnswered: Bool {
        switch self {
        case .returnQueryData, .restartCommunications, .changeASCIIDelimiter, .clearCounters, .clearOverrunCounter:
            true
        default: returnsWord
        }
    }

    /// Whether a request may carry `data`.
    func accepts(_ data: [UInt16]) -> Bool {
        guard self != .returnQueryData else { return (1...ModbusLimits.maximumDiagnosticWords).contains(data.count) }
        guard data.count == 1 else { return false }
        switch self {
        case .restartCommunications: return data[0] == 0 || data[0] == 0xFF00
        case .changeASCIIDelimiter: return data[0] & 0xFF == 0
        default: return data[0] == 0
        }
    }
}

extension DiagnosticFunction: CustomStringConvertible {
    public var description: String {
        let digits = String(rawValue, radix: 16, uppercase: true)
        return "diagnostic sub-function " + (digits.count < 2 ? "0" : "") + digits
    }
}
