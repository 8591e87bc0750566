import ALDCore
import Foundation
import Testing

@testable import ALDTestKit

/// What a faulty network does with bytes, without one.
@Suite("Fault stream") struct FaultStreamTests {
    private let start = MonotonicInstant(nanoseconds: 0)

    private func at(_ milliseconds: Int) -> MonotonicInstant { start + .milliseconds(milliseconds) }

    /// Everything that goes until then, and what the stream waits for afterwards.
    private func drain(
        _ stream: inout FaultStream, until end: MonotonicInstant
    ) -> (sent: [[UInt8]], last: FaultStream.Action) {
        var sent: [[UInt8]] = []
        while true {
            let action = stream.next(now: end)
            guard case .send(let bytes) = action else { return (sent, action) }
            sent.append(bytes)
        }
    }

    @Test("without faults everything passes at once, and an end follows the last byte")
    func sound() {
        var stream = FaultStream(seed: 1)
        stream.received([1, 2, 3], now: at(0))
        #expect(drain(&stream, until: at(0)) == ([[1, 2, 3]], .wait(until: nil)))
        stream.received([4], now: at(1))
        stream.closed(now: at(1))
        #expect(drain(&stream, until: at(1)) == ([[4]], .end(.close)))
    }

    @Test("latency holds every byte back, jitter never changes the order")
    func latency() {
        var stream = FaultStream(seed: 1)
        var faults = StreamFaults()
        faults.latency = .milliseconds(10)
        stream.set(faults)
        stream.received([1], now: at(0))
        #expect(stream.next(now: at(9)) == .wait(until: at(10)))
        #expect(stream.next(now: at(10)) == .send([1]))
        faults.jitter = .milliseconds(9)
        stream.set(faults)
        for byte in UInt8(0)..<50 { stream.received([byte], now: at(20)) }
        let (sent, last) = drain(&stream, until: at(40))
        #expect(sent.flatMap(\.self) == Array(0..<50) && last == .wait(until: nil))
    }

    @Test("a slicer cuts into pieces, each later than the one before; a bandwidth counts bytes")
    func pieces() {
        var stream = FaultStream(seed: 1)
        var faults = StreamFaults()
        (faults.slicer, faults.slicerDelay) = (2, .milliseconds(5))
        stream.set(faults)
        stream.received([1, 2, 3, 4, 5], now: at(0))
        #expect(drain(&stream, until: at(0)) == ([[1, 2]], .wait(until: at(5))))
        #expect(drain(&stream, until: at(10)) == ([[3, 4], [5]], .wait(until: nil)))
        faults = StreamFaults()
        faults.bandwidth = 1000
        stream.set(faults)
        stream.received([UInt8](repeating: 0, count: 100), now: at(20))
        #expect(stream.next(now: at(20)) == .wait(until: at(120)))
    }

    @Test(
        "a limit lets so many bytes pass, then the connection ends as ordered",
        arguments: [StreamFaults.Ending.close, .reset])
    func limit(ending: StreamFaults.Ending) {
        var stream = FaultStream(seed: 1)
        stream.set(.cut(after: 3, ending))
        stream.received([1, 2], now: at(0))
        #expect(!stream.hasBitten)
        stream.received([3, 4], now: at(0))
        #expect(stream.hasBitten && stream.swallowed == 1)
        #expect(drain(&stream, until: at(0)) == ([[1, 2], [3]], .end(ending)))
    }

    @Test("behind a pulled cable nothing passes and nobody is told, not even of an end")
    func pulled() {
        var stream = FaultStream(seed: 1)
        stream.set(.cut(after: 0, .timeout))
        stream.received([1, 2], now: at(0))
        stream.closed(now: at(1))
        #expect(drain(&stream, until: at(1000)) == ([], .wait(until: nil)))
        #expect(stream.hasBitten && stream.swallowed == 2)
    }
}

private func == (
    left: (sent: [[UInt8]], last: FaultStream.Action), right: ([[UInt8]], FaultStream.Action)
) -> Bool {
    left.sent == right.0 && left.last == right.1
}
