import Modbus

/// How a request failed, in the few words that scripts compare with.
enum ModbusErrorKind: Hashable, Sendable {
    /// No answer within the time for it, or no connection.
    case timeout
    /// The device said no.
    case exception(UInt8)
    /// An answer came that does not fit the request, or bytes that are no Modbus.
    case badResponse
    /// The connection ended before the answer came.
    case closed
    /// No connection could be made: refused, unreachable, no such name, or no agreement on TLS.
    case refused
    /// Somebody ended this program while the request was under way.
    case cancelled
    /// A write was sent and nobody can say whether it was executed.
    case unknownOutcome

    init(_ error: ModbusError) {
        switch error.code {
        case .exception(let code, _): self = .exception(code.rawValue)
        case .timedOut: self = .timeout
        case .connectionFailed(.refused, _): self = .refused
        case .connectionFailed(.noAnswer, _): self = .timeout
        case .connectionFailed(.lost, _): self = .closed
        case .connectionClosed: self = .closed
        case .unknownOutcome: self = .unknownOutcome
        case .malformedResponse: self = .badResponse
        case .cancelled, .shuttingDown: self = .cancelled
        // Neither can happen to a command that checks its arguments and asks one thing at a time.
        case .queueFull, .notConnected, .invalidRequest: self = .refused
        }
    }

    /// Whether asking for the same once more may end better.
    var isRepeatable: Bool {
        switch self {
        case .timeout, .badResponse, .closed, .refused, .exception(ExceptionCode.serverDeviceBusy.rawValue): true
        case .exception, .cancelled, .unknownOutcome: false
        }
    }
}

extension ModbusErrorKind: CustomStringConvertible {
    var description: String {
        switch self {
        case .timeout: "timeout"
        case .exception(let code): "exception-\(hexadecimal(code))"
        case .badResponse: "bad-response"
        case .closed: "closed"
        case .refused: "refused"
        case .cancelled: "cancelled"
        case .unknownOutcome: "unknown-outcome"
        }
    }

    static let help = """
        ERRORS
          timeout          no answer, or no connection, within --timeout
          exception-02     the device said no; the code in hexadecimal. A write that
                           ends with another one than 01, 02, 03, 06 or 0A may have
                           been executed
          bad-response     an answer that does not fit the request, or no Modbus
          closed           the connection ended before the answer came
          refused          no connection: refused, unreachable, no such name, or
                           TLS failed
          cancelled        this program was ended meanwhile
          unknown-outcome  a write was sent and may have been executed
        The reason in words goes to standard error.
        """
}

/// All digits of a number: `0A`, `00FF`. Digits above 9 are capital letters.
func hexadecimal(_ number: some FixedWidthInteger & UnsignedInteger) -> String {
    let digits = String(number, radix: 16, uppercase: true)
    return String(repeating: "0", count: type(of: number).bitWidth / 4 - digits.count) + digits
}
