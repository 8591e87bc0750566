import NIOCore
import Testing

@testable import Modbus

@Suite("Client stories: several requests on the wire, and replies that are almost right", .background)
struct WindowStories {
    /// Four reads, 1…4, on the wire of a window of four.
    private static func four(_ change: (inout ModbusClient.Configuration) -> Void = { _ in }) -> ClientStory {
        var story = ClientStory.connected {
            $0.window = 4
            change(&$0)
        }
        for id in UInt64(1)...4 { story.read(id) }
        return story
    }

    @Test("P02: the second of four answers is missing: it is asked for again; the first that comes is taken")
    func oneMissing() {
        var story = Self.four()
        let lost = story.sent.remove(at: 1)
        for _ in 1...3 { story.answer() }
        #expect([1, 3, 4].allSatisfy { story.registers($0) == [UInt16($0)] } && story.result(2) == nil)
        #expect(story.machine.statistics.gaps == 1, "counted once, though two later ones were answered")
        story.pass(.milliseconds(19))
        #expect(story.sent.isEmpty)
        story.pass(.milliseconds(1))
        #expect(story.sentAddresses == [2] && story.machine.statistics.remade == 1)
        story.receive(ClientStory.reply(to: lost))
        #expect(story.registers(2) == [2] && story.machine.statistics.lateReplies == 1)
        story.answer()
        #expect(story.machine.statistics.lateReplies == 2 && story.machine.statistics.strayReplies == 0)
    }

    @Test("P02: one of four answers is missing, and so is that to its copy: it times out alone")
    func missingTwice() {
        var story = Self.four()
        story.sent.remove(at: 1)
        for _ in 1...3 { story.answer() }
        story.pass(.seconds(1))
        #expect(story.error(2) == .timedOut(.reply) && story.disconnects == 0)
        #expect([1, 3, 4].allSatisfy { story.registers($0) == [UInt16($0)] })
    }

    @Test("a write that was overtaken is never sent again; its outcome is unknown when it is overdue")
    func overtakenWrite() {
        var story = ClientStory.connected {
            $0.window = 4
            $0.progressTimeout = .seconds(3)
        }
        story.write(1, within: .hours(1))
        story.sent = []
        for id in UInt64(2)...9 {
            story.read(id)
            story.answer()
            story.pass(.milliseconds(500))
            #expect(story.sent.isEmpty)
        }
        #expect(story.error(1) == .unknownOutcome(.replyTimedOut) && story.disconnects == 0)
        story.write(10)
        #expect(story.sentAddresses == [10], "and the next write is not kept out for an hour")
    }

    @Test("a client that repeats nothing does not repeat what was overtaken, and tries no window")
    func nothingRepeated() {
        var story = Self.four { $0.repeatsRequests = false }
        story.sent.remove(at: 1)
        for _ in 1...3 { story.answer() }
        story.pass(.seconds(1))
        #expect(story.error(2) == .timedOut(.reply) && story.sent.isEmpty && story.machine.statistics.gaps == 1)
        let careful = ClientStory { $0.repeatsRequests = false }
        #expect(careful.machine.adaptive == nil && careful.machine.window == 1)
    }

    @Test("behind a gateway another unit may answer first; that is no gap")
    func otherUnit() {
        var story = ClientStory.connected { $0.window = 4 }
        story.submit(1, .single(.read(.coils, AddressRange(1))), unit: 5)
        story.submit(2, .single(.read(.coils, AddressRange(2))), unit: 6)
        story.receive(ClientStory.reply(to: story.sent.removeLast()))
        #expect(story.machine.statistics.gaps == 0 && story.result(2) != nil)
        story.answer()
        #expect(story.result(1) != nil)
    }

