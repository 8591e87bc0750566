import NIOCore
import Testing

@testable import Modbus

@Suite("Client stories: lost connections, busy devices, full queues", .background)
struct LinkStories {
    @Test("a read whose connection is lost is made once more, not twice")
    func readRetriedOnce() {
        var story = ClientStory.connected()
        story.read(1)
        story.close()
        #expect(story.result(1) == nil && story.dials == 2)
        story.connect()
        #expect(story.sentAddresses == [1, 1])
        story.close()
        #expect(story.error(1) == .connectionClosed(mayHaveExecuted: true))
        #expect(story.machine.statistics.retries == 1)
    }

    @Test("a write whose connection is lost is sent exactly once and its outcome is unknown")
    func writeNeverRepeated() {
        var story = ClientStory.connected()
        story.write(1)
        story.close()
        #expect(story.error(1) == .unknownOutcome(.connectionLost))
        story.read(2)
        story.connect()
        #expect(story.sentAddresses == [1, 2], "one write, then the read; never the write again")
        #expect(story.machine.statistics.unknownOutcomes == 1)
    }

    @Test("P17: a write that timed out is not repeated either")
    func writeTimesOut() {
        var story = ClientStory.connected()
        story.write(1)
        story.pass(.seconds(30))
        #expect(story.error(1) == .unknownOutcome(.replyTimedOut) && story.sent.count == 1)
    }

    @Test("a write that was still waiting survives the loss and is sent once on the next connection")
    func waitingWriteSurvives() {
        var story = ClientStory.connected()
        story.read(1)
        story.write(2)
        story.close()
        story.sent = []
        story.connect()
        #expect(story.sentAddresses == [2], "and it still overtakes the read")
        story.answer()
        story.answer()
        #expect(story.result(2) == .success(.wroteRegister(address: 2, value: 7)) && story.registers(1) == [1])
    }

    @Test("P15: busy (06) is asked again after the delay, for a write too, since nothing was executed")
    func busy() {
        var story = ClientStory.connected { $0.busyDelay = .milliseconds(50) }
        story.write(1)
        story.receive(ClientStory.exception(.serverDeviceBusy, to: story.sent.removeFirst()))
        story.pass(.milliseconds(49))
        #expect(story.sent.isEmpty && story.result(1) == nil)
        story.pass(.milliseconds(1))
        #expect(story.sentAddresses == [1])
        story.answer()
        #expect(story.result(1) == .success(.wroteRegister(address: 1, value: 7)))
        #expect(story.machine.statistics.busyRetries == 1)
    }

    @Test("busy until the deadline: the caller hears busy while there is no time left for another try")
    func busyForEver() {
        var story = ClientStory.connected { $0.busyDelay = .milliseconds(300) }
        story.read(1)
        for _ in 0..<4 {
            story.receive(ClientStory.exception(.serverDeviceBusy, to: story.sent.removeFirst()))
            story.pass(.milliseconds(300))
        }
        #expect(story.error(1) == .exception(.serverDeviceBusy, .readHoldingRegisters))
    }

    @Test("P16: acknowledge (05) is told to the caller and never asked again")
    func acknowledge() {
        var story = ClientStory.connected()
        story.write(1)
        story.receive(ClientStory.exception(.acknowledge, to: story.sent.removeFirst()))
        #expect(story.error(1) == .exception(.acknowledge, .writeSingleRegister))
        story.pass(.seconds(10))
        #expect(story.sent.isEmpty)
    }

    @Test("a refused write keeps its place: the next write waits until it is through")
    func writesKeepOrder() {
        var story = ClientStory.connected { $0.window = 4 }
        story.write(1)
        story.write(2)
        story.read(3)
        #expect(story.sentAddresses == [1, 3], "one write at a time, reads beside it")
        story.receive(ClientStory.exception(.serverDeviceBusy, to: story.sent.removeFirst()))
        story.answer()
        #expect(story.sent.isEmpty)
        story.pass(.milliseconds(50))
        #expect(story.sentAddresses == [1])
        story.answer()
        #expect(story.sentAddresses == [2])
    }

    @Test("P12: back-off doubles to its cap within ±20 % and starts over only with a valid reply")
    func backoff() {
        var story = ClientStory { $0.backoffCap = .seconds(1) }
        story.read(1, within: .hours(1))
        for expected in [100, 200, 400, 800, 1000, 1000] as [Int64] {
            story.refuse()
            let dials = story.dials
            story.pass(.milliseconds(expected * 8 / 10 - 1))
            #expect(story.dials == dials, "not before \(expected * 8 / 10) ms")
            story.pass(.milliseconds(min(expected * 4 / 10, 1000 - expected * 8 / 10) + 1))
            #expect(story.dials == dials + 1, "not after \(min(expected * 12 / 10, 1000)) ms")
        }
        story.connect()
        story.answer()
        story.close()
        story.read(2, within: .hours(1))
        #expect(story.dials == 8, "after a reply the first attempt comes at once")
        story.refuse()
        story.pass(.milliseconds(121))
        #expect(story.dials == 9)
    }

