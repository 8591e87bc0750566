import ALDTestKit
import Foundation
import Testing

@Suite("ald modbus serve, bench, scan and watch")
struct ModbusServeTests {
    @Test("every usual signal ends a server with exit status 0 and its counts", arguments: [SIGINT, SIGTERM, SIGHUP])
    func signals(_ signal: Int32) async throws {
        let server = try await ModbusProcess.serving(endedBy: signal) { port in
            let read = try await ModbusProcess.run(["read", "holding", "1", "10000", "--port", port])
            #expect(read.output == ["ok 0001", "error exception-02"])
        }
        struct Summary: Decodable {
            var event: String
            var connections: Int
            var requests: Int
            var exceptions: Int
        }
        #expect(server.exitCode == 0)
        let summary = try JSONDecoder().decode(Summary.self, from: Data(try #require(server.output.last).utf8))
        #expect(summary.event == "summary" && summary.connections == 1)
        #expect(summary.requests == 2 && summary.exceptions == 1)
    }

    @Test("for people: one line when it is ready, naming the port, and one at the end")
    func text() async throws {
        let server = try await ModbusProcess.run(["serve", "--port", "0"]) { server in
            try await eventually("the server is ready") { !server.output.isEmpty }
            server.send(SIGINT)
        }
        #expect(server.exitCode == 0 && server.output.count == 2)
        #expect(server.output.first?.hasPrefix("Serving unit 1 on 127.0.0.1:") == true)
        #expect(server.output.last?.hasPrefix("Answered 0 requests") == true)
    }

    @Test("its own unit, 255 and 0 are the device; another unit is one that no gateway finds")
    func units() async throws {
        try await ModbusProcess.serving(["--unit", "7"]) { port in
            for (unit, line) in [("7", "ok 0005"), ("255", "ok 0005"), ("0", "ok 0005"), ("1", "error exception-0B")] {
                let read = try await ModbusProcess.run(["read", "holding", "5", "--unit", unit, "--port", port])
                #expect(read.output == [line])
            }
        }
    }

    @Test("a port that is taken: exit status 69, and the message names it")
    func busyPort() async throws {
        let other = try SilentListener()
        defer { other.close() }
        let result = try await ModbusProcess.run(["serve", "--port", "\(other.port)"])
        #expect(result.exitCode == 69 && result.output == [])
        #expect(result.transcript.contains("127.0.0.1:\(other.port)") && result.transcript.contains("in use"))
    }

    @Test(
        "wrong arguments end with 64",
        arguments: [["--table-size", "0"], ["--port", "65536"], ["--pattern", "odd"], ["--tls"], ["--ca", "x"]])
    func usage(_ arguments: [String]) async throws {
        let result = try await ModbusProcess.run(["serve"] + arguments)
        #expect(result.exitCode == 64 && result.output == [])
    }

    @Test("TLS: a client that trusts the authority and shows a certificate is served; one that does not is refused")
    func tls() async throws {
        let files = Repository.root + "/Fixtures/Modbus/TLS/"
        let identity = ["--cert", files + "server.pem", "--key", files + "server.key", "--ca", files + "authority.pem"]
        try await ModbusProcess.serving(["--tls"] + identity) { port in
            let read = ["read", "holding", "100", "--port", port, "--timeout", "10s"]
            let identityOfOperator = ["--cert", files + "operator.pem", "--key", files + "operator.key"]
            let good = try await ModbusProcess.run(
                read + ["--tls", "--ca", files + "authority.pem"] + identityOfOperator)
            #expect(good.output == ["ok 0064"], "\(good.transcript)")
            let distrusting = try await ModbusProcess.run(
                read + ["--tls", "--ca", files + "stranger.pem"] + identityOfOperator)
            #expect(distrusting.output == ["error refused"] && distrusting.transcript.contains("authority"))
            let plain = try await ModbusProcess.run(read)
            #expect(plain.output == ["error bad-response"], "the alert of TLS is no Modbus")
        }
        let unusable = try await ModbusProcess.run(["read", "holding", "1", "--ca", files + "authority.pem"])
        #expect(unusable.exitCode == 64 && unusable.transcript.contains("--tls"))
    }

    private struct Bench: Decodable {
        struct Latency: Decodable {
            var count: Int
            var p50: Double
            var p90: Double
            var p99: Double
            var p99_9: Double
            var max: Double
        }
        var requests: Int
        var requests_per_second: Double
        var errors: Int
        var latency_seconds: Latency
        var first_error: String?
    }

    @Test(
        "bench reports a rate and latencies in order, by both ways to call, also from a table of one block",
        arguments: [["--api", "plan"], ["--api", "single", "--window", "4"], ["--connections", "2"]])
    func bench(_ arguments: [String]) async throws {
        try await ModbusProcess.serving(["--table-size", "125"]) { port in
            let result = try await ModbusProcess.run(
                ["bench", "--port", port, "--registers", "125", "--seconds", "1", "--json", "--timeout", "10s"]
                    + arguments)
            #expect(result.exitCode == 0, "\(result.transcript)")
            let bench = try JSONDecoder().decode(Bench.self, from: Data(try #require(result.output.first).utf8))
            #expect(bench.requests > 0 && bench.requests_per_second > 0 && bench.errors == 0)
            let latency = bench.latency_seconds
            #expect(latency.count > 0 && latency.p50 > 0)
            #expect(latency.p50 <= latency.p90 && latency.p90 <= latency.p99 && latency.p99 <= latency.p99_9)
        }
    }

    @Test("bench of a device that refuses: exit status 1, and the error is named")
    func benchFails() async throws {
        try await ModbusProcess.serving(["--table-size", "10"]) { port in
            let result = try await ModbusProcess.run(["bench", "--port", port, "--seconds", "0.3", "--json"])
            let bench = try JSONDecoder().decode(Bench.self, from: Data(try #require(result.output.first).utf8))
            #expect(result.exitCode == 1 && bench.requests == 0 && bench.first_error == "exception-02")
            let words = try await ModbusProcess.run(["bench", "--port", port, "--seconds", "0.1"])
            #expect(words.output.contains("  Latency    nothing was answered"))
        }
    }

    private struct Scan: Decodable {
        struct Unit: Decodable {
            var unit: Int
            var answer: String
        }
        struct Table: Decodable {
            var table: String
            var first: Int
            var last: Int
            var largest_block: Int
        }
        struct Connections: Decodable {
            var accepted: Int
            var beyond: String?
        }
        struct Fact: Decodable {
            var name: String
            var text: String
        }
        var units: [Unit]
        var identification: [Fact]
        var tables: [Table]
        var connections: Connections?
        var is_complete: Bool
        var error: String?
    }

    @Test("scan finds unit, tables, largest block and the connection limit of a served device")
    func scan() async throws {
        let server = ["--unit", "3", "--table-size", "300", "--connections", "4"]
        try await ModbusProcess.serving(server) { port in
            let result = try await ModbusProcess.run(["scan", "--port", port, "--json", "--timeout", "5s"])
            #expect(result.exitCode == 0, "\(result.transcript)")
            let scan = try JSONDecoder().decode(Scan.self, from: Data(try #require(result.output.first).utf8))
            #expect(scan.units.map(\.unit) == [3] && scan.units.first?.answer == "data" && scan.is_complete)
            #expect(scan.identification.map(\.name) == ["vendor", "product code", "revision"])
            #expect(scan.identification.map(\.text).prefix(2) == ["ALD", "ald modbus serve"])
            #expect(scan.tables.map(\.table) == ["coils", "discrete", "holding", "input"])
            #expect(scan.tables.allSatisfy { $0.first == 0 && $0.last == 299 })
            #expect(scan.tables.map(\.largest_block) == [300, 300, 125, 125])
            #expect(scan.connections?.accepted == 4 && scan.connections?.beyond == "closed")
        }
    }

    @Test("scan learns that a device takes smaller blocks than the specification allows")
    func smallBlocks() async throws {
        let peer = try RawPeer { request, _ in
            // 32 registers at most (03), of 40 (02), of two tables (01).
            guard (3...4).contains(request[7]) else {
                return .bytes(RawPeer.frame(request, pdu: [request[7] | 0x80, 1]))
            }
            let (start, count) = (Int(request[9]), Int(request[11]))
            if count > 32 { return .bytes(RawPeer.frame(request, pdu: [request[7] | 0x80, 3])) }
            if request[8] > 0 || start + count > 40 {
                return .bytes(RawPeer.frame(request, pdu: [request[7] | 0x80, 2]))
            }
            return .bytes(RawPeer.registers(request))
        }
        defer { peer.close() }
        let result = try await ModbusProcess.run([
            "scan", "--port", "\(peer.port)", "--json", "--units", "1", "--connections", "0", "--timeout", "5s",
        ])
        let scan = try JSONDecoder().decode(Scan.self, from: Data(try #require(result.output.first).utf8))
        #expect(scan.tables.map(\.table) == ["holding", "input"])
        #expect(scan.tables.map(\.last) == [39, 39] && scan.tables.map(\.largest_block) == [32, 32])
    }

    @Test("a scan whose time was up says so, and nothing of connections that it did not try")
    func scanBrokenOff() async throws {
        let peer = try RawPeer { request, number in number == 0 ? .bytes(RawPeer.registers(request)) : .nothing }
        defer { peer.close() }
        let result = try await ModbusProcess.run([
            "scan", "--port", "\(peer.port)", "--json", "--units", "1", "--timeout", "2s", "--within", "5s",
        ])
        let scan = try JSONDecoder().decode(Scan.self, from: Data(try #require(result.output.first).utf8))
        #expect(!scan.is_complete && scan.connections == nil)
    }

    @Test("scan of nothing: exit status 1, and why")
    func scanNothing() async throws {
        let peer = try SilentListener(accepts: false)
        defer { peer.close() }
        let result = try await ModbusProcess.run(["scan", "--port", "\(peer.port)", "--json"])
        let scan = try JSONDecoder().decode(Scan.self, from: Data(try #require(result.output.first).utf8))
        #expect(result.exitCode == 1 && scan.units.isEmpty && scan.error == "refused")
    }

    @Test("watch writes a line for each value and for each change, and a summary when Ctrl-C ends it")
    func watch() async throws {
        try await ModbusProcess.serving { port in
            let arguments = ["watch", "holding", "100", "--count", "2", "--every", "10ms", "--port", port]
            let watch = try await ModbusProcess.run(arguments) { watch in
                try await eventually("both values") { watch.output.count == 2 }
                _ = try await ModbusProcess.run(["write", "holding", "101", "7", "--port", port])
                try await eventually("the change") { watch.output.count == 3 }
                watch.send(SIGINT)
            }
            #expect(watch.exitCode == 0)
            #expect(
                watch.output.prefix(3) == [
                    "holding 100: 100 (0064)", "holding 101: 101 (0065)", "holding 101: 101 -> 7 (0065 -> 0007)",
                ])
            #expect(watch.output.last?.contains(" 0 errors, 1 changes; round trip") == true)
        }
    }

    @Test("watch in JSON: values, an error once while it lasts, a summary; --times ends it")
    func watchJSON() async throws {
        let peer = try RawPeer { request, number in
            (1...2).contains(number)
                ? .bytes(RawPeer.frame(request, pdu: [0x83, 4])) : .bytes(RawPeer.registers(request))
        }
        defer { peer.close() }
        let watch = try await ModbusProcess.run([
            "watch", "holding", "9", "--every", "5ms", "--times", "4", "--json", "--port", "\(peer.port)",
        ])
        struct Event: Decodable {
            var event: String
            var value: Int?
            var error: String?
            var readings: Int?
            var errors: Int?
        }
        let events = try watch.output.map { try JSONDecoder().decode(Event.self, from: Data($0.utf8)) }
        #expect(watch.exitCode == 0)
        try #require(events.map(\.event) == ["value", "error", "summary"])
        #expect(events[0].value == 9 && events[1].error == "exception-04")
        #expect(events[2].readings == 4 && events[2].errors == 2)
    }

    @Test(
        "every help fits a terminal and shows examples",
        arguments: ["read", "write", "serve", "scan", "bench", "watch"])
    func help(_ command: String) async throws {
        let result = try await ModbusProcess.run([command, "--help"])
        #expect(result.exitCode == 0 && result.output.contains("EXAMPLES"))
        // The line of usage is broken by the terminal.
        let tooLong = result.output.filter { $0.count > 80 && !$0.hasPrefix("USAGE") }
        #expect(tooLong == [])
    }
}
