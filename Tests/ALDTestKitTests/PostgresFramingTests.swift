import ALDCore
import Testing

@testable import ALDTestKit

/// Where PostgreSQL's messages begin, however their bytes come.
@Suite("PostgreSQL framing") struct PostgresFramingTests {
    private static func message(_ type: Character, _ body: [UInt8] = []) -> [UInt8] {
        [type.asciiValue ?? 0] + length(4 + body.count) + body
    }

    private static func length(_ count: Int) -> [UInt8] {
        withUnsafeBytes(of: UInt32(count).bigEndian) { Array($0) }
    }

    /// user=a
    private static let startup = length(17) + [0, 3, 0, 0] + Array("user\0a\0".utf8) + [0, 0]
    private static let encryption = length(8) + [0x04, 0xD2, 0x16, 0x2F]

    private func types(_ bytes: [UInt8], _ direction: FaultProxy.Direction, piece: Int) -> [String] {
        var framing = PostgresFraming(direction)
        var types: [String] = []
        var start = 0
        while start < bytes.count {
            let part = Array(bytes[start..<min(bytes.count, start + piece)])
            for message in framing.messages(in: part) {
                #expect(part[message.offset] == message.type)
                types.append("\(Character(Unicode.Scalar(message.type)))@\(start + message.offset)")
            }
            start += piece
        }
        return types
    }

    @Test("a client's messages, with and without a question for encryption", arguments: [1, 3, 7, 1000])
    func client(piece: Int) {
        let rest = Self.message("Q", Array("BEGIN\0".utf8)) + Self.message("S") + Self.message("X")
        #expect(types(Self.startup + rest, .upstream, piece: piece) == ["Q@17", "S@28", "X@33"])
        #expect(types(Self.encryption + Self.startup + rest, .upstream, piece: piece) == ["Q@25", "S@36", "X@41"])
    }

    @Test("a server's messages; the N that refuses encryption is none", arguments: [1, 3, 7, 1000])
    func server(piece: Int) {
        let session =
            Self.message("R", [0, 0, 0, 0]) + Self.message("Z", [73]) + Self.message("C", Array("BEGIN\0".utf8))
        #expect(types(session, .downstream, piece: piece) == ["R@0", "Z@9", "C@15"])
        #expect(types([UInt8(ascii: "N")] + session, .downstream, piece: piece) == ["R@1", "Z@10", "C@16"])
    }

    @Test("what is encrypted or not PostgreSQL has no messages")
    func unknown() {
        #expect(types([UInt8(ascii: "S")] + Self.message("Z", [73]), .downstream, piece: 1000) == [])
        #expect(types([0, 0, 0, 2, 1, 2, 3] + Self.message("Q"), .upstream, piece: 1000) == [])
        // Requests and answers of Modbus TCP, whatever their transaction is.
        for transaction in [0, 0x4300, 0x5200, 0x4E53] as [UInt16] {
            let adu = [UInt8(transaction >> 8), UInt8(transaction & 0xFF), 0, 0, 0, 6, 1, 6, 0, 0, 0, 7]
            let many = Array(repeating: adu, count: 2000).flatMap(\.self)
            #expect(types(many, .upstream, piece: 1000) == [])
            guard transaction != 0x5200 else { continue }
            #expect(types(many, .downstream, piece: 1000) == [])
        }
    }

    @Test("a connection ends where the message begins, wherever the pieces are cut")
    func cut() {
        let session =
            Self.message("R", [0, 0, 0, 0]) + Self.message("C", Array("COMMIT\0".utf8)) + Self.message("Z", [73])
        let now = MonotonicInstant(nanoseconds: 0)
        for piece in 1...session.count {
            var stream = FaultStream(seed: 1)
            stream.set(.cut(at: .postgres(message: UInt8(ascii: "C")), .close))
            var sent: [UInt8] = []
            for start in stride(from: 0, to: session.count, by: piece) {
                stream.received(Array(session[start..<min(session.count, start + piece)]), now: now)
                while case .send(let bytes) = stream.next(now: now) { sent += bytes }
            }
            #expect(sent == Array(session.prefix(9)) && stream.next(now: now) == .end(.close))
            #expect(stream.takeBites() == [.message: 1])
        }
    }
}
