import ALDCore
import ALDTestKit
import Foundation
import Modbus
import Testing

@Suite(
    "A network of one's own", .serialized,
    .enabled("needs root and network namespaces") { await NetworkNamespace.isAvailable() })
struct NetworkNamespaceTests {
    /// A server in a namespace, and how often somebody in there has got through to it.
    private static func withServer(_ body: (NetworkNamespace, _ port: Int) async throws -> Void) async throws {
        try await NetworkNamespace.run { namespace in
            let server = ModbusServer(device: try TableDevice(), logger: TestDatabase.quiet)
            let port = try await namespace.inside { try await server.start() }
            try await withCleanup {
                try await body(namespace, port)
            } cleanup: {
                await server.stop()
            }
        }
    }

    private enum Reach: Int32 {
        case connected = 0
        case refused = 1
        /// As `timeout` has it.
        case unanswered = 124
    }

    /// - Parameters:
    ///   - patience: in seconds. With the default somebody who is answered has his answer.
    ///   - isUnanswered: asked again and again meanwhile; nobody waits any longer when it is so.
    private static func reach(
        _ port: Int, from prefix: [String], patience: Double = 25, until isUnanswered: (() async throws -> Bool)? = nil
    ) async throws -> Reach? {
        let result = try await ChildProcess.run(
            "/usr/bin/env",
            prefix + [
                "timeout", "\(patience)", "bash", "-c", "exec 3<>/dev/tcp/\(NetworkNamespace.address)/\(port)",
            ]
        ) { child in
            guard let isUnanswered else { return }
            try await eventually("nobody answers, or somebody does") {
                if ChildProcess.isFinished(child.processIdentifier) { return true }
                return try await isUnanswered()
            }
            child.send(SIGTERM)
        }
        return result.signal == SIGTERM ? .unanswered : result.exitCode.flatMap(Reach.init)
    }

    @Test("who is inside is reached from inside only, and nothing is left")
    func inside() async throws {
        var name = ""
        try await Self.withServer { namespace, port in
            name = namespace.name
            let (within, without) = (
                try await Self.reach(port, from: namespace.prefix), try await Self.reach(port, from: [])
            )
            #expect(within == .connected && without == .refused)
        }
        #expect(!FileManager.default.fileExists(atPath: "/run/netns/" + name))
    }

