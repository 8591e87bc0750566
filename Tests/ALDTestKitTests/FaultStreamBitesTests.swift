import ALDCore
import Testing

@testable import ALDTestKit

/// Each fault of a stream bites, counts it, and ends when it is healed; in virtual time.
@Suite("Fault stream: bites") struct FaultStreamBitesTests {
    private func at(_ milliseconds: Int) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: 0) + .milliseconds(milliseconds)
    }

    private func faults(_ change: (inout StreamFaults) -> Void) -> StreamFaults {
        var faults = StreamFaults()
        change(&faults)
        return faults
    }

    /// What passes until then, as one.
    private func drain(_ stream: inout FaultStream, until end: MonotonicInstant) -> [UInt8] {
        var sent: [UInt8] = []
        while case .send(let bytes) = stream.next(now: end) { sent += bytes }
        return sent
    }

    @Test("what is late, uneven, narrow or sliced counts its own bites, and none when healed")
    func shaping() {
        let cases: [(StreamFaults, [ProxyFault: Int])] = [
            (faults { $0.latency = .milliseconds(5) }, [.latency: 1]),
            (faults { $0.jitter = .milliseconds(5) }, [:]),
            (faults { $0.bandwidth = 1000 }, [.bandwidth: 1]),
            (faults { $0.slicer = 2 }, [.slicer: 2]),
        ]
        for (faults, expected) in cases {
            var stream = FaultStream(seed: 1)
            stream.set(faults)
            stream.received([1, 2, 3, 4, 5], now: at(0))
            var bites = stream.takeBites()
            // Chance decides on the side: without latency half of it has no effect.
            if faults.jitter > .zero { bites[.jitter] = nil }
            #expect(bites == expected)
            stream.set(.none)
            stream.received([6], now: at(10_000))
            #expect(stream.takeBites() == [:])
            #expect(drain(&stream, until: at(10_000)) == [1, 2, 3, 4, 5, 6])
        }
    }

    @Test("jitter bites where chance has changed the latency")
    func jitter() {
        var stream = FaultStream(seed: 1)
        stream.set(faults { ($0.latency, $0.jitter) = (.milliseconds(5), .milliseconds(2)) })
        for byte in UInt8(0)..<20 { stream.received([byte], now: at(0)) }
        #expect(stream.takeBites() == [.latency: 20, .jitter: 20])
    }

    @Test("an answer is lost when its request has passed since, and no other")
    func answerLost() {
        var stream = FaultStream(seed: 1)
        stream.set(.loseAnswer(.reset))
        stream.received([1], now: at(0))
        #expect(drain(&stream, until: at(0)) == [1], "nobody has asked since")
        stream.asked()
        stream.received([2, 3], now: at(1))
        #expect(stream.takeBites() == [.loseAnswer: 1])
        #expect(stream.hasBitten && stream.swallowed == 2 && stream.next(now: at(1)) == .end(.reset))
    }

    @Test("an answer that was healed in time is not lost")
    func answerHealed() {
        var stream = FaultStream(seed: 1)
        stream.set(.loseAnswer(.reset))
        stream.asked()
        stream.set(.none)
        stream.received([2], now: at(0))
        #expect(drain(&stream, until: at(0)) == [2] && !stream.hasBitten && stream.takeBites() == [:])
    }

    @Test("changed bytes are as many as counted, the same ones for a seed, and none when healed")
    func corrupt() {
        func garbled(_ seed: UInt64, inPiecesOf size: Int) -> (bytes: [UInt8], bites: Int) {
            var stream = FaultStream(seed: seed)
            stream.set(faults { $0.corrupt = 0.1 })
            for _ in 0..<(1000 / size) { stream.received([UInt8](repeating: 7, count: size), now: at(0)) }
            let bites = stream.takeBites()
            stream.set(.none)
            stream.received([8], now: at(1))
            #expect(stream.takeBites() == [:])
            return (drain(&stream, until: at(1)), bites[.corrupt] ?? 0)
        }
        let (bytes, bites) = garbled(1, inPiecesOf: 1000)
        #expect(bytes.count == 1001 && bytes.last == 8)
        #expect(bites > 0 && bytes.dropLast().count { $0 != 7 } == bites)
        #expect(garbled(1, inPiecesOf: 10).bytes == bytes, "it does not matter how the bytes come")
        #expect(garbled(2, inPiecesOf: 1000).bytes != bytes)
    }

    @Test("an end is held back, or until it is healed")
    func slowClose() {
        var stream = FaultStream(seed: 1)
        stream.set(faults { $0.slowClose = .milliseconds(50) })
        stream.received([1], now: at(0))
        stream.closed(now: at(0))
        #expect(drain(&stream, until: at(0)) == [1])
        #expect(stream.takeBites() == [.slowClose: 1])
        #expect(stream.hidesEnd(now: at(49)) && stream.next(now: at(49)) == .wait(until: at(50)))
        var healed = stream
        #expect(stream.next(now: at(50)) == .end(.close))
        healed.set(.none)
        #expect(!healed.hidesEnd(now: at(1)) && healed.next(now: at(1)) == .end(.close))
    }

    @Test("of 1000 connections so many are touched as the toxicity says; with 0 none, with 1 all")
    func toxicity() {
        func touched(_ toxicity: Double) -> Int {
            (UInt64(1)...1000).count { seed in
                var stream = FaultStream(seed: seed)
                var cut = StreamFaults.cut(after: 0, .reset)
                cut.toxicity = toxicity
                stream.set(cut)
                stream.received([1], now: at(0))
                return stream.hasBitten
            }
        }
        #expect(touched(0) == 0 && touched(1) == 1000)
        #expect((150...350).contains(touched(0.25)))
    }

    @Test("with toxicity 0 every fault at once is transparent to bytes, to time and to an end")
    func harmless() {
        var stream = FaultStream(seed: 1)
        stream.set(
            faults {
                ($0.latency, $0.jitter, $0.bandwidth) = (.seconds(1), .seconds(1), 1)
                ($0.slicer, $0.slicerDelay, $0.limitData) = (1, .seconds(1), 1)
                ($0.losesAnswer, $0.trigger, $0.corrupt) = (true, .postgres(message: 1), 1)
                ($0.slowClose, $0.toxicity) = (.seconds(1), 0)
            })
        stream.asked()
        stream.received([1, 2, 3], now: at(0))
        #expect(stream.next(now: at(0)) == .send([1, 2, 3]))
        stream.closed(now: at(0))
        #expect(stream.next(now: at(0)) == .end(.close))
        #expect(stream.takeBites() == [:])
    }

    @Test("a peer that ends by itself is no bite of a limit that it has not reached")
    func noFalseBite() {
        var stream = FaultStream(seed: 1)
        stream.set(.cut(after: 0, .reset))
        stream.closed(now: at(0))
        #expect(stream.next(now: at(0)) == .end(.close) && !stream.hasBitten && stream.takeBites() == [:])
    }

    @Test("the first connections are refused, and no more when that is healed")
    func gate() {
        var gate = ConnectionGate()
        gate.refuse(first: 2, .close)
        #expect(gate.connection() == .refuse(.refuse, .close))
        var healed = gate
        #expect(gate.connection() == .refuse(.refuse, .close) && gate.connection() == .accept)
        healed.heal()
        #expect(healed.connection() == .accept)
        gate.isDown = true
        #expect(gate.connection() == .refuse(.down, .reset))
    }
}
