import NIOCore
import Testing

@testable import Modbus

/// Everything `decoder` can give now.
private func drain(_ decoder: inout FrameDecoder) -> (frames: [ModbusFrame], fault: MBAPHeader.Fault?) {
    var frames: [ModbusFrame] = []
    while true {
        switch decoder.next() {
        case .needMoreBytes: return (frames, nil)
        case .poisoned(let fault): return (frames, fault)
        case .frame(let frame): frames.append(frame)
        }
    }
}

private let allFrames = (goldenFrames + goldenRawFrames).flatMap { [$0.requestBytes, $0.responseBytes] }

@Suite("Cutting a stream into frames", .background)
struct FrameDecoderTests {
    @Test("a frame comes out the same wherever the stream is cut")
    func everySplit() {
        for bytes in allFrames {
            for cut in 0...bytes.readableBytes {
                var decoder = FrameDecoder()
                decoder.append(bytes.part(0, cut))
                let early = drain(&decoder)
                decoder.append(bytes.part(cut, bytes.readableBytes))
                let frames = early.frames + drain(&decoder).frames
                #expect(frames.map(\.pdu) == [bytes.pdu], "\(hex(bytes)) cut at \(cut)")
                #expect(!decoder.hasPartialFrame)
            }
        }
    }

    @Test("byte by byte, a frame is there with its last byte and not before")
    func byteByByte() {
        var decoder = FrameDecoder()
        for bytes in allFrames {
            for index in 0..<bytes.readableBytes {
                decoder.append(bytes.part(index, index + 1))
                let isLast = index == bytes.readableBytes - 1
                #expect(drain(&decoder).frames.count == (isLast ? 1 : 0))
                #expect(decoder.hasPartialFrame == !isLast)
            }
        }
    }

    @Test("all frames at once come out in order, and the half frame behind them waits")
    func allAtOnce() {
        var decoder = FrameDecoder()
        decoder.append(.joined(allFrames + [bytes("00 01 00 00 00 06 01")]))
        #expect(drain(&decoder).frames.map(\.pdu) == allFrames.map(\.pdu))
        #expect(decoder.hasPartialFrame)
        decoder.append(bytes("06 00 01 00 03"))
        #expect(drain(&decoder).frames.map { hex($0.pdu) } == ["06 00 01 00 03"])
    }

    @Test(
        "a header is judged after six bytes, without waiting for what it announces",
        arguments: [
            //      trans  proto  length
            (bytes("00 01 |00 01 |00 06"), MBAPHeader.Fault.protocolIdentifier(1)),
            (bytes("00 01 |80 00 |00 06"), .protocolIdentifier(0x8000)),
            (bytes("00 01 |00 00 |00 00"), .length(0)),
            (bytes("00 01 |00 00 |00 01"), .length(1)),
            (bytes("00 01 |00 00 |00 FF"), .length(255)),
            (bytes("00 01 |00 00 |FF FF"), .length(65_535)),
        ])
    func badHeader(_ header: ByteBuffer, _ fault: MBAPHeader.Fault) {
        var decoder = FrameDecoder()
        decoder.append(header.part(0, 5))
        #expect(drain(&decoder).fault == nil)
        decoder.append(header.part(5, 6))
        #expect(drain(&decoder).fault == fault)
        decoder.append(goldenFrames[0].requestBytes)
        #expect(drain(&decoder).fault == fault, "a poisoned stream stays poisoned")
        #expect(!decoder.hasPartialFrame, "and keeps nothing")
    }

    @Test("the shortest and the longest frame are frames")
    func extremes() {
        let longest = ByteBuffer.joined([
            bytes("00 01 |00 00 |00 FE |01"), ByteBuffer(repeating: 0x2A, count: 253),
        ])
        var decoder = FrameDecoder()
        decoder.append(bytes("00 01 |00 00 |00 02 |01 |07"))
        decoder.append(longest)
        #expect(drain(&decoder).frames.map(\.pdu.readableBytes) == [1, 253])
    }
}
