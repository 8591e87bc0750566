extension ModbusResponse {
    /// What keeps this from being an answer to `request`: another function, another quantity, another echo, more than
    /// a frame holds. Nil when its shape is exactly the one the request asks for, or when it is an exception to the
    /// request's function.
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
        case (.readWroteRegisters(let registers), .readWriteRegisters(let range, _, _)):
            return Self.quantity(registers.count, range.count, kindFits: true)
        case (.exceptionStatus, .readExceptionStatus), (.commEventCounter, .getCommEventCounter):
            return nil
        case (.diagnostics(let function, let data), .diagnostics(let asked, _)) where asked.returnsWord:
            guard function == asked else { return ResponseMismatch("the answer to \(function) for \(asked)") }
            return Self.quantity(data.count, 1, kindFits: true)
        case (.serverID(let bytes), .reportServerID):
            return Self.size(bytes.count, atMost: ModbusLimits.maximumServerIDSize)
        case (.fileRecords(let groups), .readFileRecords(let ranges)):
            return groups.map(\.count) == ranges.map(\.count)
                ? nil : ResponseMismatch("other groups of file records than were asked for")
        case (.fifoQueue(let words), .readFIFOQueue):
            return Self.size(words.count, atMost: ModbusLimits.maximumFIFOCount)
        case (.deviceIdentification(let page), .readDeviceIdentification(let access, let object)):
            return page.mismatch(with: access, object)
        case (.raw(_, let data), .raw):
            return Self.size(data.count, atMost: ModbusLimits.maximumRawData)
        default:
            return self == ModbusResponse(acknowledging: request)
                ? nil : ResponseMismatch("the echo of another request, or an answer of another kind")
        }
    }

    /// The values of a read's answer.
    ///
    /// - Throws: ``ModbusError/Code/exception(_:_:)`` for an exception, ``ModbusError/Code/malformedResponse(_:)``
    ///   for the answer to another kind of request.
    func readData() throws(ModbusError) -> ReadData {
        switch self {
        case .bits(_, let bits): return .bits(bits)
        case .registers(_, let registers): return .registers(registers)
        case .exception(let function, let code): throw ModbusError(.exception(code, function), function: function)
        default: throw unexpected
        }
    }

    /// What a call throws that got the answer to another kind of request than it made.
    var unexpected: ModbusError {
        ModbusError(.malformedResponse("the answer is of another kind than the request"), function: function)
    }

    private static func quantity(_ count: Int, _ wanted: Int, kindFits: Bool) -> ResponseMismatch? {
        guard kindFits else { return ResponseMismatch("bits for registers or registers for bits") }
        return count == wanted ? nil : ResponseMismatch("\(count) values where \(wanted) were asked for")
    }

    private static func size(_ count: Int, atMost maximum: Int) -> ResponseMismatch? {
        count <= maximum ? nil : ResponseMismatch("\(count) items where an answer has at most \(maximum)")
    }
}
