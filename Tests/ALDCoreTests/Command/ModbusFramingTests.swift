import ALDTestKit
import Foundation
import Testing

@Suite("ald modbus --framing rtu")
struct ModbusFramingTests {
    private let rtu = ["--framing", "rtu"]

    @Test("the bytes are those of a serial line, checksum included, in both directions")
    func bytes() async throws {
        let peer = try RawPeer { request, _ in
            request[1] == 3
                ? .bytes([0x01, 0x03, 0x02, 0x00, 0x07, 0xF9, 0x86]) : .bytes(request)  // 06 is its own echo
        }
        defer { peer.close() }
        let device = ["--port", "\(peer.port)", "--timeout", "10s"] + rtu
        let read = try await ModbusProcess.run(["read", "holding", "0"] + device)
        #expect(read.output == ["ok 0007"], "\(read.transcript)")
        let write = try await ModbusProcess.run(["write", "holding", "1", "3", "--unit", "17"] + device)
        #expect(write.output == ["ok"], "\(write.transcript)")
        #expect(
            peer.requests == [
                [0x01, 0x03, 0x00, 0x00, 0x00, 0x01, 0x84, 0x0A], [0x11, 0x06, 0x00, 0x01, 0x00, 0x03, 0x9A, 0x9B],
            ])
    }

    @Test("a served device is read, written, watched, measured and scanned; a client of Modbus TCP is turned away")
    func served() async throws {
        try await ModbusProcess.serving(["--table-size", "200"] + rtu) { port in
            let device = ["--port", port, "--timeout", "10s"] + rtu
            let written = try await ModbusProcess.run(["write", "holding", "100", "7", "8"] + device)
            #expect(written.output == ["ok"], "\(written.transcript)")
            let read = try await ModbusProcess.run(["read", "holding", "99", "200", "--count", "3"] + device)
            #expect(read.output == ["ok 0063 0007 0008", "error exception-02"])
            let watch = try await ModbusProcess.run(["watch", "coils", "1", "--times", "2", "--every", "1ms"] + device)
            #expect(watch.output.first == "coils 1: 1" && watch.exitCode == 0)
            let bench = try await ModbusProcess.run(["bench", "--seconds", "0.2", "--registers", "100"] + device)
            #expect(bench.exitCode == 0, "\(bench.transcript)")
            let scan = try await ModbusProcess.run(["scan", "--units", "1-2", "--connections", "3"] + device)
            #expect(scan.exitCode == 0 && scan.transcript.contains("Holding         0 to 199"), "\(scan.transcript)")
            for finding in ["ald modbus serve", "Connections     3 or more"] {
                #expect(scan.transcript.contains(finding))
            }
            // A request of Modbus TCP with transaction 1. Ours draws its first one, and one in a hundred looks like the
            // beginning of a longer request of the other framing.
            let request = """
                exec 3<>/dev/tcp/127.0.0.1/$0; printf '\\0\\1\\0\\0\\0\\6\\1\\3\\0\\1\\0\\1' >&3
                timeout 25 cat <&3 2>/dev/null | od -An -tx1; [[ ${PIPESTATUS[0]} == 124 ]] && echo open || echo closed
                """
            let other = try await ChildProcess.run("/usr/bin/env", ["bash", "-c", request, port])
            #expect(other.output == ["closed"], "\(other.transcript)")
        }
    }

    @Test(
        "what a serial line cannot do is refused with 64, and the message says why",
        arguments: [
            (["read", "holding", "1", "--unit", "0"], "broadcast"),
            (["write", "holding", "1", "2", "--unit", "0"], "broadcast"),
            (["watch", "holding", "1", "--unit", "0"], "broadcast"), (["scan", "--units", "0-3"], "broadcast"),
            (["serve", "--unit", "0"], "broadcast"), (["bench", "--window", "2"], "one request"),
        ])
    func refused(_ arguments: [String], _ reason: String) async throws {
        let result = try await ModbusProcess.run(arguments + rtu)
        #expect(result.exitCode == 64 && result.output == [])
        #expect(result.transcript.contains(reason), "\(result.transcript)")
    }

    @Test("a framing that is none is refused, and both are named", arguments: ["read", "serve"])
    func unknown(_ command: String) async throws {
        let result = try await ModbusProcess.run(
            [command] + (command == "read" ? ["holding", "1"] : []) + ["--framing", "ascii"])
        #expect(result.exitCode == 64 && result.transcript.contains("tcp") && result.transcript.contains("rtu"))
    }
}
