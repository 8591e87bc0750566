import ALDTestKit
import NIOCore
import Testing

@testable import Modbus

/// Changes frames the way lines and broken devices do, cheaply enough for a million of them.
private struct Mutator {
    private var random: SeededGenerator
    /// One frame after the other is changed in here; its memory is used again as long as nobody else holds it.
    private var frame = ByteBuffer()

    init(seed: UInt64) {
        random = SeededGenerator(seed: seed)
    }

    /// `golden` with one to three changes: a bit or a byte set, removed, added, or everything from there on cut off.
    /// Every second time the header's length is put right afterwards, so that the change reaches what is behind it.
    mutating func mutate(_ golden: ByteBuffer) -> ByteBuffer {
        frame.clear()
        frame.writeImmutableBuffer(golden)
        var chance = random.next()
        let isRepaired = chance & 1 == 0
        for _ in 0...(chance >> 1 & 1 + chance >> 2 & 1) where frame.readableBytes > 0 {
            chance = random.next()
            change(at: Int(truncatingIfNeeded: chance >> 32) % frame.readableBytes, chance)
        }
        if isRepaired, frame.readableBytes >= 8 {
            frame.setInteger(UInt32(frame.readableBytes - 6), at: 2)
        }
        return frame
    }

    private mutating func change(at index: Int, _ chance: UInt64) {
        let byte = UInt8(truncatingIfNeeded: chance >> 8)
        switch chance & 7 {
        case 0, 1, 2:
            let old = frame.getInteger(at: index, as: UInt8.self) ?? 0
            frame.setInteger(old ^ 1 << (byte & 7), at: index)
        case 3, 4: frame.setInteger(byte, at: index)
        case 5, 6:
            let tail = frame.getSlice(at: index, length: frame.readableBytes - index) ?? ByteBuffer()
            frame.moveWriterIndex(to: index)
            if chance & 7 == 5 { frame.writeInteger(byte) }
            frame.writeImmutableBuffer(chance & 7 == 5 ? tail : tail.part(1, tail.readableBytes))
        default: frame.moveWriterIndex(to: index)
        }
    }
}

/// What a stream of mutated frames came to.
private struct Tally {
    var requests = 0
    var answers = 0
    var exceptions = 0
    var refusals = 0
    var poisoned = 0
}

@Suite("Mutated frames", .background)
struct MutationTests {
    @Test(
        "a million mutated frames: no trap, bounded memory, and what is accepted is exactly what would be sent",
        .background,
        arguments: 0..<4)
    func mutations(part: Int) async throws {
        let seed = TestSeed.draw() &+ UInt64(part)
        var mutator = Mutator(seed: seed)
        var decoder = FrameDecoder()
        var tally = Tally()
        var held = 0
        let frames = goldenFrames + goldenRawFrames
        for round in 0..<250_000 {
            await TestSeed.letOthersRun(round: round)
            let golden = frames[round / 2 % frames.count]
            let bytes = mutator.mutate(round & 1 == 0 ? golden.requestBytes : golden.responseBytes)
            held += bytes.readableBytes
            decoder.append(bytes)
            steps: while true {
                switch decoder.next() {
                case .needMoreBytes: break steps
                case .poisoned:
                    tally.poisoned += 1
                    decoder = FrameDecoder()
                    held = 0
                case .frame(let frame):
                    held -= ModbusLimits.headerSize + frame.pdu.readableBytes
                    try judge(frame.pdu, asked: golden.request, seed, &tally)
                }
            }
            if held >= ModbusLimits.maximumADUSize || decoder.hasPartialFrame != (held > 0) {
                Issue.record("\(held) bytes held in round \(round), seed \(seed)")
                return
            }
        }
        #expect(
            tally.requests > 10_000 && tally.answers > 5_000 && tally.exceptions > 1_000 && tally.refusals > 50_000
                && tally.poisoned > 5_000, "the mutations do not reach everything: \(tally), seed \(seed)")
    }

    /// Whether `pdu` is a request, the answer to `asked`, or neither. What is accepted has exactly the shape that was
    /// asked for, and is written back to the same bytes.
    private func judge(_ pdu: ByteBuffer, asked: ModbusRequest, _ seed: UInt64, _ tally: inout Tally) throws {
        var written = ByteBuffer()
        if let request = try? ModbusRequest(decodingPDU: pdu) {
            tally.requests += 1
            try request.encodePDU(into: &written)
            try #require(written == pdu, "\(hex(pdu)), seed \(seed)")
        }
        guard let response = try? ModbusResponse(decodingPDU: pdu, answering: asked) else {
            tally.refusals += 1
            return
        }
        if case .exception = response { tally.exceptions += 1 } else { tally.answers += 1 }
        written.clear()
        try response.encodePDU(into: &written, answering: asked)
        try #require(written == pdu, "\(hex(pdu)) for \(asked), seed \(seed)")
        try #require(hasShape(response, of: asked), "\(hex(pdu)) for \(asked), seed \(seed)")
    }

    /// The quantities once more, apart from the library's own check.
    private func hasShape(_ response: ModbusResponse, of asked: ModbusRequest) -> Bool {
        switch (asked, response) {
        case (_, .exception(let function, _)): function == asked.function
        case (.read(let table, let range), .bits(_, let bits)): table.isBits && bits.count == range.count
        case (.read(let table, let range), .registers(_, let words)): !table.isBits && words.count == range.count
        case (.readWriteRegisters(let range, _, _), .readWroteRegisters(let words)): words.count == range.count
        case (.readFileRecords(let ranges), .fileRecords(let groups)): groups.map(\.count) == ranges.map(\.count)
        case (.readDeviceIdentification(.individual, let id), .deviceIdentification(let page)):
            page.objects.map(\.id) == [id]
        case (.readDeviceIdentification(let access, _), .deviceIdentification(let page)): page.access == access
        case (.diagnostics(let asked, _), .diagnostics(let function, let data)):
            asked == function && (function == .returnQueryData || data.count == 1)
        case (.readFIFOQueue, .fifoQueue(let words)): words.count <= 31
        case (.read, _), (.readWriteRegisters, _), (.readFileRecords, _), (.diagnostics, _), (.readFIFOQueue, _): false
        default: response.function == asked.function
        }
    }

    @Test("a stream of noise never makes the decoder hold more than one frame", .background)
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
