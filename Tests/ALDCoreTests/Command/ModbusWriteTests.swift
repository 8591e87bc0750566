import ALDTestKit
import Foundation
import Testing

@Suite("ald modbus write")
struct ModbusWriteTests {
    private func write(_ port: some CustomStringConvertible, _ arguments: String...) async throws -> ChildResult {
        try await ModbusProcess.run(["write", "--port", "\(port)", "--timeout", "5s"] + arguments)
    }

    @Test("one value goes with function 05 or 06, several with 15 or 16, and each frame goes out once")
    func functions() async throws {
        // Every write's answer begins with its first five bytes, and so does the echo of 05 and 06.
        let peer = try RawPeer { request, _ in .bytes(RawPeer.frame(request, pdu: Array(request[7..<12]))) }
        defer { peer.close() }
        for arguments in [
            ["coils", "5", "1"], ["holding", "100", "0xABCD"], ["coils", "5", "1", "off", "on"],
            ["holding", "100", "1", "2"], ["coils", "5", "0", "--multiple"], ["holding", "100", "1", "--multiple"],
            ["holding", "200", "123456.0", "--type", "float32", "--order", "cdab"],
            ["holding", "300", "--type", "int16", "--", "-5"],
        ] {
            let result = try await ModbusProcess.run(
                ["write", "--port", "\(peer.port)", "--timeout", "5s"] + arguments)
            #expect(result.output == ["ok"] && result.exitCode == 0, "\(arguments): \(result.transcript)")
        }
        #expect(
            peer.requests.map { Array($0[7...]) } == [
                [5, 0, 5, 0xFF, 0], [6, 0, 100, 0xAB, 0xCD], [15, 0, 5, 0, 3, 1, 0b101],
                [16, 0, 100, 0, 2, 4, 0, 1, 0, 2], [15, 0, 5, 0, 1, 1, 0], [16, 0, 100, 0, 1, 2, 0, 1],
                [16, 0, 200, 0, 2, 4, 0x20, 0x00, 0x47, 0xF1], [6, 1, 44, 0xFF, 0xFB],
            ])
    }

    @Test("what was written is read back from the served device")
    func readBack() async throws {
        try await ModbusProcess.serving { port in
            #expect(try await write(port, "holding", "100", "1", "2", "0xFFFF").output == ["ok"])
            let registers = try await ModbusProcess.run(["read", "holding", "100", "--count", "4", "--port", port])
            #expect(registers.output == ["ok 0001 0002 FFFF 0067"])
            #expect(try await write(port, "coils", "10", "1", "1").output == ["ok"])
            let coils = try await ModbusProcess.run(["read", "coils", "9", "--count", "4", "--port", port])
            #expect(coils.output == ["ok 1 1 1 0"])
            let beyond = try await write(port, "holding", "9999", "1", "2")
            #expect(beyond.output == ["error exception-02"] && beyond.exitCode == 1)
        }
    }

    @Test("Ctrl-C while a write is under way: nobody can say whether it was executed")
    func cancelled() async throws {
        let peer = try RawPeer { _, _ in .nothing }
        defer { peer.close() }
        let result = try await ModbusProcess.run(
            ["write", "holding", "1", "2", "--port", "\(peer.port)", "--timeout", "30m"]
        ) { child in
            try await eventually("the request is out") { !peer.requests.isEmpty }
            child.send(SIGINT)
        }
        #expect(result.output == ["error unknown-outcome"] && result.exitCode == 1)
        #expect(peer.requests.count == 1)
    }

    @Test("no answer, a lost connection or a wrong echo: unknown-outcome, and the write is never sent again")
    func unknownOutcome() async throws {
        let replies: [@Sendable ([UInt8]) -> RawPeer.Reply] = [
            { _ in .nothing }, { _ in .close }, { .bytes(RawPeer.frame($0, pdu: [6, 0, 1, 0, 0])) },
        ]
        for reply in replies {
            let peer = try RawPeer { request, _ in reply(request) }
            defer { peer.close() }
            let result = try await ModbusProcess.run(
                ["write", "holding", "1", "2", "--port", "\(peer.port)", "--timeout", "2s"])
            #expect(result.output == ["error unknown-outcome"] && result.exitCode == 1)
            #expect(peer.requests.count == 1)
        }
    }

    @Test("a write that could not be sent is refused, which is certain")
    func refused() async throws {
        let peer = try SilentListener(accepts: false)
        defer { peer.close() }
        let result = try await write(peer.port, "coils", "1", "1", "--json")
        struct Line: Decodable {
            var ok: Bool
            var error: String
            var message: String
        }
        let line = try JSONDecoder().decode(Line.self, from: Data(try #require(result.output.first).utf8))
        #expect(!line.ok && line.error == "refused" && line.message.contains("\(peer.port)") && result.exitCode == 1)
    }

    @Test(
        "wrong arguments: exit status 64 and what is wrong",
        arguments: [
            (["holding", "1"], "value"), (["input", "1", "2"], "can only be read"),
            (["holding", "1", "65536"], "65536"), (["coils", "1", "2"], "0 or 1"),
            (["holding", "65535", "1", "2"], "65535"), (["holding", "1", "1e39", "--type", "float32"], "1e39"),
            (["holding", "1"] + (0..<124).map { "\($0)" }, "123"),
        ])
    func usage(_ arguments: [String], _ expected: String) async throws {
        let result = try await ModbusProcess.run(["write"] + arguments)
        #expect(result.exitCode == 64 && result.output == [])
        #expect(result.transcript.contains(expected), "\(result.transcript)")
    }
}
