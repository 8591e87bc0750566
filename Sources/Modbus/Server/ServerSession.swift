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

    private static func respond(to frame: ModbusFrame, device: any ModbusDevice) -> ModbusResponse {
        do throws(ModbusException) {
            let request = try ModbusRequest(decodingPDU: frame.pdu)
            let response = try device.respond(to: request, unit: frame.header.unit)
            // A device that answers something else than it was asked has failed.
            return response.mismatch(with: request) == nil
                ? response : .exception(request.function, .serverDeviceFailure)
        } catch {
            return .exception(FunctionCode(rawValue: frame.functionByte), error.code)
        }
    }
}
