import NIOCore
import Testing

@testable import Modbus

@Suite("Client stories: slow and quick units behind one gateway", .background)
struct GatewayStories {
    private static func connected(_ change: (inout ModbusClient.Configuration) -> Void = { _ in }) -> ClientStory {
        ClientStory.connected {
            $0.window = 4
            change(&$0)
        }
    }

    /// A read of unit 5 whose answer was overtaken and which was sent again.
    ///
    /// - Returns: the story, and the frame that was sent first.
    private static func overtaken(_ work: ClientWork, within time: TimeAmount) throws -> (ClientStory, ByteBuffer) {
        var story = connected()
        story.submit(1, work, unit: 5, within: time)
        let first = story.sent.removeFirst()
        story.submit(2, .single(.read(.coils, AddressRange(2))), unit: 5, within: time)
        story.answer()
        story.pass(.milliseconds(20))
        try #require(story.machine.statistics.remade == 1 && story.result(2) != nil)
        return (story, first)
    }

    private static let read = ClientWork.single(.read(.holdingRegisters, AddressRange(7)))

    @Test("a slow unit is waited for as long as it needs, however quick its neighbours are")
    func ownPace() {
        var story = Self.connected { $0.progressTimeout = .seconds(10) }
        // The first answer of unit 5 takes 800 ms, while unit 6 answers every 10 ms.
        for round in 0..<3 {
            let id = UInt64(1000 * (round + 1))
            story.submit(id, Self.read, unit: 5, within: .seconds(5))
            let slow = story.sent.removeFirst()
            for step in UInt64(1)...80 {
                story.submit(id + step, .single(.read(.coils, AddressRange(UInt16(step)))), unit: 6)
                story.pass(.milliseconds(10))
                story.answer()
            }
            story.receive(ClientStory.reply(to: slow))
            #expect(story.registers(id) == [7])
        }
        #expect(story.machine.statistics.remade == 0 && story.machine.statistics.lateReplies == 0)
        #expect(story.machine.statistics.failed == 0)
    }

    @Test("a read that was made again is served by the answer to the first frame; the copy's answer is late")
    func firstAnswer() throws {
        var (story, first) = try Self.overtaken(Self.read, within: .seconds(5))
        story.receive(ClientStory.reply(to: first))
        #expect(story.registers(1) == [7] && story.machine.session?.exchanges.isEmpty == true)
        #expect(story.machine.session?.lateReplies == 1, "the copy's answer is still owed")
        story.answer()
        #expect(story.machine.session?.tombstones.isEmpty == true && story.machine.statistics.strayReplies == 0)
        story.read(3)
        story.answer()
        #expect(story.registers(3) == [3] && story.disconnects == 0)
    }

    private static let three = ClientWork.plan(
        [10, 20, 30].map { PlannedRead(table: .holdingRegisters, range: AddressRange($0), filler: 0) })

    @Test("a copy that the device was too busy for is not sent once more when the first answer has come")
    func copyWaits() {
        var story = Self.connected { $0.busyDelay = .milliseconds(30) }
        story.submit(1, Self.three, unit: 5, within: .seconds(5))
        let frames = story.sent
        story.sent = []
        story.receive(ClientStory.reply(to: frames[1]))
        story.pass(.milliseconds(20))
        #expect(story.sentAddresses == [10])
        story.receive(ClientStory.exception(.serverDeviceBusy, to: story.sent.removeFirst()))
        story.receive(ClientStory.reply(to: frames[0]))
        story.pass(.milliseconds(40))
        #expect(!story.sentAddresses.contains(10) && story.machine.delayed.isEmpty)
        story.receive(ClientStory.reply(to: frames[2]))
        #expect(story.machine.statistics.succeeded == 4 && story.machine.statistics.pending == 0)
    }

    @Test("who asked later and joined the copy is not given the first answer, which may be older than the call")
    func joined() throws {
        var story = Self.connected { $0.progressTimeout = .seconds(10) }
        story.submit(1, Self.read, unit: 5, within: .seconds(9))
        let first = story.sent.removeFirst()
        story.submit(2, .single(.read(.coils, AddressRange(2))), unit: 5, within: .seconds(5))
        story.answer()
        // The places are taken, so the copy waits, and a second caller finds it there.
        for id in UInt64(3)...5 { story.submit(id, .single(.read(.coils, AddressRange(UInt16(id)))), unit: 6) }
        let others = story.sent
        story.sent = []
        story.submit(6, Self.read, unit: 5, within: .seconds(9))
        story.pass(.milliseconds(20))
        try #require(story.sent.count == 1 && story.machine.statistics.coalesced == 1, "one copy for both")
        story.receive(ClientStory.reply(to: first))
        #expect(story.registers(1) == [7] && story.result(6) == nil)
        story.answer()
        #expect(story.registers(6) == [7] && story.machine.statistics.lateReplies == 1)
        for frame in others { story.receive(ClientStory.reply(to: frame)) }
        #expect(story.machine.statistics.pending == 0 && story.disconnects == 0)
    }

    @Test(
        "what is not the data that was asked for is dropped: exceptions, another unit, half a value, a second answer")
    func notData() throws {
        let mistakes: [(ByteBuffer) -> ByteBuffer] = [
            { ClientStory.exception(.illegalDataAddress, to: $0) },
            { ClientStory.exception(.serverDeviceBusy, to: $0) },
            { request in
                var reply = ClientStory.reply(to: request)
                reply.setInteger(UInt8(6), at: 6)
                return reply
            },
            { request in
                var reply = request.part(0, 4)
                reply.writeImmutableBuffer(bytes("00 03 |05 |03 |00"))
                return reply
            },
        ]
        for mistake in mistakes {
            var (story, first) = try Self.overtaken(Self.read, within: .seconds(5))
            story.receive(mistake(first))
            #expect(story.result(1) == nil && story.machine.session?.exchanges.count == 1)
            story.receive(ClientStory.reply(to: first))
            #expect(story.result(1) == nil && story.machine.statistics.strayReplies == 1, "it was answered before")
            story.answer()
            #expect(story.registers(1) == [7] && story.disconnects == 0)
        }
    }

    @Test("a plan gets the part that was taken for lost once, without the round trip of another")
    func plan() {
        var story = Self.connected()
        story.submit(1, Self.three, unit: 5, within: .seconds(5))
        let frames = story.sent
        story.sent = []
        story.pass(.milliseconds(2500))
        #expect(story.sentAddresses == [10])
        for frame in frames { story.receive(ClientStory.reply(to: frame)) }
        guard case .plan(let results, let roundTrips) = story.outcomes[1] else {
            Issue.record("\(String(describing: story.outcomes[1]))")
            return
        }
        #expect(results == [10, 20, 30].map { .success(.registers([$0])) } && roundTrips == [nil, nil, nil])
    }

    @Test("a caller who has left is not served by an answer that comes after all")
    func left() throws {
        var (story, first) = try Self.overtaken(Self.read, within: .seconds(5))
        story.cancel(1)
        story.receive(ClientStory.reply(to: first))
        story.answer()
        #expect(story.error(1) == .cancelled && story.machine.statistics.lateReplies == 2)
        #expect(story.machine.statistics.pending == 0)
    }
}
