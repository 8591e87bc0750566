import NIOCore
import Testing

@testable import Modbus

@Suite("Golden frames: every function, both ways", .background)
struct GoldenFrameTests {
    @Test("a request is written as the specification prints it", arguments: goldenFrames + goldenRawFrames)
    func encodesRequest(_ golden: GoldenFrame) throws {
        var buffer = ByteBuffer()
        try buffer.writeModbusRequest(golden.request, transaction: golden.transaction, unit: golden.unit)
        #expect(hex(buffer) == hex(golden.requestBytes))
    }

    @Test("a request is read as the specification prints it", arguments: goldenFrames)
    func decodesRequest(_ golden: GoldenFrame) throws {
        #expect(try ModbusRequest(decodingPDU: golden.requestBytes.pdu) == golden.request)
    }

    @Test("an answer is written as the specification prints it", arguments: goldenFrames + goldenRawFrames)
    func encodesResponse(_ golden: GoldenFrame) {
        var buffer = ByteBuffer()
        buffer.writeModbusResponse(golden.response, transaction: golden.transaction, unit: golden.unit)
        #expect(hex(buffer) == hex(golden.responseBytes))
    }

    @Test("an answer is read as the specification prints it", arguments: goldenFrames + goldenRawFrames)
    func decodesResponse(_ golden: GoldenFrame) throws {
        let response = try ModbusResponse(decodingPDU: golden.responseBytes.pdu, answering: golden.request)
        #expect(response == golden.response)
        #expect(response.mismatch(with: golden.request) == nil)
    }

    @Test("a raw request is decoded as nothing: its function is the device's own", arguments: goldenRawFrames)
    func rawRequests(_ golden: GoldenFrame) {
        #expect(throws: ModbusException.illegalFunction) { try ModbusRequest(decodingPDU: golden.requestBytes.pdu) }
    }

    @Test("an answer cut short or with a byte more is no answer, for every function")
    func truncatedAnswers() {
        for golden in goldenFrames {
            let pdu = golden.responseBytes.pdu
            for length in 0..<pdu.readableBytes {
                #expect(throws: ResponseMismatch.self, "\(golden.name), \(length) bytes") {
                    try ModbusResponse(decodingPDU: pdu.part(0, length), answering: golden.request)
                }
            }
            #expect(throws: ResponseMismatch.self, "\(golden.name), oversized") {
                try ModbusResponse(decodingPDU: .joined([pdu, bytes("00")]), answering: golden.request)
            }
        }
    }

    @Test("no answer fits another request than its own")
    func answersAreExact() {
        for asked in goldenFrames {
            for other in goldenFrames where other.request != asked.request {
                if case .exception(let function, _) = other.response, function == asked.request.function { continue }
                // How long a queue is, is the device's own.
                if case .readFIFOQueue = asked.request, case .fifoQueue = other.response { continue }
                #expect(throws: ResponseMismatch.self, "\(other.name) for \(asked.name)") {
                    try ModbusResponse(decodingPDU: other.responseBytes.pdu, answering: asked.request)
                }
                #expect(other.response.mismatch(with: asked.request) != nil)
            }
        }
    }
}
