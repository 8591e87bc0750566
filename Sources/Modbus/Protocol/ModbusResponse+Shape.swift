extension ModbusResponse {
    /// What keeps this from being an answer to `request`: another function, another quantity, another echo. Nil when
    /// its shape is exactly the one the request asks for, or when it is an exception to the request's function.
    public func mismatch(with request: ModbusRequest) -> ResponseMismatch? {
        guard function == request.function else {
            return ResponseMismatch("an answer to \(function) for \(request.function)")
        }
        switch (self, request) {
        case (.exception, _):
            return nil
        case (.bits(let table, let bits), .read(_, let range)):
            return Self.quantity(bits.count, range.count, kindFits: table.isBits)
        case (.registers(let table, let registers), .read(_, let range)):
            return Self.quantity(registers.count, range.count, kindFits: !table.isBits)
        default:
            return self == ModbusResponse(acknowledging: request)
                ? nil : ResponseMismatch("the echo of another write")
        }
    }

    /// The values of a read's answer.
    ///
    /// - Throws: ``ModbusError/Code/exception(_:_:)`` for an exception, ``ModbusError/Code/malformedResponse(_:)``
    ///   for the answer to a write.
    func readData() throws(ModbusError) -> ReadData {
        switch self {
        case .bits(_, let bits): return .bits(bits)
        case .registers(_, let registers): return .registers(registers)
        case .exception(let function, let code): throw ModbusError(.exception(code, function), function: function)
        case .wroteCoil, .wroteRegister, .wroteCoils, .wroteRegisters:
            throw ModbusError(.malformedResponse("the answer to a write came for a read"), function: function)
        }
    }

    private static func quantity(_ count: Int, _ wanted: Int, kindFits: Bool) -> ResponseMismatch? {
        guard kindFits else { return ResponseMismatch("bits for registers or registers for bits") }
        return count == wanted ? nil : ResponseMismatch("\(count) values where \(wanted) were asked for")
    }
}