    @Test("P13: a peer that accepts and closes five times is dialled ever more slowly")
    func acceptThenClose() {
        var story = ClientStory()
        story.read(0, within: .hours(1))
        story.read(1, within: .hours(1))
        story.read(2, within: .hours(1))
        story.read(3, within: .hours(1))
        var waits: [Int64] = []
        for _ in 0..<5 {
            story.connect()
            story.close()
            let start = story.now
            let dials = story.dials
            while story.dials == dials { story.pass(.milliseconds(1)) }
            waits.append((story.now - start).nanoseconds / 1_000_000)
        }
        #expect(waits == waits.sorted() && waits[4] > 1000, "\(waits)")
        #expect(story.machine.statistics.connects == 5 && story.machine.statistics.replies == 0)
    }

    @Test("without work nobody dials; with work the back-off still holds")
    func idleStaysDown() {
        var story = ClientStory()
        story.read(1, within: .milliseconds(10))
        story.pass(.milliseconds(10))
        story.refuse()
        story.pass(.hours(1))
        #expect(story.dials == 1)
        story.read(2)
        #expect(story.dials == 2)
        story.refuse()
        story.pass(.milliseconds(100))
        story.cancel(2)
        story.read(3)
        #expect(story.dials == 2)
    }

    @Test("a full queue refuses at once; writes have room of their own and go first")
    func queue() {
        var story = ClientStory.connected { $0.queueLimit = 3 }
        for id in UInt64(1)...5 { story.read(id) }
        #expect(story.error(5) == .queueFull(limit: 3) && story.machine.statistics.queueFull == 1)
        story.write(6)
        story.write(7)
        for _ in 0..<6 { story.answer() }
        let order = [1, 6, 7, 2, 3, 4] as [UInt64]
        #expect(order.allSatisfy { if case .success = story.result($0) { true } else { false } })
        #expect(story.machine.statistics.pending == 0)
    }

    @Test("writes overtake reads that wait")
    func writesFirst() {
        var story = ClientStory.connected()
        story.read(1)
        story.read(2)
        story.write(3)
        story.answer()
        #expect(story.sentAddresses == [3])
        story.answer()
        #expect(story.sentAddresses == [2])
    }

    @Test("urgent writes go before all that wait, in their order, and behind what was sent")
    func urgentFirst() {
        var story = ClientStory.connected()
        story.write(1)
        story.read(2)
        story.write(3)
        story.write(4, isUrgent: true)
        story.write(5)
        story.write(6, isUrgent: true)
        var order: [UInt16] = []
        while let address = story.sentAddresses.first {
            order.append(address)
            story.answer()
        }
        #expect(order == [1, 4, 6, 3, 5, 2])
    }

    @Test("urgent reads go before what is left of a plan, in their order, and behind writes")
    func urgentReads() {
        var story = ClientStory.connected()
        let reads = (10..<13).map { PlannedRead(table: .coils, range: AddressRange(UInt16($0)), filler: 0) }
        story.submit(1, .plan(reads))
        story.read(2)
        story.read(3, isUrgent: true)
        story.write(4)
        story.read(5, isUrgent: true)
        story.read(6)
        var order: [UInt16] = []
        while let address = story.sentAddresses.first {
            order.append(address)
            story.answer()
        }
        #expect(order == [10, 4, 3, 5, 11, 12, 2, 6])
    }

    @Test("an urgent write that is cancelled, or late, is never sent; a full queue refuses it as any other")
    func urgentEnds() {
        var story = ClientStory.connected { $0.queueLimit = 3 }
        story.write(1)
        story.write(2, isUrgent: true)
        story.write(3, isUrgent: true, within: .milliseconds(10))
        story.write(4, isUrgent: true)
        story.write(5, isUrgent: true)
        #expect(story.error(5) == .queueFull(limit: 3))
        story.cancel(2)
        story.pass(.milliseconds(20))
        story.answer()
        #expect(story.sentAddresses == [4])
        #expect(story.error(2) == .cancelled)
        story.answer()
        #expect(story.sent.isEmpty && story.machine.statistics.pending == 0)
    }

    @Test("a write does not wait for a whole plan, only for the request that is out")
    func writeBetweenPlan() {
        var story = ClientStory.connected()
        let reads = (10..<13).map { PlannedRead(table: .coils, range: AddressRange(UInt16($0)), filler: 0) }
        story.submit(1, .plan(reads))
        story.write(2)
        var order: [UInt16] = []
        while let address = story.sentAddresses.first {
            order.append(address)
            story.answer()
        }
        #expect(order == [10, 2, 11, 12])
    }

    @Test("a cancelled plan stops in the middle and keeps what it has")
    func cancelPlan() throws {
        var story = ClientStory.connected()
        let reads = (0..<3).map { PlannedRead(table: .holdingRegisters, range: AddressRange(UInt16($0)), filler: 0) }
        story.submit(1, .plan(reads))
        story.answer()
        story.cancel(1)
        let results = try #require(story.outcomes[1]).readResults(count: 3)
        #expect(try results[0].get() == .registers([0]))
        for result in results[1...] {
            guard case .failure(let error) = result else {
                Issue.record("a request that was not made has data")
                continue
            }
            #expect(error.code == .cancelled)
        }
        story.read(2)
        story.answer()
        story.answer()
        #expect(story.registers(2) == [2])
    }
}
