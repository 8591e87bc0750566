import ALDCore
import Modbus
import Testing

@testable import ALDTestKit

/// Where the frames of Modbus TCP begin, however their bytes come.
@Suite("Modbus framing") struct MBAPFramingTests {
    // transaction | protocol | length | unit | function …
    private static let readAnswer: [UInt8] = [0x12, 0x34, 0, 0, 0, 5, 1, 3, 2, 0xAB, 0xCD]
    private static let writeAnswer: [UInt8] = [0x12, 0x35, 0, 0, 0, 6, 1, 6, 0, 7, 0, 9]
    private static let refusal: [UInt8] = [0x12, 0x36, 0, 0, 0, 3, 1, 0x86, 2]
    /// Nothing but a function, as a request of function 07 is.
    private static let shortest: [UInt8] = [0, 0, 0, 0, 0, 2, 0xFF, 7]
    private static let longest: [UInt8] = [0xFF, 0xFF, 0, 0, 0, 254, 0, 16] + [UInt8](repeating: 0, count: 252)
    private static let session = readAnswer + writeAnswer + refusal + shortest + readAnswer

    private func pieces(_ bytes: [UInt8], cutAt cuts: [Int]) -> [[UInt8]] {
        zip([0] + cuts, cuts + [bytes.count]).map { Array(bytes[$0..<$1]) }
    }

    /// Where each begins among all bytes, and its function.
    private func units(_ pieces: [[UInt8]]) -> [String] {
        var framing = MBAPFraming()
        var start = 0
        return pieces.flatMap { piece in
            defer { start += piece.count }
            return framing.units(in: piece).map { "\($0.function.rawValue)@\(start + $0.offset)" }
        }
    }

    @Test("whole, byte by byte and with every two cuts the same frames are found")
    func splits() {
        let expected = ["3@0", "6@11", "134@23", "7@32", "3@40"]
        let bytes = Self.session
        #expect(units([bytes]) == expected)
        #expect(units(bytes.map { [$0] }) == expected)
        for first in bytes.indices {
            for second in first..<bytes.count {
                #expect(units(pieces(bytes, cutAt: [first, second])) == expected, "cut at \(first) and \(second)")
            }
        }
        #expect(units([Self.longest + Self.shortest]) == ["16@0", "7@260"])
    }

    @Test("as long as a function has not come, the bytes of its frame are undecided")
    func undecided() {
        var framing = MBAPFraming()
        let counts = (Self.writeAnswer + Self.shortest).map { byte in
            _ = framing.units(in: [byte])
            return framing.undecided
        }
        #expect(counts == [1, 2, 3, 4, 5, 6, 7, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 0])
    }

    @Test(
        "what is no Modbus TCP has no frames, and none is found behind it",
        arguments: [
            [0, 0, 0, 1, 0, 6, 1, 6], [0, 0, 1, 0, 0, 6, 1, 6],  // another protocol
            [0, 0, 0, 0, 0, 1, 1, 6], [0, 0, 0, 0, 0, 255, 1, 6], [0, 0, 0, 0, 1, 6, 1, 6],  // length 1, 255, 262
            [0, 0, 0, 0, 0, 6, 1, 0], [0, 0, 0, 0, 0, 6, 1, 0x80],  // no function
            [0, 0, 0, 17, 0, 3, 0, 0],  // PostgreSQL's start-up packet
            [0x4E, 0x52, 0, 0, 0, 8, 0, 0, 0, 0],  // its server refuses encryption and asks for no password
            [0x16, 3, 1, 2, 0, 1, 0, 1],  // TLS
        ] as [[UInt8]])
    func foreign(bytes: [UInt8]) {
        #expect(units([bytes + Self.writeAnswer]) == [])
        #expect(units((bytes + Self.writeAnswer).map { [$0] }) == [])
    }

    // MARK: The fault

    private let now = MonotonicInstant(nanoseconds: 0)

