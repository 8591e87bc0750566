import ALDTestKit
import Foundation
import Testing

@Suite("ald modbus read")
struct ModbusReadTests {
    /// The command line that scripts use, against this port.
    private func read(_ port: some CustomStringConvertible, _ arguments: String...) async throws -> ChildResult {
        try await ModbusProcess.run(
            ["read"] + arguments + ["--host", "127.0.0.1", "--port", "\(port)", "--unit", "1"])
    }

    @Test("the promised lines: four tables of 10 000, register i holds i, bit i its lowest bit, beyond is 02")
    func contract() async throws {
        let server = try await ModbusProcess.serving(
            ["--unit", "1", "--table-size", "10000", "--pattern", "index"]
        ) { port in
            let good = try await read(
                port, "holding", "100", "200", "300", "--count", "2", "--timeout", "5s", "--retries", "0")
            #expect(good.output == ["ok 0064 0065", "ok 00C8 00C9", "ok 012C 012D"])
            #expect(good.exitCode == 0 && good.errors == [])
            let edge = try await read(port, "input", "9999", "9998", "10000", "0x64", "--count", "2")
            #expect(edge.output == ["error exception-02", "ok 270E 270F", "error exception-02", "ok 0064 0065"])
            #expect(edge.exitCode == 1)
            #expect(edge.errors.count == 2 && edge.transcript.contains("input 10000: "), "and the reason in words")
            #expect(try await read(port, "coils", "0", "--count", "5").output == ["ok 0 1 0 1 0"])
            #expect(try await read(port, "discrete", "9999").output == ["ok 1"])
        }
        #expect(server.exitCode == 0)
        #expect(server.output.last?.contains("\"requests\":9") == true, "\(server.output)")
    }

    @Test("nobody listens: refused, at once and for each address")
    func refused() async throws {
        let peer = try SilentListener(accepts: false)
        defer { peer.close() }
        let result = try await read(peer.port, "holding", "1", "2", "--timeout", "20s")
        #expect(result.output == ["error refused", "error refused"] && result.exitCode == 1)
        #expect(result.errors.first?.contains("refused") == true)
    }

    @Test(
        "a name that nobody knows is refused too, and the reason names it",
        arguments: ["no-such-host.invalid", "timeout.invalid"])
    func unknownName(_ name: String) async throws {
        let result = try await ModbusProcess.run(["read", "holding", "1", "--host", name, "--timeout", "20s"])
        #expect(result.output == ["error refused"] && result.exitCode == 1)
        #expect(result.errors.first?.contains("no address for \(name)") == true)
    }

    @Test("a device that stops answering: timeout, and the request is not sent again")
    func timeout() async throws {
        let peer = try RawPeer { request, number in number == 0 ? .bytes(RawPeer.registers(request)) : .nothing }
        defer { peer.close() }
        let result = try await read(peer.port, "holding", "1", "2", "--timeout", "5s", "--retries", "0")
        #expect(result.output == ["ok 0001", "error timeout"] && result.exitCode == 1)
        #expect(peer.requests.map { Array($0[6...]) } == [[1, 3, 0, 1, 0, 1], [1, 3, 0, 2, 0, 1]])
    }

    @Test("a device that accepts and never says a word: timeout for each address")
    func silence() async throws {
        let peer = try SilentListener()
        defer { peer.close() }
        let result = try await read(peer.port, "holding", "1", "2", "--timeout", "50ms")
        #expect(result.output == ["error timeout", "error timeout"] && result.exitCode == 1)
    }

    @Test("a device that closes on a request: closed, sent once, and the next address is read on a new connection")
    func closed() async throws {
        let peer = try RawPeer { request, number in
            number == 0 ? .close : .bytes(RawPeer.registers(request))
        }
        defer { peer.close() }
        let result = try await read(peer.port, "holding", "100", "200", "--timeout", "5s", "--retries", "0")
        #expect(result.output == ["error closed", "ok 00C8"] && result.exitCode == 1)
        #expect(peer.requests.map { Array($0[6...]) } == [[1, 3, 0, 100, 0, 1], [1, 3, 0, 200, 0, 1]])
    }

    @Test("--retries makes exactly so many more attempts")
    func retries() async throws {
        let peer = try RawPeer { request, number in
            number == 4 ? .bytes(RawPeer.registers(request)) : .close
        }
        defer { peer.close() }
        let result = try await read(peer.port, "holding", "100", "200", "--timeout", "5s", "--retries", "2")
        #expect(result.output == ["error closed", "ok 00C8"], "three times closed, then once closed and answered")
        #expect(peer.requests.count == 5)
    }

