import NIOCore
import Testing

@testable import Modbus

@Suite("Client stories: a client that repeats nothing", .background)
struct NoRepeatStories {
    private static func connected() -> ClientStory {
        ClientStory.connected { $0.repeatsRequests = false }
    }

    @Test("a read whose connection is lost ends at once; the next call connects anew")
    func readIsNotRepeated() {
        var story = Self.connected()
        story.read(1)
        story.close()
        #expect(story.error(1) == .connectionClosed(mayHaveExecuted: true))
        #expect(story.dials == 1, "nobody waits for a connection")
        story.read(2)
        story.connect()
        #expect(story.sentAddresses == [1, 2])
        story.sent.removeFirst()
        story.answer()
        #expect(story.registers(2) == [2] && story.machine.statistics.retries == 0)
    }

    @Test("a refused connection ends the calls that wait for it, and the next call dials after the back-off")
    func refused() {
        var story = ClientStory { $0.repeatsRequests = false }
        story.read(1)
        story.write(2)
        story.refuse()
        #expect(story.error(1) == .connectionFailed(.refused, reason: "connection refused"))
        #expect(
            story.error(2) == .connectionFailed(.refused, reason: "connection refused"), "a write that was never sent")
        story.read(3)
        #expect(story.dials == 1)
        story.pass(.milliseconds(120))
        #expect(story.dials == 2 && story.result(3) == nil)
        story.connect()
        story.answer()
        #expect(story.registers(3) == [3])
    }

    @Test("busy is an answer like any other")
    func busy() {
        var story = Self.connected()
        story.read(1)
        story.receive(ClientStory.exception(.serverDeviceBusy, to: story.sent.removeFirst()))
        #expect(story.error(1) == .exception(.serverDeviceBusy, .readHoldingRegisters))
        story.pass(.seconds(1))
        #expect(story.sent.isEmpty)
    }

    @Test("a header that is none ends the read as malformed, not as a lost connection")
    func poisoned() {
        var story = Self.connected()
        story.read(1)
        story.receive(ByteBuffer(bytes: [0, 0, 0x12, 0x34, 0, 6, 1, 3]))
        guard case .malformedResponse = story.error(1) else {
            Issue.record("ended as \(story.error(1) as Any)")
            return
        }
        #expect(story.disconnects == 1)
    }
}
