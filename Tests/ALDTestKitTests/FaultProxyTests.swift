import ALDCore
import Foundation
import Testing

@testable import ALDTestKit

/// Each fault of a proxy between real sockets: that it bites, that its bite is counted, and that healing ends it.
@Suite("Fault proxy") struct FaultProxyTests {
    private struct Bench {
        var proxy: FaultProxy
        var listener: ListeningSocket

        func pair() async throws -> (client: WirePeer, server: WirePeer) {
            let client = try WirePeer.connect(to: proxy.port)
            return (client, try await WirePeer.accept(listener))
        }

        /// Both directions of a connection, and those of a new one, are sound.
        func checkSound(_ pair: (client: WirePeer, server: WirePeer)? = nil) async throws {
            for (client, server) in try [pair, await self.pair()].compactMap(\.self) {
                try client.send("ping")
                #expect(try await server.receive(4) == "ping")
                try server.send("pong")
                #expect(try await client.receive(4) == "pong")
            }
        }

        func bitten(_ fault: ProxyFault, atLeast count: Int = 1) async throws {
            try await eventually("\(fault) bites, \(proxy.evidence)") { proxy.evidence.bites(of: fault) >= count }
        }
    }

    /// A proxy before a TCP server that the test plays.
    private func withBench(seed: UInt64 = 1, _ body: (Bench) async throws -> Void) async throws {
        let listener = try ListeningSocket()
        defer { close(listener.descriptor) }
        _ = fcntl(listener.descriptor, F_SETFL, fcntl(listener.descriptor, F_GETFL) | O_NONBLOCK)
        try await FaultProxy.run(to: .port(listener.port), seed: seed) { proxy in
            try await body(Bench(proxy: proxy, listener: listener))
        }
    }

    private func faults(_ change: (inout StreamFaults) -> Void) -> StreamFaults {
        var faults = StreamFaults()
        change(&faults)
        return faults
    }

    @Test("without faults, and with all of them at toxicity 0, bytes and ends pass as they are, and nothing bites")
    func transparent() async throws {
        try await withBench { bench in
            try await bench.checkSound()
            for direction in FaultProxy.Direction.allCases {
                bench.proxy.set(
                    faults {
                        ($0.latency, $0.jitter, $0.bandwidth) = (.seconds(3600), .seconds(1), 1)
                        ($0.slicer, $0.limitData, $0.losesAnswer) = (1, 1, true)
                        ($0.corrupt, $0.slowClose, $0.toxicity) = (1, .seconds(3600), 0)
                    }, direction)
            }
            let pair = try await bench.pair()
            try await bench.checkSound(pair)
            pair.server.finish()
            #expect(try await pair.client.end() == .closed)
            #expect(bench.proxy.evidence.bites == [:] && bench.proxy.evidence.cuts == 0)
        }
    }

    @Test("latency, jitter, bandwidth and slicer count their own bites, and none when healed")
    func shaping() async throws {
        try await withBench { bench in
            let (client, server) = try await bench.pair()
            for (fault, faults) in [
                (ProxyFault.latency, faults { $0.latency = .milliseconds(20) }),
                (.jitter, faults { ($0.latency, $0.jitter) = (.milliseconds(20), .milliseconds(10)) }),
                (.bandwidth, faults { $0.bandwidth = 100 }), (.slicer, faults { $0.slicer = 1 }),
            ] {
                bench.proxy.set(faults, .downstream)
                // The proxy hears of it before it hears of the next connection.
                try await bench.checkSound()
                let before = bench.proxy.evidence.bites(of: fault)
                try server.send("pong")
                #expect(try await client.receive(4) == "pong")
                #expect(bench.proxy.evidence.bites(of: fault) > before, "\(fault)")
                bench.proxy.heal()
                try await bench.checkSound()
                let healed = bench.proxy.evidence.bites
                try await bench.checkSound((client, server))
                #expect(bench.proxy.evidence.bites == healed)
            }
        }
    }