    @Test("an answer that does not fit, and bytes that are no Modbus: bad-response, and the client goes on")
    func badResponse() async throws {
        let peer = try RawPeer { request, number in
            switch number {
            case 0: .bytes(RawPeer.frame(request, pdu: [4, 2, 0, 1]))  // another function
            case 1: .bytes(Array(request[0..<6]) + [7, 3, 2, 0, 1, 0])  // another unit
            case 2: .bytes(RawPeer.frame(request, pdu: [3, 4, 0, 1, 0, 2]))  // two registers for one
            case 3: .bytes(Array("HTTP/1.1 400 Bad Request\r\n".utf8))
            default: .bytes(RawPeer.registers(request))
            }
        }
        defer { peer.close() }
        let result = try await read(peer.port, "holding", "1", "2", "3", "4", "5", "--timeout", "5s")
        #expect(result.output == Array(repeating: "error bad-response", count: 4) + ["ok 0005"])
        #expect(peer.requests.count == 5)
    }

    @Test("exceptions keep their code, and a busy device is not asked again")
    func exceptions() async throws {
        let codes: [UInt8] = [2, 6, 0x0B, 0xC8]
        let peer = try RawPeer { request, number in .bytes(RawPeer.frame(request, pdu: [0x83, codes[number % 4]])) }
        defer { peer.close() }
        let result = try await read(peer.port, "holding", "1", "2", "3", "4", "--timeout", "5s")
        #expect(
            result.output == [
                "error exception-02", "error exception-06", "error exception-0B", "error exception-C8",
            ])
        #expect(peer.requests.count == 4)
    }

    @Test("Ctrl-C ends what is under way as cancelled")
    func cancelled() async throws {
        let peer = try RawPeer { _, _ in .nothing }
        defer { peer.close() }
        let result = try await ModbusProcess.run(
            ["read", "holding", "1", "--port", "\(peer.port)", "--timeout", "30m"]
        ) { child in
            try await eventually("the request is out") { !peer.requests.isEmpty }
            child.send(SIGINT)
        }
        #expect(result.output == ["error cancelled"] && result.exitCode == 1)
    }

    @Test("values of four orders, and JSON for programs")
    func values() async throws {
        let peer = try RawPeer { request, _ in .bytes(RawPeer.frame(request, pdu: [3, 4, 0x20, 0x00, 0x47, 0xF1])) }
        defer { peer.close() }
        let text = try await read(peer.port, "holding", "7", "--type", "float32", "--order", "cdab")
        #expect(text.output == ["ok 123456.0"])
        let json = try await read(peer.port, "holding", "7", "--type", "float32", "--order", "cdab", "--json")
        struct Line: Decodable {
            var ok: Bool
            var table: String
            var address: Int
            var registers: [UInt16]
            var values: [Double]
            var attempts: Int
            var seconds: Double
        }
        let line = try JSONDecoder().decode(Line.self, from: Data(try #require(json.output.first).utf8))
        #expect(line.ok && line.table == "holding" && line.address == 7 && line.attempts == 1 && line.seconds > 0)
        #expect(line.registers == [0x2000, 0x47F1] && line.values == [123456])
    }

    @Test(
        "wrong arguments: exit status 64, what is wrong, and nothing on standard output",
        arguments: [
            (["holding"], "address"), (["registers", "1"], "registers"), (["holding", "65536"], "65536"),
            (["holding", "1", "--count", "126"], "1 to 125"), (["coils", "1", "--count", "2001"], "1 to 2000"),
            (["holding", "65535", "--count", "2"], "past 65535"), (["holding", "1", "--count", "0"], "1 to 125"),
            (["holding", "1", "--type", "float64", "--count", "32"], "1 to 31"),
            (["coils", "1", "--type", "int16"], "bits"), (["holding", "1", "--timeout", "soon"], "soon"),
            (["holding", "1", "--unit", "256"], "256"), (["holding", "1", "--port", "0"], "--port"),
            (["holding", "1", "--retries", "-1"], "retries"), (["holding", "1", "--host", ""], "--host"),
        ])
    func usage(_ arguments: [String], _ expected: String) async throws {
        let result = try await ModbusProcess.run(["read"] + arguments)
        #expect(result.exitCode == 64 && result.output == [])
        #expect(result.transcript.contains(expected), "\(result.transcript)")
    }
}