    @Test("a failure leaves nothing, and no process either")
    func failure() async throws {
        struct Sabotage: Error {}
        var (name, process) = ("", Int32(0))
        await #expect(throws: Sabotage.self) {
            try await NetworkNamespace.run { namespace in
                name = namespace.name
                let file = NSTemporaryDirectory() + "/" + namespace.name
                // A process that nobody owns any more, as a daemon is.
                try await namespace.execute(["bash", "-c", "setsid tail -f /dev/null >&- 2>&- & echo $! > \(file)"])
                let text = try String(contentsOfFile: file, encoding: .utf8)
                try FileManager.default.removeItem(atPath: file)
                process = try #require(Int32(text.dropLast()))
                throw Sabotage()
            }
        }
        #expect(process > 0 && !FileManager.default.fileExists(atPath: "/run/netns/" + name))
        try await eventually("it is gone") { ChildProcess.isFinished(process) }
    }

    @Test("what a killed run has left is removed by the next one, what a living one has is not")
    func sweep() async throws {
        let gone = try await ChildProcess.run("/usr/bin/env", ["bash", "-c", "echo $$"])
        let left = "ald-\(gone.output.first ?? "")-left"
        _ = try await ChildProcess.run("/usr/bin/env", ["ip", "netns", "add", left])
        #expect(FileManager.default.fileExists(atPath: "/run/netns/" + left))
        try await NetworkNamespace.run { first in
            try await NetworkNamespace.run { _ in }
            #expect(FileManager.default.fileExists(atPath: "/run/netns/" + first.name))
        }
        #expect(!FileManager.default.fileExists(atPath: "/run/netns/" + left))
    }

    @Test("each fault does what it says, counts its bites, and ends")
    func faults() async throws {
        let expected: [(PacketFault.Effect, Reach)] = [
            (.silence, .unanswered), (.refusal, .refused), (.noNewConnections, .unanswered), (.loss(1), .unanswered),
            (.connectionLimit(0), .refused),
        ]
        try await Self.withServer { namespace, port in
            for (effect, reach) in expected {
                try await namespace.under(PacketFault(effect, ports: [port])) { fault in
                    // Whoever asks a second time had no answer to the first.
                    let result = try await Self.reach(port, from: namespace.prefix) {
                        let packets = try await fault.packets()
                        return reach == .unanswered && packets[.upstream] ?? 0 > 1
                    }
                    #expect(result == reach, "\(effect)")
                    let packets = try await fault.packets()
                    // Nothing has got there that could be answered.
                    #expect(packets[.upstream] ?? 0 > 0 && packets[.downstream] == 0, "\(effect): \(packets)")
                }
                let healed = try await Self.reach(port, from: namespace.prefix)
                #expect(healed == .connected, "after \(effect)")
            }
            let answers = PacketFault(.silence, ports: [port], directions: [.downstream])
            try await namespace.under(answers) { fault in
                let result = try await Self.reach(port, from: namespace.prefix) {
                    try await fault.packets()[.downstream] ?? 0 > 1
                }
                let packets = try await fault.packets()
                #expect(result == .unanswered)
                #expect(packets[.upstream] == 0 && packets[.downstream] ?? 0 > 0, "\(packets)")
            }
            let others = PacketFault(.silence, ports: [port + 1])
            try await namespace.under(others) { fault in
                let result = try await Self.reach(port, from: namespace.prefix)
                let bites = try await fault.bites()
                #expect(result == .connected && bites == 0)
            }
        }
    }

    @Test("a fifth of the packets is lost both ways, and the others are not")
    func loss() async throws {
        try await Self.withServer { namespace, port in
            try await namespace.under(PacketFault(.loss(0.2), ports: [port])) { fault in
                try await eventually("both directions have lost some") {
                    _ = try await Self.reach(port, from: namespace.prefix, patience: 0.5)
                    return try await !fault.packets().values.contains(0)
                }
                try await eventually("somebody gets through") {
                    try await Self.reach(port, from: namespace.prefix, patience: 2) == .connected
                }
            }
        }
    }

    @Test("a narrow line holds packets back, and a kernel without delay says so")
    func link() async throws {
        try await Self.withServer { namespace, port in
            // One that takes everything, and says nothing to it.
            let sink = try await namespace.inside { try SilentListener() }
            defer { sink.close() }
            let send = "exec 3<>/dev/tcp/\(NetworkNamespace.address)/\(sink.port); exec head -c 300000 /dev/zero >&3"
            try await namespace.under(.bandwidth(bytesPerSecond: 20_000)) { bites in
                _ = try await ChildProcess.run("/usr/bin/env", namespace.prefix + ["bash", "-c", send]) { child in
                    try await eventually("something is held back") { try await bites() > 0 }
                    child.send(SIGTERM)
                }
            }
            do {
                try await namespace.under(.delay(.milliseconds(1))) { bites in
                    _ = try await Self.reach(port, from: namespace.prefix)
                    let count = try await bites()
                    #expect(count > 0)
                }
            } catch let lacking as Unavailable {
                #expect(lacking.kind == .kernel && lacking.reason.contains("netem"))
            }
        }
    }

    @Test("over a long line everything takes its time each way, the handshake too, and nothing is changed")
    func longLine() async throws {
        try await NetworkNamespace.run { namespace in
            let delay = Duration.milliseconds(60)
            try await LongLine.run(in: namespace, delay: delay, jitter: .milliseconds(5)) { line in
                let server = ModbusServer(
                    configuration: .init(host: LongLine.nearEnd), device: try TableDevice(), logger: TestDatabase.quiet)
                let port = try await namespace.inside { try await server.start() }
                try await withCleanup {
                    let clock = ContinuousClock()
                    let begin = clock.now
                    // Reading holding register 0: transaction 1, unit 1, function 3, one register.
                    let answer = try await namespace.execute([
                        "timeout", "20", "bash", "-c",
                        """
                        exec 3<>/dev/tcp/\(LongLine.farEnd)/\(port)
                        printf '\\0\\1\\0\\0\\0\\6\\1\\3\\0\\0\\0\\1' >&3; head -c 11 <&3 | od -An -tu1
                        """,
                    ])
                    let took = clock.now - begin
                    #expect(
                        answer.output.joined().split(separator: " ").prefix(9).map(String.init)
                            == ["0", "1", "0", "0", "0", "5", "1", "3", "2"])
                    // There and back for the handshake, and again for the question.
                    #expect(took >= (delay - .milliseconds(5)) * 4)
                    #expect(line.bites >= 5)
                } cleanup: {
                    await server.stop()
                }
            }
            let left = try await namespace.execute(["ip", "-brief", "link"])
            #expect(!left.output.joined().contains("ald-line"))
        }
    }

    @Test("a program that is not there is missed by its name")
    func program() async throws {
        try await NetworkNamespace.run { namespace in
            let lacking = await #expect(throws: Unavailable.self) { try await namespace.execute(["ald-nonsense"]) }
            #expect(lacking?.kind == .program && lacking?.reason.contains("`ald-nonsense`") == true)
            await #expect(throws: NeverHappened.self) { try await namespace.execute(["false"]) }
        }
    }
}
