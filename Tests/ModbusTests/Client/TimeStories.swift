import NIOCore
import Testing

@testable import Modbus

@Suite("Client stories: deadlines, cancellation, silence", .background)
struct TimeStories {
    @Test("P06: a late answer is recognised, dropped and counted, and never taken for the next one")
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

    @Test("P20: a deadline that has passed never reaches the wire")
    func pastDeadline() {
        var story = ClientStory.connected()
        story.read(1, within: .zero)
        #expect(story.error(1) == .timedOut(.queue) && story.sent.isEmpty)
    }

    @Test("the process stands still: what waited behind a read is too late when its answer makes room, and is not sent")
    func stall() {
        var story = ClientStory.connected { $0.window = 1 }
        story.read(1, within: .seconds(60))
        story.write(2)
        story.read(3)
        story.stall(.seconds(20))
        story.answer()
        #expect(story.registers(1) == [1])
        #expect(story.sent.isEmpty && story.error(2) == .timedOut(.queue) && story.error(3) == .timedOut(.queue))

        // Behind a busy device, and before the connection stands.
        var busy = ClientStory.connected()
        busy.write(1)
        busy.receive(ClientStory.exception(.serverDeviceBusy, to: busy.sent.removeFirst()))
        busy.stall(.seconds(20))
        busy.read(2)
        #expect(busy.sentAddresses == [2] && busy.error(1) == .timedOut(.queue))
        var connecting = ClientStory()
        connecting.write(1)
        connecting.stall(.seconds(20))
        connecting.connect()
        #expect(connecting.sent.isEmpty && connecting.error(1) == .timedOut(.queue))
        connecting.write(4)
        connecting.answer()
        guard case .success = connecting.result(4) else {
            Issue.record("it goes on: \(String(describing: connecting.error(4)))")
            return
        }
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
        #expect(refused.error(1) == .connectionFailed(.refused, reason: "connection refused"))
    }

    @Test("P04, P18: cancelled before it was sent: never sent")
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

    @Test("P05: cancelled after it was sent: the slot is free at once and the late answer confuses nobody")
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

    @Test("P14: a peer that accepts and never answers is given up, however many requests time out meanwhile")
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

    @Test("answers lost one by one over weeks are no reason to give a connection up")
    func lostReplies() {
        var story = ClientStory.connected { $0.lateReplyLimit = 4 }
        for id in UInt64(1)...20 {
            story.read(id, within: .milliseconds(100))
            story.pass(.milliseconds(100))
            #expect(story.error(id) == .timedOut(.reply))
            story.sent = []
            // The next one is answered, so that the peer is not silent.
            story.read(100 + id)
            story.answer()
            story.pass(.seconds(10))
        }
        #expect(story.disconnects == 0)
    }

    @Test("an answer is awaited three times as long as its caller did, before it counts as lost")
    func patientTombstones() {
        for (wait, disconnects) in [(TimeAmount.seconds(59), 1), (.seconds(60), 0)] {
            var story = ClientStory.connected {
                $0.lateReplyLimit = 1
                $0.progressTimeout = .seconds(3600)
            }
            story.read(1, within: .seconds(20))
            story.pass(.seconds(20))
            story.pass(wait)
            story.read(2)
            story.cancel(2)
            #expect(story.disconnects == disconnects)
        }
    }

    @Test("a caller who would wait for ever leaves a tombstone too")
    func endlessPatience() {
        var story = ClientStory.connected()
        story.read(1, within: .nanoseconds(.max / 2))
        story.cancel(1)
        #expect(story.machine.session?.tombstones.count == 1)
    }

    @Test("jobs that end together end in the order of their calls")
    func orderOfEnds() {
        var expired = ClientStory.connected()
        for id in UInt64(1)...50 { expired.read(id) }
        expired.pass(.seconds(1))
        #expect(expired.order == Array(0...50))
        var closed = ClientStory.connected()
        for id in UInt64(1)...50 { closed.read(id) }
        closed.shutDown()
        #expect(closed.order == [0] + Array(2...50))
    }

    @Test("a connection given up with something unanswered is reset, one that owes nothing is closed")
    func resets() {
        var silent = ClientStory.connected()
        silent.write(1, within: .seconds(60))
        silent.pass(.seconds(5))
        #expect(silent.disconnects == 1 && silent.resets == 1)
        var drained = ClientStory.connected()
        drained.write(1)
        drained.cancel(1)
        drained.shutDown()
        #expect(drained.error(1) == .unknownOutcome(.cancelled))
        #expect(drained.disconnects == 1 && drained.resets == 1)
        var clean = ClientStory.connected()
        clean.write(1)
        clean.answer()
        clean.shutDown()
        #expect(clean.disconnects == 1 && clean.resets == 0)
    }

    @Test("an answer that was given up as lost still makes the end a reset")
    func resetAfterLoss() {
        var story = ClientStory.connected { $0.progressTimeout = .seconds(3600) }
        story.write(1)
        story.cancel(1)
        story.pass(.seconds(10))
        story.read(2)
        story.cancel(2)
        story.receive(ClientStory.reply(to: story.sent[1]))
        #expect(story.machine.session?.tombstones.isEmpty == true)
        story.shutDown()
        #expect(story.resets == 1)
    }

    @Test("P07: a transaction that is still owed an answer is not used again")
    func transactionsOwed() {
        var session = ClientSession(firstTransaction: 5)
        let now = NIODeadline.uptimeNanoseconds(1)
        let request = ModbusRequest.read(.coils, AddressRange(0))
        func open(_ id: UInt64) -> UInt16 {
            session.open(
                request, unit: 1, attempts: [Attempt(job: JobID(rawValue: id), index: 0)], deadline: now + .seconds(1),
                now: now
            ).transaction
        }
        #expect(open(1) == 5)
        _ = session.bury({ $0.rawValue == 1 }, now: now)
        #expect(open(2) == 6, "stays in flight")
        for _ in 0..<65_534 { _ = session.answered(open(3), now: now) }
        #expect(open(4) == 7, "neither 5, which is owed, nor 6, which is in flight")
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