    @Test("P03: the connection ends after the first of four answers: reads are made again, a write is not")
    func lostAfterFirst() {
        var story = ClientStory.connected { $0.window = 4 }
        for id in UInt64(1)...3 { story.read(id) }
        story.write(4)
        story.answer()
        story.sent = []
        story.close()
        #expect(story.error(4) == .unknownOutcome(.connectionLost) && story.registers(1) == [1])
        story.connect()
        #expect(story.sentAddresses == [2, 3])
        story.close()
        for id in UInt64(2)...3 { #expect(story.error(id) == .connectionClosed(mayHaveExecuted: true)) }
    }

    @Test("a connection that ends right after the window grew does not count against the reads that were on it")
    func lostInTrial() {
        var story = ClientStory.connected { $0.windowLimit = 2 }
        for _ in 0..<20 {
            story.machine.adaptive?.event(.inFlight(1), now: story.now)
            story.machine.adaptive?.event(.answered(after: .milliseconds(1), isWanted: true), now: story.now)
        }
        for id in UInt64(1)...2 { story.read(id, within: .seconds(30)) }
        #expect(story.sentAddresses == [1, 2])
        story.close()
        #expect(story.machine.window == 1)
        story.connect()
        story.close()
        #expect(story.result(1) == nil, "made again as if it had been lost once")
        story.pass(.milliseconds(120))
        story.connect()
        story.close()
        #expect(story.error(1) == .connectionClosed(mayHaveExecuted: true))
    }

    @Test(
        "P08: at most 1024 answers can be owed before the connection is replaced, so 65536 never are",
        arguments: [1, 1024])
    func manyOwed(_ limit: Int) {
        var story = ClientStory.connected { $0.lateReplyLimit = limit }
        for id in 1...UInt64(limit) {
            story.read(id)
            story.cancel(id)
        }
        #expect(story.disconnects == 0 && story.machine.session?.tombstones.count == limit)
        story.read(2000)
        story.cancel(2000)
        #expect(story.disconnects == 1 && story.resets == 1)
        story.read(2001)
        story.connect()
        story.sent = [story.sent.removeLast()]
        story.answer()
        #expect(story.registers(2001) == [2001])
    }

    @Test(
        "P11: the peer closes with two requests on the wire and three waiting: all are answered on the next connection")
    func queueSurvives() {
        var story = ClientStory.connected { $0.window = 2 }
        for id in UInt64(1)...4 { story.read(id) }
        story.read(5, within: .milliseconds(300))
        story.sent = []
        story.finish()
        #expect(
            story.disconnects == 1 && story.resets == 1, "what is owed will not come; what was sent is not repeated")
        story.refuse()
        story.pass(.milliseconds(300))
        #expect(story.error(5) == .connectionFailed(.refused, reason: "connection refused"), "within its own deadline")
        story.connect()
        while !story.sent.isEmpty { story.answer() }
        for id in UInt64(1)...4 { #expect(story.registers(id) == [UInt16(id)]) }
    }

    @Test("a peer that closes when it owes nothing is closed, not reset, and nobody dials before there is work")
    func idleClose() {
        var story = ClientStory.connected()
        story.finish()
        #expect(story.disconnects == 1 && story.resets == 0 && story.dials == 1)
        story.read(1)
        #expect(story.dials == 2)
    }

    @Test("P19: closing with three requests on the wire: new calls are refused, what comes in time counts")
    func drain() {
        var story = Self.four()
        story.answer()
        story.shutDown()
        story.read(9)
        #expect(story.error(9) == .shuttingDown && !story.isFinished)
        story.answer()
        story.pass(.seconds(1))
        #expect(story.registers(2) == [2])
        #expect(story.error(3) == .shuttingDown && story.error(4) == .shuttingDown && story.isFinished)
    }

    @Test("closing does not make a read again that was overtaken")
    func drainAfterGap() {
        var story = Self.four()
        story.sent.removeFirst()
        story.answer()
        story.shutDown()
        story.pass(.milliseconds(500))
        #expect(story.machine.statistics.remade == 0)
        story.pass(.milliseconds(500))
        #expect(story.error(1) == .shuttingDown && story.isFinished)
    }

    @Test("P22: an answer from unit 0 or 255 is accepted for another unit only where that is allowed")
    func lenientUnit() {
        for unit in [0, 255, 2] as [UInt8] {
            for isLenient in [false, true] {
                var story = ClientStory.connected { $0.lenientUnit = isLenient }
                story.read(1)
                var reply = ClientStory.reply(to: story.sent.removeFirst())
                reply.setInteger(unit, at: 6)
                story.receive(reply)
                #expect((story.registers(1) == [1]) == (isLenient && unit != 2), "unit \(unit), lenient: \(isLenient)")
            }
        }
    }

    @Test("P23: a padding bit that is set makes the answer malformed, or is ignored where that is allowed")
    func padding() {
        for isLenient in [false, true] {
            var story = ClientStory.connected { $0.lenientPadding = isLenient }
            story.submit(1, .single(.read(.coils, AddressRange(first: 0, last: 8))))
            var reply = story.sent.removeFirst().part(0, 4)
            //                               len   un fc bc data
            reply.writeImmutableBuffer(bytes("00 05 |01 |01 |02 |FF 80"))
            story.receive(reply)
            if isLenient {
                let eight = Array(repeating: true, count: 8)
                #expect(story.result(1) == .success(.bits(.coils, eight + [false])))
            } else {
                guard case .malformedResponse = story.error(1) else {
                    Issue.record("\(String(describing: story.result(1)))")
                    return
                }
            }
            #expect(story.disconnects == 0)
        }
    }

    @Test("lenient padding does not touch an exception, a whole number of bytes or registers")
    func paddingElsewhere() {
        var story = ClientStory.connected { $0.lenientPadding = true }
        story.submit(1, .single(.read(.coils, AddressRange(first: 0, last: 8))))
        story.receive(ClientStory.exception(.illegalDataAddress, to: story.sent.removeFirst()))
        #expect(story.error(1) == .exception(.illegalDataAddress, .readCoils))
        story.submit(2, .single(.read(.coils, AddressRange(first: 0, last: 7))))
        var reply = story.sent.removeFirst().part(0, 4)
        reply.writeImmutableBuffer(bytes("00 04 |01 |01 |01 |80"))
        story.receive(reply)
        #expect(story.result(2) == .success(.bits(.coils, Array(repeating: false, count: 7) + [true])))
        story.read(0xFFF)
        story.answer()
        #expect(story.registers(0xFFF) == [0xFFF])
    }

    @Test(
        "P24: a write whose echo names another address, value or quantity may have been executed all the same",
        arguments: [
            ModbusRequest.writeCoil(address: 3, value: true), .writeRegister(address: 3, value: 7),
            .writeCoils(start: 3, values: [true, false]), .writeRegisters(start: 3, values: [7, 8]),
        ])
    func wrongEcho(_ request: ModbusRequest) {
        for offset in 8...11 {
            var story = ClientStory.connected()
            story.submit(1, .single(request))
            var reply = ClientStory.reply(to: story.sent.removeFirst())
            reply.setInteger((reply.getInteger(at: offset) ?? 0 as UInt8) ^ 1, at: offset)
            story.receive(reply)
            guard case .unknownOutcome(.replyMalformed) = story.error(1) else {
                Issue.record("byte \(offset): \(String(describing: story.result(1)))")
                return
            }
            #expect(story.disconnects == 0)
        }
    }

    @Test("single bytes are no progress: a peer that trickles without ever completing a frame is given up")
    func trickle() {
        var story = ClientStory.connected { $0.progressTimeout = .seconds(3) }
        story.read(1, within: .hours(1))
        var reply = story.sent.removeFirst().part(0, 4)
        reply.writeImmutableBuffer(bytes("00 FE |01 |03 |FB"))
        for index in 0..<9 {
            story.receive(reply.part(index, index + 1))
            story.pass(.milliseconds(300))
        }
        #expect(story.disconnects == 0)
        story.pass(.milliseconds(300))
        #expect(story.disconnects == 1 && story.machine.statistics.progressTimeouts == 1)
    }

    @Test("answers to nobody are no progress either")
    func strays() {
        var story = ClientStory.connected { $0.progressTimeout = .seconds(3) }
        story.read(1, within: .hours(1))
        var stray = ClientStory.reply(to: story.sent.removeFirst())
        stray.setInteger(0x7777 ^ (stray.getInteger(at: 0) ?? 0 as UInt16), at: 0)
        for _ in 0..<10 {
            story.receive(stray)
            story.pass(.milliseconds(300))
        }
        #expect(story.disconnects == 1 && story.machine.statistics.strayReplies == 10)
    }

    @Test("a request's time runs from when it is the oldest: four slow answers in a row are no lost ones")
    func queuedInDevice() {
        var story = ClientStory.connected { $0.window = 4 }
        // The device needs 400 ms for each; the fourth waits for 1.6 s.
        story.read(100, within: .seconds(10))
        story.pass(.milliseconds(400))
        story.answer()
        for id in UInt64(1)...4 { story.read(id, within: .seconds(10)) }
        for _ in 1...4 {
            story.pass(.milliseconds(400))
            story.answer()
        }
        #expect((UInt64(1)...4).allSatisfy { story.registers($0) == [UInt16($0)] })
        #expect(story.machine.statistics.remade == 0)
    }

    @Test("a device that has become slow is not buried under copies: each waits twice as long as the one before")
    func slowDevice() {
        var story = Self.four { $0.progressTimeout = .seconds(10) }
        story.cancel(3)
        story.cancel(4)
        for id in UInt64(5)...6 { story.read(id, within: .seconds(60)) }
        story.cancel(1)
        story.cancel(2)
        story.sent = []
        // 50, 100, 200, 400, 800, 1600 and 3200 ms for each of the two, of which one at a time is the oldest.
        story.pass(.seconds(9))
        #expect((6...14).contains(story.machine.statistics.remade), "\(story.machine.statistics.remade)")
    }
}
