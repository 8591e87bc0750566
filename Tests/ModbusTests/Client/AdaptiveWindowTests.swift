import NIOCore
import Testing

@testable import Modbus

@Suite("The window that a client finds out by itself", .background)
struct AdaptiveWindowTests {
    @Test("a device that serves many at a time gets as many as allowed")
    func parallel() {
        var device = WireDevice(.parallel, latency: 40, service: 1, callers: 8)
        device.run(.seconds(1))
        #expect(device.window >= 2)
        device.run(.seconds(20))
        #expect(device.window == 4 && device.errors.isEmpty && device.story.machine.statistics.gaps == 0)
    }

    @Test("no more than the configured limit, and one more only while it pays by a tenth")
    func limit() {
        var device = WireDevice(.parallel, latency: 40, service: 1, callers: 20) { $0.windowLimit = 16 }
        device.run(.seconds(20))
        #expect((10...12).contains(device.window), "from 10 to 11 is a tenth: \(device.window)")
        var one = WireDevice(.parallel, latency: 40, service: 1, callers: 20) { $0.windowLimit = 1 }
        one.run(.seconds(5))
        #expect(one.widest == 1)
    }

    @Test("a device that serves one after the other gets as many as keep it busy while answers travel")
    func serial() {
        var device = WireDevice(.serial, latency: 20, service: 10, callers: 8)
        device.run(.seconds(20))
        #expect(device.window == 3 && device.widest == 4 && device.errors.isEmpty)
        let before = device.good
        device.run(.seconds(10))
        #expect((950...1001).contains(device.good - before), "100 per second, all it can do, not 33")
    }

    @Test("where the device's own time is all there is, 2 does not pay and is left, ever more rarely tried")
    func serviceBound() {
        var device = WireDevice(.serial, latency: 0, service: 10, callers: 8)
        device.run(.seconds(5))
        #expect(device.window == 1 && device.widest == 2 && device.errors.isEmpty)
        // Trials begin 1, 3, 7, 15, 31, 63 minutes after the first.
        var trials = 1
        for _ in 1...70 {
            device.rest(.seconds(59))
            let before = device.raises
            device.run(.seconds(1))
            if device.raises > before { trials += 1 }
        }
        device.run(.seconds(1))
        #expect(device.window == 1 && device.errors.isEmpty)
        #expect((5...7).contains(trials))
    }

    @Test("what came of a trial shows in the same second as its demand: few requests in a burst are enough")
    func bursts() {
        var device = WireDevice(.parallel, latency: 40, service: 1, callers: 0)
        var answered = 0
        for round in UInt64(0)..<30 {
            let reads = (0..<6).map { index in
                PlannedRead(table: .holdingRegisters, range: AddressRange(UInt16(index)), filler: 0)
            }
            device.story.submit(1_000_000 + round, .plan(reads))
            device.run(.seconds(1))
            let results = device.story.outcomes[1_000_000 + round]?.readResults(count: 6) ?? []
            answered += results.count { if case .success = $0 { true } else { false } }
        }
        #expect(device.window == 4 && answered == 180)
    }

    @Test("a device that answers only the first of a segment is found out, and no caller ever has an error")
    func firstOfSegment() {
        var device = WireDevice(.firstOfSegment, latency: 2, service: 1, callers: 6)
        device.run(.seconds(20))
        device.rest(.minutes(59))
        device.run(.seconds(10))
        #expect(device.errors.isEmpty && device.widest == 2 && device.window == 1)
        let statistics = device.story.machine.statistics
        #expect(statistics.remade == 2, "one lost in each of the two trials")
        #expect(statistics.timeouts == 0 && statistics.connects == 1)
        device.rest(.minutes(1))
        device.run(.seconds(10))
        #expect(device.story.machine.statistics.remade == 4, "after an hour it is tried again, twice")
    }

    @Test("when nothing else is sent after the lost request, it is missed all the same")
    func lostAtTheEnd() {
        var device = WireDevice(.firstOfSegment, latency: 2, service: 1, callers: 0, patience: .milliseconds(500))
        for round in UInt64(0)..<40 {
            device.story.read(1_000_000 + 2 * round, at: 1, within: .milliseconds(500))
            device.story.read(1_000_001 + 2 * round, at: 2, within: .milliseconds(500))
            device.run(.seconds(1))
            #expect(device.story.registers(1_000_001 + 2 * round) == [2], "round \(round)")
        }
        #expect(device.widest == 2 && device.window == 1)
    }