    private func drain(_ stream: inout FaultStream) -> [UInt8] {
        var sent: [UInt8] = []
        while case .send(let bytes) = stream.next(now: now) { sent += bytes }
        return sent
    }

    private func cut(at function: FunctionCode, _ ending: StreamFaults.Ending = .close) -> FaultStream {
        var stream = FaultStream(seed: 1)
        stream.set(.cut(at: .modbus(function: function), ending))
        return stream
    }

    @Test("a connection ends where the frame begins, and nothing of it passes, wherever the pieces are cut")
    func ends() {
        let bytes = Self.session
        for first in bytes.indices {
            for second in first..<bytes.count {
                for ending in [StreamFaults.Ending.close, .timeout] {
                    var stream = cut(at: .writeSingleRegister, ending)
                    var sent: [UInt8] = []
                    for piece in pieces(bytes, cutAt: [first, second]) {
                        stream.received(piece, now: now)
                        sent += drain(&stream)
                    }
                    #expect(sent == Self.readAnswer, "cut at \(first) and \(second)")
                    #expect(stream.next(now: now) == (ending == .close ? .end(.close) : .wait(until: nil)))
                    #expect(stream.takeBites() == [.function: 1])
                    #expect(stream.hasBitten && stream.swallowed == bytes.count - Self.readAnswer.count)
                }
            }
        }
    }

    @Test("an exception is another function than the one it refuses")
    func exceptions() {
        let bytes = Self.readAnswer + Self.refusal
        var stream = cut(at: .writeSingleRegister)
        stream.received(bytes, now: now)
        #expect(drain(&stream) == bytes && stream.takeBites() == [:])
        stream = cut(at: FunctionCode(rawValue: 0x86))
        stream.received(bytes, now: now)
        #expect(drain(&stream) == Self.readAnswer && stream.takeBites() == [.function: 1])
    }

    @Test("a beginning that is held back goes when the fault is healed, when its sender has ended, or as another one")
    func heldBack() {
        let beginning = Array(Self.writeAnswer.prefix(7))
        for end in 0..<3 {
            var stream = cut(at: .writeSingleRegister)
            stream.received(beginning, now: now)
            #expect(stream.next(now: now) == .wait(until: nil))
            switch end {
            case 0: stream.set(.none)
            case 1: stream.closed(now: now)
            default: stream.received([3], now: now)
            }
            #expect(drain(&stream) == beginning + (end == 2 ? [3] : []))
            #expect(stream.next(now: now) == (end == 1 ? .end(.close) : .wait(until: nil)))
            #expect(stream.takeBites() == [:] && !stream.hasBitten)
        }
    }

    @Test("a fault that is set in the middle of a frame ends the connection there")
    func late() {
        for passed in 0..<Self.writeAnswer.count {
            var stream = FaultStream(seed: 1)
            stream.received(Array(Self.writeAnswer.prefix(passed)), now: now)
            stream.set(.cut(at: .modbus(function: .writeSingleRegister), .reset))
            for byte in Self.writeAnswer.dropFirst(passed) { stream.received([byte], now: now) }
            // When its function has passed, it is not the next one any more.
            let isLate = passed > 7
            #expect(drain(&stream) == (isLate ? Self.writeAnswer : Array(Self.writeAnswer.prefix(passed))))
            #expect(stream.takeBites() == (isLate ? [:] : [.function: 1]))
        }
    }

    @Test("a limit counts what is held back, and once")
    func limited() {
        for limit in [6, 12] {
            var faults = StreamFaults.cut(at: .modbus(function: .readCoils), .close)
            faults.limitData = limit
            var stream = FaultStream(seed: 1)
            stream.set(faults)
            for byte in Self.writeAnswer { stream.received([byte], now: now) }
            #expect(drain(&stream) == Array(Self.writeAnswer.prefix(limit)) && stream.next(now: now) == .end(.close))
            #expect(stream.takeBites() == [.limitData: 1])
        }
    }
}
