import NIOCore

/// How long a PDU is, which on a serial line follows from its function and its own counts alone (MODBUS Application
/// Protocol V1.1b3 §6).
enum RTULength: Hashable {
    /// This many bytes, function code included.
    case known(Int)
    /// The bytes that say so have not come yet.
    case incomplete
    /// No such function, or none whose length can be told.
    case unknown

    /// - Parameter pdu: begins with a request's function code.
    static func request(_ pdu: ByteBuffer) -> RTULength {
        guard let function = pdu.byte(at: 0) else { return .incomplete }
        return switch FunctionCode(rawValue: function) {
        case .readCoils, .readDiscreteInputs, .readHoldingRegisters, .readInputRegisters, .writeSingleCoil,
            .writeSingleRegister, .diagnostics:
            .known(5)
        case .readExceptionStatus, .getCommEventCounter, .reportServerID: .known(1)
        case .writeMultipleCoils, .writeMultipleRegisters: counted(pdu, at: 5)
        case .readFileRecord, .writeFileRecord: counted(pdu, at: 1)
        case .maskWriteRegister: .known(7)
        case .readWriteMultipleRegisters: counted(pdu, at: 9)
        case .readFIFOQueue: .known(3)
        case .encapsulatedInterface: encapsulated(pdu) { .known(4) }
        default: .unknown
        }
    }

    /// - Parameters:
    ///   - pdu: begins with a response's function code.
    ///   - diagnostics: how long the answer to function 08 is: as long as its request.
    static func response(_ pdu: ByteBuffer, diagnostics: Int = 5) -> RTULength {
        guard let function = pdu.byte(at: 0) else { return .incomplete }
        if FunctionCode(rawValue: function).isException { return .known(2) }
        return switch FunctionCode(rawValue: function) {
        case .readCoils, .readDiscreteInputs, .readHoldingRegisters, .readInputRegisters, .reportServerID,
            .readFileRecord, .writeFileRecord, .readWriteMultipleRegisters:
            counted(pdu, at: 1)
        case .writeSingleCoil, .writeSingleRegister, .writeMultipleCoils, .writeMultipleRegisters,
            .getCommEventCounter:
            .known(5)
        case .diagnostics: .known(diagnostics)
        case .readExceptionStatus: .known(2)
        case .maskWriteRegister: .known(7)
        case .readFIFOQueue:
            pdu.getInteger(at: pdu.readerIndex + 1, as: UInt16.self).map { .known(3 + Int($0)) } ?? .incomplete
        case .encapsulatedInterface: encapsulated(pdu) { objects(pdu) }
        default: .unknown
        }
    }

    /// Everything up to a byte that counts what follows it.
    private static func counted(_ pdu: ByteBuffer, at offset: Int) -> RTULength {
        pdu.byte(at: offset).map { .known(offset + 1 + Int($0)) } ?? .incomplete
    }

    /// Of the encapsulated interfaces only device identification (type 14) has a length that can be told (§6.21).
    private static func encapsulated(_ pdu: ByteBuffer, _ length: () -> RTULength) -> RTULength {
        guard let type = pdu.byte(at: 1) else { return .incomplete }
        return type == 14 ? length() : .unknown
    }

    /// Function, type, access, conformity, more, next and number of objects; then identifier, length and value of each.
    private static func objects(_ pdu: ByteBuffer) -> RTULength {
        guard let count = pdu.byte(at: 6) else { return .incomplete }
        var length = 7
        for _ in 0..<count {
            guard let size = pdu.byte(at: length + 1) else { return .incomplete }
            length += 2 + Int(size)
            // What cannot end within a frame is not worth waiting for.
            guard length <= ModbusLimits.maximumPDUSize else { break }
        }
        return .known(length)
    }
}

extension ModbusRequest {
    /// Checks that the other end of a serial line can tell where the request ends. Only a raw one can be at fault. An
    /// echo (08) may be longer than the specification says.
    ///
    /// - Throws: ``ModbusError/Code/invalidRequest(_:)``.
    func checkedForRTU() throws(ModbusError) {
        guard case .raw = self else { return }
        var pdu = ByteBuffer()
        writePDU(to: &pdu)
        let isLongEcho = function == .diagnostics && pdu.readableBytes > 5
        guard isLongEcho || RTULength.request(pdu) == .known(pdu.readableBytes) else {
            throw ModbusError(
                .invalidRequest(
                    "RTU frames have no length: only functions of the specification can be sent, as long as their own "
                        + "counts say"),
                function: function)
        }
    }
}

extension ByteBuffer {
    fileprivate func byte(at offset: Int) -> UInt8? {
        getInteger(at: readerIndex + offset)
    }
}