    @Test("a device that drops what it does for the newest request")
    func newestOnly() {
        var device = WireDevice(.newestOnly, latency: 2, service: 10, callers: 6)
        device.run(.seconds(20))
        #expect(device.errors.isEmpty && device.widest == 2 && device.window == 1)
        #expect(device.story.machine.statistics.connects == 1)
    }

    @Test("a device that closes when it is sent a second request")
    func closes() {
        var device = WireDevice(.closes, latency: 2, service: 10, callers: 6)
        device.run(.seconds(20))
        #expect(device.errors.isEmpty && device.widest == 2 && device.window == 1)
        #expect(device.story.machine.statistics.connects == 3, "two trials, no more")
    }

    @Test("a device that says busy to a second request")
    func busy() {
        var device = WireDevice(.busy, latency: 2, service: 10, callers: 6)
        device.run(.seconds(20))
        #expect(device.errors.isEmpty && device.widest == 2 && device.window == 1)
        #expect(device.story.machine.statistics.busyRetries == 2)
    }

    @Test("with a fixed window nothing is tried, and what the device loses is still made again")
    func fixed() {
        var device = WireDevice(.firstOfSegment, latency: 2, service: 1, callers: 6) { $0.window = 4 }
        device.run(.seconds(5))
        #expect(device.errors.isEmpty && device.widest == 4 && device.window == 4)
        let statistics = device.story.machine.statistics
        #expect(statistics.remade > 100 && statistics.connects == 1)
        #expect((device.story.machine.session?.tombstones.count ?? 0) <= ClientSession.skippedLimit)
    }

    @Test("what was learnt about a device outlives the connection")
    func remembered() {
        var device = WireDevice(.parallel, latency: 40, service: 1, callers: 8)
        device.run(.seconds(20))
        device.story.close()
        #expect(device.window == 4)
        device.run(.seconds(5))
        #expect(device.window == 4 && device.errors.isEmpty)
    }

    @Test("while the window is being found out a write goes alone, and reads wait for its end")
    func writesAlone() {
        var device = WireDevice(.parallel, latency: 40, service: 1, callers: 8)
        device.run(.seconds(20))
        var story = device.story
        let inFlight = story.machine.session?.exchanges ?? []
        #expect(inFlight.count > 1)
        story.write(60_000)
        for exchange in inFlight {
            #expect(story.sent.isEmpty)
            var reply = ByteBuffer()
            reply.writeModbusResponse(
                .exception(exchange.request.function, .illegalDataAddress), transaction: exchange.transaction, unit: 1)
            story.receive(reply)
        }
        #expect(story.sent.count == 1 && story.machine.session?.exchanges.map(\.request.isWrite) == [true])
        story.answer()
        #expect(story.sent.count > 1, "and then reads again")
    }

    @Test("an answer that takes half of the progress timeout is too late for the window that caused it")
    func soundWait() {
        var window = AdaptiveWindow(maximum: 4, progressTimeout: .seconds(4))
        var now = NIODeadline.uptimeNanoseconds(1)
        func answer(after wait: TimeAmount) {
            window.event(.inFlight(window.size), now: now)
            now = now + .milliseconds(10)
            window.event(.answered(after: wait, isWanted: true), now: now)
        }
        for _ in 0..<20 { answer(after: .milliseconds(10)) }
        #expect(window.size == 2)
        answer(after: .milliseconds(1999))
        #expect(window.size == 2)
        answer(after: .milliseconds(2000))
        #expect(window.size == 1)
    }

    @Test("several requests lost in one go halve the window once")
    func oneConsequence() {
        var window = AdaptiveWindow(maximum: 4, progressTimeout: .seconds(4))
        var now = NIODeadline.uptimeNanoseconds(1)
        while window.size < 4 {
            window.event(.inFlight(window.size), now: now)
            now = now + .nanoseconds(1_000_000 / Int64(window.size))
            window.event(.answered(after: .milliseconds(1), isWanted: true), now: now)
        }
        let sent = now
        let noticed = now + .milliseconds(5)
        #expect(window.event(.misbehaved(sent: sent), now: noticed) && window.size == 2)
        #expect(!window.event(.misbehaved(sent: sent), now: noticed) && window.size == 2)
        #expect(window.event(.misbehaved(sent: noticed), now: noticed) && window.size == 1)
    }
}
