import NIOCore
import Testing

@testable import Modbus

@Suite("Golden frames: every function, both ways")
struct GoldenFrameTests {
    @Test("a request is written as the specification prints it", arguments: goldenFrames)
    func encodesRequest(_ golden: GoldenFrame) throws {
        var buffer = ByteBuffer()
        try buffer.writeModbusRequest(golden.request, transaction: golden.transaction, unit: golden.unit)
        #expect(hex(buffer) == hex(golden.requestBytes))
    }

    @Test("a request is read as the specification prints it", arguments: goldenFrames)
    func decodesRequest(_ golden: GoldenFrame) throws {
        #expect(try ModbusRequest(decodingPDU: golden.requestBytes.pdu) == golden.request)
    }

    @Test("an answer is written as the specification prints it", arguments: goldenFrames)
    func encodesResponse(_ golden: GoldenFrame) {
        var buffer = ByteBuffer()
        buffer.writeModbusResponse(golden.response, transaction: golden.transaction, unit: golden.unit)
        #expect(hex(buffer) == hex(golden.responseBytes))
    }

    @Test("an answer is read as the specification prints it", arguments: goldenFrames)
    func decodesResponse(_ golden: GoldenFrame) throws {
        let response = try ModbusResponse(decodingPDU: golden.responseBytes.pdu, answering: golden.request)
        #expect(response == golden.response)
        #expect(response.mismatch(with: golden.request) == nil)
    }

    @Test("no answer fits another request than its own")
    func answersAreExact() {
        for asked in goldenFrames {
            for other in goldenFrames where other.request != asked.request {
                if case .exception(let function, _) = other.response, function == asked.request.function { continue }
                #expect(throws: ResponseMismatch.self, "\(other.name) for \(asked.name)") {
                    try ModbusResponse(decodingPDU: other.responseBytes.pdu, answering: asked.request)
                }
                #expect(other.response.mismatch(with: asked.request) != nil)
            }
        }
    }
}
