import NIOCore
import Testing

@testable import Modbus

@Suite("Client stories: deadlines, cancellation, silence")
struct TimeStories {
    @Test("a late answer is recognised, dropped and counted, and never taken for the next one")
    func lateReply() {
        var story = ClientStory.connected()
        story.read(1)
        let late = story.sent.removeFirst()
        story.pass(.seconds(1))
        #expect(story.error(1) == .timedOut(.reply))
        story.read(2)
        story.receive(ClientStory.reply(to: late))
        #expect(story.result(2) == nil && story.machine.statistics.lateReplies == 1)
        story.answer()
        #expect(story.registers(2) == [2] && story.disconnects == 0)
    }

    @Test("a deadline that has passed never reaches the wire")
    func pastDeadline() {
        var story = ClientStory.connected()
        story.read(1, within: .zero)
        #expect(story.error(1) == .timedOut(.queue) && story.sent.isEmpty)
    }

    @Test("a deadline covers waiting: behind others, for the connection, after a refusal")
    func stages() {
        var story = ClientStory.connected()
        story.read(1, within: .seconds(2))
        story.read(2, within: .seconds(1))
        story.pass(.seconds(1))
        #expect(story.error(2) == .timedOut(.queue))

        var connecting = ClientStory()
        connecting.read(1)
        connecting.pass(.seconds(1))
        #expect(connecting.error(1) == .timedOut(.connect))

        var refused = ClientStory()
        refused.write(1)
        refused.refuse()
        refused.pass(.milliseconds(999))
        #expect(refused.result(1) == nil)
        refused.refuse()
        refused.pass(.milliseconds(1))
        #expect(refused.error(1) == .connectionFailed(reason: "connection refused"))
    }

    @Test("cancelled before it was sent: never sent")
    func cancelBeforeWrite() {
        var story = ClientStory.connected()
        story.read(1)
        story.write(2)
        story.read(3)
        story.cancel(2)
        story.cancel(3)
        #expect(story.error(2) == .cancelled && story.error(3) == .cancelled)
        story.answer()
        #expect(story.registers(1) == [1] && story.sent.isEmpty)
    }

    @Test("cancelled after it was sent: the slot is free at once and the late answer confuses nobody")
    func cancelAfterWrite() {
        var story = ClientStory.connected()
        story.read(1)
        story.read(2)
        story.cancel(1)
        #expect(story.error(1) == .cancelled)
        #expect(story.sentAddresses == [1, 2])
        story.answer()
        #expect(story.result(2) == nil && story.machine.statistics.lateReplies == 1)
        story.answer()
        #expect(story.registers(2) == [2])
    }

    @Test("a write cancelled after it was sent has an unknown outcome, and cancelling again changes nothing")
    func cancelSentWrite() {
        var story = ClientStory.connected()
        story.write(1)
        story.cancel(1)
        story.cancel(1)
        #expect(story.error(1) == .unknownOutcome(.cancelled) && story.sent.count == 1)
    }

    @Test("a bad header poisons the stream: close, reconnect, read again")
    func poisoned() {
        var story = ClientStory.connected()
        story.read(1)
        story.receive(bytes("00 00 |00 01 |00 06"))
        #expect(story.disconnects == 1 && story.machine.statistics.poisonedStreams == 1 && story.dials == 2)
        story.sent = []
        story.connect()
        story.answer()
        #expect(story.registers(1) == [1])
    }

    @Test("half an answer at the deadline poisons the stream: what comes next could be anything")
    func partialFrame() {
        var story = ClientStory.connected()
        story.read(1)
        let reply = ClientStory.reply(to: story.sent.removeFirst())
        story.receive(reply.part(0, 8))
        story.pass(.seconds(1))
        #expect(story.error(1) == .timedOut(.reply) && story.disconnects == 1)
        #expect(story.machine.statistics.poisonedStreams == 1)
        story.read(2)
        story.connect()
        story.answer()
        #expect(story.registers(2) == [2])
    }

    @Test("no answer before the deadline, with no half frame: the stream is kept")
    func timeoutKeepsStream() {
        var story = ClientStory.connected()
        story.read(1)
        story.pass(.seconds(1))
        #expect(story.error(1) == .timedOut(.reply) && story.disconnects == 0)
    }

    @Test("a peer that accepts and never answers is given up, however many requests time out meanwhile")
    func silence() {
        var story = ClientStory.connected { $0.progressTimeout = .seconds(3) }
        for id in UInt64(1)...3 {
            story.read(id)
            story.pass(.milliseconds(999))
            #expect(story.disconnects == 0)
            story.pass(.milliseconds(1))
        }
        #expect(story.disconnects == 1 && story.machine.statistics.progressTimeouts == 1)
    }

    @Test("a slow peer that answers in time again and again is not silent")
    func slowIsNotSilent() {
        var story = ClientStory.connected { $0.progressTimeout = .seconds(3) }
        for id in UInt64(1)...10 {
            story.read(id, within: .seconds(10))
            story.pass(.milliseconds(2900))
            story.answer()
        }
        story.pass(.hours(1))
        #expect(story.disconnects == 0)
    }

    @Test("a device that falls behind further and further gets a fresh connection")
    func lateReplyLimit() {
        var story = ClientStory.connected { $0.lateReplyLimit = 4 }
        for id in UInt64(1)...5 {
            story.read(id)
            story.cancel(id)
        }
        #expect(story.disconnects == 1)
    }

    @Test("closing lets what was sent finish, refuses the rest, and ends")
    func shutDown() {
        var story = ClientStory.connected()
        story.write(1)
        story.read(2)
        story.shutDown()
        #expect(story.error(2) == .shuttingDown && !story.isFinished)
        story.read(3)
        #expect(story.error(3) == .shuttingDown)
        story.answer()
        #expect(story.result(1) == .success(.wroteRegister(address: 1, value: 7)))
        #expect(story.isFinished && story.disconnects == 1)
    }

    @Test("closing does not wait longer than the drain timeout")
    func drainTimeout() {
        var story = ClientStory.connected()
        story.write(1, within: .seconds(60))
        story.shutDown()
        story.pass(.milliseconds(999))
        #expect(!story.isFinished)
        story.pass(.milliseconds(1))
        #expect(story.error(1) == .unknownOutcome(.shuttingDown) && story.isFinished)
        story.shutDown()
        #expect(story.machine.wake == nil)
    }
}