    @Test("the server has its request, and its answer is lost", arguments: [StreamFaults.Ending.close, .reset])
    func answerLost(ending: StreamFaults.Ending) async throws {
        try await withBench { bench in
            let pair = try await bench.pair()
            bench.proxy.set(.loseAnswer(ending), .downstream)
            // Nobody has asked: that is no answer.
            try pair.server.send("news")
            #expect(try await pair.client.receive(4) == "news")
            try pair.client.send("ping")
            #expect(try await pair.server.receive(4) == "ping")
            try pair.server.send("pong")
            #expect(try await pair.client.end() == (ending == .close ? .closed : .reset))
            #expect(bench.proxy.evidence.bites == [.loseAnswer: 1] && bench.proxy.evidence.cuts == 1)
            bench.proxy.heal()
            try await bench.checkSound()
        }
    }

    @Test("an answer is swallowed, and nobody is told")
    func answerSwallowed() async throws {
        try await withBench { bench in
            let (client, server) = try await bench.pair()
            bench.proxy.set(.loseAnswer(.timeout), .downstream)
            try client.send("ping")
            #expect(try await server.receive(4) == "ping")
            try server.send("pong")
            try await bench.bitten(.loseAnswer)
            #expect(client.isQuiet)
            bench.proxy.heal()
            try await bench.checkSound()
        }
    }

    @Test("the first connections are refused, and the next is sound", arguments: [StreamFaults.Ending.close, .reset])
    func first(ending: StreamFaults.Ending) async throws {
        try await withBench { bench in
            let old = try await bench.pair()
            bench.proxy.refuse(first: 2, ending)
            for _ in 0..<2 {
                let end = try await WirePeer.connect(to: bench.proxy.port).end()
                #expect(end == (ending == .close ? .closed : .reset))
            }
            try await bench.checkSound(old)
            #expect(bench.proxy.evidence.bites == [.refuse: 2] && bench.proxy.evidence.refused == 2)
            bench.proxy.refuse(first: 1000, ending)
            bench.proxy.heal()
            try await bench.checkSound()
            #expect(bench.proxy.evidence.bites == [.refuse: 2])
        }
    }

    @Test("the first connection is made, and nothing passes on it")
    func firstDropped() async throws {
        try await withBench { bench in
            bench.proxy.refuse(first: 1, .timeout)
            let (client, server) = try await bench.pair()
            try client.send("ping")
            try await bench.bitten(.refuse)
            try await bench.checkSound()
            #expect(server.isQuiet && client.isQuiet)
        }
    }

    @Test("bytes come as others, as many as counted, until it is healed")
    func corrupt() async throws {
        try await withBench { bench in
            bench.proxy.set(faults { $0.corrupt = 1 }, .upstream)
            let pair = try await bench.pair()
            try pair.client.send("ping")
            let received = try await pair.server.receiveBytes(4)
            #expect(zip(received, "ping".utf8).allSatisfy { $0 != $1 })
            #expect(bench.proxy.evidence.bites == [.corrupt: 4])
            bench.proxy.heal()
            try await bench.checkSound()
            try await bench.checkSound(pair)
            #expect(bench.proxy.evidence.bites == [.corrupt: 4])
        }
    }

    @Test("an end is held back until it is healed, and what the other one sends meanwhile is no reason to end")
    func slowClose() async throws {
        try await withBench { bench in
            bench.proxy.set(faults { $0.slowClose = .seconds(3600) }, .downstream)
            let (client, server) = try await bench.pair()
            try server.send("pong")
            server.finish()
            #expect(try await client.receive(4) == "pong")
            try await bench.bitten(.slowClose)
            try client.send("ping")
            #expect(try await server.receive(4) == "ping")
            server.refuseMore()
            for _ in 0..<3 {
                try client.send("more")
                try await bench.checkSound()
            }
            #expect(client.isQuiet)
            bench.proxy.heal()
            #expect(try await client.end() == .closed)
        }
    }

    @Test("of many connections some are touched, and the same ones for a seed")
    func toxicity() async throws {
        func touched(_ seed: UInt64) async throws -> [Bool] {
            var touched: [Bool] = []
            try await withBench(seed: seed) { bench in
                bench.proxy.set(faults { ($0.corrupt, $0.toxicity) = (1, 0.5) }, .upstream)
                for _ in 0..<24 {
                    let pair = try await bench.pair()
                    try pair.client.send("ping")
                    touched.append(try await pair.server.receiveBytes(4) != Array("ping".utf8))
                }
                #expect(bench.proxy.evidence.bites(of: .corrupt) == touched.count { $0 } * 4)
            }
            return touched
        }
        let first = try await touched(7)
        #expect(Set(first) == [true, false])
        #expect(try await touched(7) == first)
    }

