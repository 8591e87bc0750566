import NIOCore
import Testing

@testable import Modbus

@Suite("Client stories: which answer belongs to which request", .background)
struct ReplyStories {
    @Test("the first request connects, is sent in one piece and answered")
    func firstRequest() {
        var story = ClientStory()
        story.read(9)
        #expect(story.dials == 1 && story.sent.isEmpty)
        story.connect()
        #expect(story.sent.count == 1 && story.sent[0].readableBytes == 12)
        story.answer()
        #expect(story.registers(9) == [9])
        #expect(story.states == [.connecting, .up])
    }

    @Test("the first transaction is drawn, not fixed")
    func firstTransaction() {
        let firsts = (UInt64(0)..<50).map { seed -> UInt16 in
            var story = ClientStory(seed: seed)
            story.read(1)
            story.connect()
            return story.sent[0].getInteger(at: story.sent[0].readerIndex) ?? 0
        }
        #expect(Set(firsts).count > 40)
    }

    @Test("an answer that comes in single bytes is one answer")
    func byteByByte() {
        var story = ClientStory.connected()
        story.read(1)
        let reply = ClientStory.reply(to: story.sent.removeFirst())
        for index in 0..<reply.readableBytes {
            #expect(story.result(1) == nil)
            story.receive(reply.part(index, index + 1))
        }
        #expect(story.registers(1) == [1])
    }

    @Test("a wrong transaction is nobody's answer: dropped, counted, and the right one still counts")
    func wrongTransaction() {
        var story = ClientStory.connected()
        story.read(1)
        var stray = ClientStory.reply(to: story.sent[0])
        stray.setInteger(UInt16(0xBEEF) ^ (stray.getInteger(at: 0) ?? 0), at: 0)
        story.receive(stray)
        #expect(story.result(1) == nil && story.machine.statistics.strayReplies == 1)
        story.answer()
        #expect(story.registers(1) == [1])
    }

    @Test(
        "a wrong unit, function or shape fails that request and keeps the stream",
        arguments: [
            //     unit fc  n   data
            (bytes("02 |03 |02 |00 01"), "unit"),
            (bytes("01 |04 |02 |00 01"), "function"),
            (bytes("01 |03 |04 |00 01 00 02"), "quantity"),
            (bytes("01 |03 |03 |00 01"), "byte count"),
            (bytes("01 |83"), "exception without code"),
            (bytes("02 |83 |02"), "exception of another unit"),
        ])
    func wrongShape(_ body: ByteBuffer, _ what: String) {
        var story = ClientStory.connected()
        story.read(1)
        story.read(2)
        let request = story.sent.removeFirst()
        var reply = request.part(0, 4)
        reply.writeInteger(UInt16(body.readableBytes))
        reply.writeImmutableBuffer(body)
        story.receive(reply)
        guard case .malformedResponse = story.error(1) else {
            Issue.record("\(what): \(String(describing: story.result(1)))")
            return
        }
        #expect(story.disconnects == 0 && story.machine.statistics.malformedReplies == 1)
        story.answer()
        #expect(story.registers(2) == [2], "the next request goes on over the same connection")
    }

    @Test("a write whose echo is wrong may have been executed all the same")
    func wrongEcho() {
        var story = ClientStory.connected()
        story.write(1, 7)
        var reply = ClientStory.reply(to: story.sent.removeFirst())
        reply.setInteger(UInt16(8), at: 10)
        story.receive(reply)
        guard case .unknownOutcome(.replyMalformed) = story.error(1) else {
            Issue.record("\(String(describing: story.result(1)))")
            return
        }
        #expect(story.disconnects == 0)
    }

    @Test("P21: a gateway may say no in its own name, unit 255")
    func gatewayException() {
        var story = ClientStory.connected()
        story.read(1)
        var reply = ClientStory.exception(.gatewayPathUnavailable, to: story.sent.removeFirst())
        reply.setInteger(UInt8(255), at: 6)
        story.receive(reply)
        #expect(story.error(1) == .exception(.gatewayPathUnavailable, .readHoldingRegisters))
    }

    @Test("an exception is an answer: the code is kept, the connection too")
    func exceptions() {
        var story = ClientStory.connected()
        for code in UInt8.min...UInt8.max where code != ExceptionCode.serverDeviceBusy.rawValue {
            story.read(UInt64(code) + 1)
            story.receive(ClientStory.exception(ExceptionCode(rawValue: code), to: story.sent.removeFirst()))
            #expect(story.error(UInt64(code) + 1) == .exception(ExceptionCode(rawValue: code), .readHoldingRegisters))
        }
        #expect(story.disconnects == 0 && story.machine.statistics.exceptions == 255)
    }

    @Test("P01: with a window of four, answers in reverse order all find their request")
    func outOfOrder() {
        var story = ClientStory.connected { $0.window = 4 }
        for id in UInt64(1)...6 { story.read(id) }
        #expect(story.sentAddresses == [1, 2, 3, 4])
        let replies = story.sent.map(ClientStory.reply(to:))
        story.sent = []
        for reply in replies.reversed() { story.receive(reply) }
        #expect((UInt64(1)...4).map { story.registers($0) } == [[1], [2], [3], [4]])
        #expect(story.sentAddresses == [5, 6])
    }

    @Test("P10: an answer and half of the next in one piece")
    func coalesced() {
        var story = ClientStory.connected { $0.window = 2 }
        story.read(1)
        story.read(2)
        let first = ClientStory.reply(to: story.sent[0])
        let second = ClientStory.reply(to: story.sent[1])
        story.receive(.joined([first, second.part(0, 5)]))
        #expect(story.registers(1) == [1] && story.result(2) == nil)
        story.receive(second.part(5, second.readableBytes))
        #expect(story.registers(2) == [2])
    }

    @Test("P09: the second of two answers to one request is a stray")
    func duplicate() {
        var story = ClientStory.connected()
        story.read(1)
        let reply = ClientStory.reply(to: story.sent.removeFirst())
        var other = reply
        other.setInteger(UInt16(99), at: 9)
        story.receive(.joined([reply, other]))
        #expect(story.registers(1) == [1] && story.machine.statistics.strayReplies == 1)
    }

    @Test("a plan's requests go one after the other and its caller hears once")
    func plan() throws {
        var story = ClientStory.connected()
        let reads = (0..<3).map { PlannedRead(table: .holdingRegisters, range: AddressRange(UInt16($0)), filler: 0) }
        story.submit(1, .plan(reads))
        for address in UInt16(0)..<3 {
            #expect(story.sentAddresses == [address] && story.outcomes[1] == nil)
            if address == 1 {
                story.receive(ClientStory.exception(.illegalDataAddress, to: story.sent.removeFirst()))
            } else {
                story.answer()
            }
        }
        let results = try #require(story.outcomes[1]).readResults(count: 3)
        #expect(try results[0].get() == .registers([0]) && (try results[2].get()) == .registers([2]))
        guard case .failure(let error) = results[1] else {
            Issue.record("the refused request has data")
            return
        }
        #expect(error.isAnswer)
    }
}
