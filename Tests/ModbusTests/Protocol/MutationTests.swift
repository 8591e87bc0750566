import ALDTestKit
import NIOCore
import Testing

@testable import Modbus

/// Changes a frame the way lines and broken devices do.
private func mutate(_ frame: ByteBuffer, with random: inout SeededGenerator) -> ByteBuffer {
    var bytes = Array(frame.readableBytesView)
    for _ in 0..<Int.random(in: 1...3, using: &random) where !bytes.isEmpty {
        let index = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<5, using: &random) {
        case 0: bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 1: bytes[index] = .random(in: 0...255, using: &random)
        case 2: bytes.remove(at: index)
        case 3: bytes.insert(.random(in: 0...255, using: &random), at: index)
        default: bytes.removeLast(bytes.count - index)
        }
    }
    return ByteBuffer(bytes: bytes)
}

@Suite("Mutated frames")
struct MutationTests {
    @Test("200 000 mutations: no trap, bounded memory, and what is accepted is exactly what would be sent")
    func mutations() async throws {
        let seed = TestSeed.draw()
        var random = SeededGenerator(seed: seed)
        var decoder = FrameDecoder()
        var accepted = 0
        for round in 0..<200_000 {
            await TestSeed.letOthersRun(round: round)
            let golden = goldenFrames[round % goldenFrames.count]
            let isRequest = round & 1 == 0
            let bytes = mutate(isRequest ? golden.requestBytes : golden.responseBytes, with: &random)
            decoder.append(bytes)
            steps: while true {
                switch decoder.next() {
                case .needMoreBytes: break steps
                case .poisoned:
                    decoder = FrameDecoder()
                    break steps
                case .frame(let frame):
                    if try accepts(frame.pdu, asked: golden.request) { accepted += 1 }
                }
            }
            if try accepts(bytes.pdu, asked: golden.request) { accepted += 1 }
        }
        #expect(accepted > 1000, "mutations that change nothing essential must get through, seed \(seed)")
    }

    /// Whether `pdu` is a request or the answer to `asked`; if so, it must be written back to the same bytes.
    private func accepts(_ pdu: ByteBuffer, asked: ModbusRequest) throws -> Bool {
        var written = ByteBuffer()
        if let request = try? ModbusRequest(decodingPDU: pdu) {
            try request.encodePDU(into: &written)
            try #require(written == pdu, "\(hex(pdu))")
            return true
        }
        if let response = try? ModbusResponse(decodingPDU: pdu, answering: asked) {
            try response.encodePDU(into: &written, answering: asked)
            try #require(written == pdu, "\(hex(pdu))")
            return true
        }
        return false
    }

    @Test("a stream of noise never makes the decoder hold more than one frame")
    func noise() async {
        let seed = TestSeed.draw()
        var random = SeededGenerator(seed: seed)
        var decoder = FrameDecoder()
        var held = 0
        for round in 0..<20_000 {
            await TestSeed.letOthersRun(round: round)
            // Headers that look right, so that the decoder waits for bodies of every length.
            var piece = ByteBuffer()
            piece.writeInteger(UInt16.random(in: 0...65_535, using: &random))
            piece.writeInteger(UInt32.random(in: 2...254, using: &random))
            piece.writeBytes((0..<Int.random(in: 0..<300, using: &random)).map { _ in UInt8(0) })
            held += piece.readableBytes
            decoder.append(piece)
            steps: while true {
                switch decoder.next() {
                case .needMoreBytes: break steps
                case .frame(let frame): held -= 7 + frame.pdu.readableBytes
                case .poisoned:
                    decoder = FrameDecoder()
                    held = 0
                }
            }
            #expect(held < ModbusLimits.maximumADUSize, "seed \(seed)")
        }
    }
}