    @Test("down, freeze and reset count their own bites, and are over when healed")
    func whole() async throws {
        try await withBench { bench in
            let pair = try await bench.pair()
            bench.proxy.freeze()
            try pair.client.send("ping")
            try await bench.bitten(.freeze)
            bench.proxy.heal()
            #expect(try await pair.server.receive(4) == "ping")
            bench.proxy.reset()
            #expect(try await pair.client.end() == .reset)
            #expect(bench.proxy.evidence.bites(of: .reset) == 1 && bench.proxy.evidence.bites(of: .down) == 0)
            let other = try await bench.pair()
            bench.proxy.down()
            #expect(try await other.client.end() == .reset)
            #expect(try await WirePeer.connect(to: bench.proxy.port).end() == .reset)
            #expect(bench.proxy.evidence.bites(of: .down) == 2 && bench.proxy.evidence.refused == 1)
            bench.proxy.heal()
            try await bench.checkSound()
        }
    }

    @Test("the connection ends where PostgreSQL says that a command is complete")
    func message() async throws {
        try await withBench { bench in
            bench.proxy.set(.cut(at: .postgres(message: UInt8(ascii: "C")), .close), .downstream)
            let (client, server) = try await bench.pair()
            let greeting = "R\0\0\0\u{8}\0\0\0\0"
            try server.send(greeting + "C\0\0\0\u{B}COMMIT\0" + "Z\0\0\0\u{5}I")
            #expect(try await client.receive(9) == greeting)
            #expect(try await client.end() == .closed)
            #expect(bench.proxy.evidence.bites == [.message: 1] && bench.proxy.evidence.cuts == 1)
            bench.proxy.heal()
            try await bench.checkSound()
        }
    }

    @Test("where nobody listens connections are refused, and no fault has bitten")
    func nobody() async throws {
        let nobody = try ListeningSocket(accepts: false)
        defer { close(nobody.descriptor) }
        try await withBench { bench in
            bench.proxy.retarget(.port(nobody.port))
            #expect(try await WirePeer.connect(to: bench.proxy.port).end() == .reset)
            #expect(bench.proxy.evidence.refused == 1 && bench.proxy.evidence.bites == [:])
            bench.proxy.retarget(.port(bench.listener.port))
            try await bench.checkSound()
        }
    }

    @Test("a script plays its steps when they are due, and one that is cancelled heals")
    func script() async throws {
        try await withBench { bench in
            let time = ManualTime()
            let script = FaultScript()
                .then(after: .seconds(10), .set(faults { $0.corrupt = 1 }, .upstream))
                .then(after: .seconds(20), .heal)
                .then(after: .seconds(30), .refuse(first: 1, .close))
                .then(after: .seconds(40), .down)
            async let played: Void = bench.proxy.play(script, on: time)
            await time.waitForSleepers(1)
            time.advance(by: .seconds(9))
            try await bench.checkSound()
            time.advance(by: .seconds(1))
            await time.waitForSleepers(1)
            let pair = try await bench.pair()
            try pair.client.send("ping")
            #expect(try await pair.server.receiveBytes(4) != Array("ping".utf8))
            time.advance(by: .seconds(20))
            await time.waitForSleepers(1)
            try await bench.checkSound()
            time.advance(by: .seconds(30))
            await time.waitForSleepers(1)
            #expect(try await WirePeer.connect(to: bench.proxy.port).end() == .closed)
            try await bench.checkSound()
            time.advance(by: .seconds(40))
            try await played
            #expect(try await WirePeer.connect(to: bench.proxy.port).end() == .reset)
        }
    }

    @Test("a script that is cancelled heals")
    func cancelled() async throws {
        try await withBench { bench in
            let time = ManualTime()
            let proxy = bench.proxy
            let script = FaultScript().then(after: .zero, .down).then(after: .seconds(1), .reset)
            let playing = Task { try await proxy.play(script, on: time) }
            await time.waitForSleepers(1)
            #expect(try await WirePeer.connect(to: proxy.port).end() == .reset)
            playing.cancel()
            await #expect(throws: CancellationError.self) { try await playing.value }
            try await bench.checkSound()
        }
    }
}
