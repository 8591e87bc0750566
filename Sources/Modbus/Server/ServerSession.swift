import NIOCore

/// One connection's protocol: bytes in, answers out. No socket.
struct ServerSession: Sendable {
    /// What became of the bytes.
    enum Verdict: Hashable, Sendable {
        /// The stream is sound.
        case goOn
        /// The stream is no Modbus stream; close after the answers so far.
        case close(MBAPHeader.Fault)
    }

    private var decoder = FrameDecoder()
    /// Answered since the connection began.
    private(set) var requests = 0
    private(set) var exceptions = 0

    init() {}

    /// Executes every complete request of `bytes` in order and appends the answers to `out`.
    mutating func received(_ bytes: ByteBuffer, device: any ModbusDevice, out: inout ByteBuffer) -> Verdict {
        decoder.append(bytes)
        while true {
            switch decoder.next() {
            case .needMoreBytes: return .goOn
            case .poisoned(let fault): return .close(fault)
            case .frame(let frame): answer(frame, device: device, out: &out)
            }
        }
    }

    private mutating func answer(_ frame: ModbusFrame, device: any ModbusDevice, out: inout ByteBuffer) {
        let response = Self.respond(to: frame, device: device)
        requests += 1
        if case .exception = response { exceptions += 1 }
        out.writeModbusResponse(response, transaction: frame.header.transaction, unit: frame.header.unit)
    }

    /// What a device answers to one frame, after all checks.
    static func respond(to frame: ModbusFrame, device: any ModbusDevice) -> ModbusResponse {
        let function = FunctionCode(rawValue: frame.functionByte)
        let request: ModbusRequest
        do throws(ModbusException) {
            request = try ModbusRequest(decodingPDU: frame.pdu)
        } catch {
            guard error == .illegalFunction, function.isRequestable else { return .exception(function, error.code) }
            request = .raw(RawRequest(function, Array(frame.pdu.readableBytesView.dropFirst())))
        }
        do throws(ModbusException) {
            let response = try answer(request, unit: frame.header.unit, device: device)
            // A device that answers something else than it was asked has failed.
            return response.mismatch(with: request) == nil ? response : .exception(function, .serverDeviceFailure)
        } catch {
            return .exception(function, error.code)
        }
    }

    private static func answer(
        _ request: ModbusRequest, unit: UnitID, device: any ModbusDevice
    ) throws(ModbusException) -> ModbusResponse {
        if case .raw(let raw) = request { return .raw(raw.function, try device.respond(toRaw: raw, unit: unit)) }
        return try device.respond(to: request, unit: unit)
    }
}
