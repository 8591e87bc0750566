import NIOCore
import Testing

@testable import Modbus

@Suite("Client stories: the same read wanted by several callers", .background)
struct CoalescingStories {
    /// A story with one read on the wire, so that others have to wait.
    private static func occupied(_ change: (inout ModbusClient.Configuration) -> Void = { _ in }) -> ClientStory {
        var story = ClientStory.connected(change)
        story.read(1)
        return story
    }

    @Test("identical reads that wait are one request, and each caller has its answer")
    func shared() {
        var story = Self.occupied()
        for id in UInt64(2)...5 { story.read(id, at: 40) }
        story.read(6)
        story.answer()
        #expect(story.sentAddresses == [40])
        story.answer()
        #expect((UInt64(2)...5).allSatisfy { story.registers($0) == [40] } && story.order.suffix(4) == [2, 3, 4, 5])
        #expect(story.sentAddresses == [6], "the one frame served all of them")
        #expect(story.machine.statistics.coalesced == 3 && story.machine.statistics.requests == 4)
    }

    @Test("nobody joins a request that is on the wire: its answer may be older than the call")
    func notInFlight() {
        var story = Self.occupied { $0.window = 2 }
        story.read(2, at: 1)
        #expect(story.sentAddresses == [1, 1] && story.machine.statistics.coalesced == 0)
    }

    @Test("another table, range or unit is another read")
    func different() throws {
        var story = Self.occupied()
        story.read(2, at: 40)
        story.submit(3, .single(.read(.inputRegisters, AddressRange(40))))
        story.submit(4, .single(.read(.holdingRegisters, AddressRange(first: 40, last: 41))))
        story.submit(5, .single(.read(.holdingRegisters, AddressRange(40))), unit: 2)
        for _ in 1...5 { story.answer() }
        #expect(story.machine.statistics.coalesced == 0 && story.machine.statistics.succeeded == 6)
    }

    @Test("equal writes are never one")
    func writes() {
        var story = Self.occupied()
        for id in UInt64(2)...3 { story.submit(id, .single(.writeRegister(address: 9, value: 1))) }
        for _ in 1...3 { story.answer() }
        #expect(story.machine.statistics.requests == 4 && story.machine.statistics.coalesced == 0)
    }

    @Test("each caller keeps its own deadline; the request lives as long as one waits")
    func deadlines() {
        var story = Self.occupied()
        story.read(2, at: 40, within: .seconds(5))
        story.read(3, at: 40, within: .milliseconds(300))
        story.answer()
        story.pass(.milliseconds(300))
        #expect(story.error(3) == .timedOut(.reply) && story.result(2) == nil)
        #expect(story.machine.session?.tombstones.isEmpty == true)
        story.answer()
        #expect(story.registers(2) == [40] && story.machine.statistics.lateReplies == 0)
    }

    @Test("cancelling all but one changes nothing for that one; cancelling all leaves one tombstone")
    func cancellation() {
        var story = Self.occupied()
        for id in UInt64(2)...4 { story.read(id, at: 40) }
        story.cancel(2)
        story.answer()
        #expect(story.sentAddresses == [40] && story.machine.statistics.coalesced == 1)
        story.cancel(3)
        #expect(story.error(3) == .cancelled && story.machine.session?.tombstones.isEmpty == true)
        story.cancel(4)
        #expect(story.error(4) == .cancelled && story.machine.session?.tombstones.count == 1)
        story.answer()
        #expect(story.machine.statistics.lateReplies == 1)
    }

    @Test("the tombstone is as patient as the most patient caller")
    func patience() {
        var story = ClientStory.connected {
            $0.lateReplyLimit = 1
            $0.progressTimeout = .seconds(3600)
        }
        story.read(1)
        story.read(2, at: 40, within: .seconds(1))
        story.read(3, at: 40, within: .seconds(20))
        story.answer()
        story.pass(.seconds(20))
        story.pass(.seconds(59))
        #expect(story.machine.session?.tombstones.count == 1)
    }

    @Test("a shared read whose connection is lost is made once more, again as one, then each caller hears")
    func lost() {
        var story = Self.occupied()
        for id in UInt64(2)...3 { story.read(id, at: 40) }
        story.answer()
        story.sent = []
        story.close()
        story.connect()
        #expect(story.sentAddresses == [40] && story.machine.statistics.retries == 2)
        story.close()
        #expect(story.error(2) == .connectionClosed(mayHaveExecuted: true))
        #expect(story.error(3) == .connectionClosed(mayHaveExecuted: true))
    }

    @Test("a busy device is asked again for those who can still wait")
    func busy() {
        var story = Self.occupied()
        story.read(2, at: 40, within: .milliseconds(20))
        story.read(3, at: 40)
        story.answer()
        story.receive(ClientStory.exception(.serverDeviceBusy, to: story.sent.removeFirst()))
        #expect(story.error(2) == .exception(.serverDeviceBusy, .readHoldingRegisters))
        story.pass(.milliseconds(50))
        story.answer()
        #expect(story.registers(3) == [40])
    }

    @Test("two callers of one plan share every request that neither has sent")
    func plans() {
        var story = Self.occupied()
        let reads = (10..<13).map { PlannedRead(table: .holdingRegisters, range: AddressRange($0), filler: 0) }
        story.submit(2, .plan(reads))
        story.submit(3, .plan(reads))
        story.read(4, at: 12)
        while !story.sent.isEmpty { story.answer() }
        #expect(story.machine.statistics.coalesced == 4 && story.machine.statistics.requests == 5)
        for id in UInt64(2)...3 {
            let registers = story.outcomes[id]?.readResults(count: 3).map { try? $0.get().registers }
            #expect(registers == [[10], [11], [12]])
        }
        #expect(story.registers(4) == [12])
    }

    @Test("a read that was made after a write shares no request that leaves before the write", arguments: [1, 4])
    func behindAWrite(window: Int) {
        var story = ClientStory.connected { $0.window = window }
        for id in UInt64(1)...UInt64(window) { story.read(id) }
        story.read(10, at: 40)
        story.write(40)
        story.read(11, at: 40)
        story.sent.removeFirst(window - 1)
        story.answer()
        #expect(story.sent.first?.getInteger(at: 7, as: UInt8.self) == FunctionCode.writeSingleRegister.rawValue)
        while !story.sent.isEmpty { story.answer() }
        #expect(story.order.suffix(3) == [40, 10, 11] && story.machine.statistics.coalesced == 1)
    }

    @Test("a repeated read that a later one joins does not pass a write made between them")
    func repeatedBehindAWrite() {
        var story = Self.occupied()
        story.sent = []
        story.close()
        story.write(40)
        story.read(2, at: 1)
        story.connect()
        #expect(story.sent.first?.getInteger(at: 7, as: UInt8.self) == FunctionCode.writeSingleRegister.rawValue)
        while !story.sent.isEmpty { story.answer() }
        #expect(story.order.suffix(3) == [40, 1, 2] && story.machine.statistics.coalesced == 1)
    }

    @Test("repeated reads of two units stay two requests")
    func repeatedOfTwoUnits() {
        var story = ClientStory.connected { $0.window = 2 }
        let read = ClientWork.single(.read(.holdingRegisters, AddressRange(40)))
        story.submit(1, read, unit: 1)
        story.submit(2, read, unit: 2)
        story.sent = []
        story.close()
        story.connect()
        #expect(story.sent.map { $0.getInteger(at: 6, as: UInt8.self) } == [1, 2])
    }
}
