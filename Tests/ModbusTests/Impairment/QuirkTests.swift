import NIOCore
import Testing

@testable import Modbus

@Suite("Devices and servers as they are", .background)
struct QuirkTests {
    /// What comes back for each request, in one string per frame or piece.
    private func answers(
        _ requests: [String], inOneSegment: Bool = false, map: DeviceMap? = nil, busy: BusyPattern? = nil,
        _ change: (inout DeviceQuirks) -> Void = { _ in }
    ) -> [String] {
        var behavior = DeviceBehavior(map: map, busy: busy)
        change(&behavior.quirks)
        var story = DeviceStory(behavior)
        let connection = story.connect()
        for request in inOneSegment ? [requests.joined()] : requests {
            story.send(bytes(request), on: connection)
            story.run()
        }
        return story.received.map { hex($0.bytes) }
    }

    private let read = "00 01 |00 00 |00 06 |01 |04 |00 07 |00 01"
    private let answer = "00 01 00 00 00 05 01 04 02 00 07"
    private let unknownFunction = "00 02 |00 00 |00 02 |01 |63"
    private let badQuantity = "00 03 |00 00 |00 06 |01 |03 |00 00 |00 7E"

    @Test("libmodbus: a request is as long as its function says, whatever its header says")
    func ignoresLength() {
        let wrong = "00 01 |00 00 |00 30 |01 |04 |00 07 |00 01"
        let write = "00 02 |00 00 |00 02 |01 |10 |00 00 |00 01 |02 |12 34"
        let got = answers([wrong + write, read]) { $0.ignoresLength = true }
        #expect(got == [answer, "00 02 00 00 00 06 01 10 00 00 00 01", answer])
        // Byte by byte, too.
        let pieces = (wrong + write).filter(\.isHexDigit)
        let single = stride(from: 0, to: pieces.count, by: 2).map { String(pieces.dropFirst($0).prefix(2)) }
        #expect(answers(single) { $0.ignoresLength = true } == Array(got.prefix(2)))
        #expect(answers([wrong, read]) != got, "strict servers wait for the rest")
    }

    @Test("pymodbus: only the first request of a segment is seen")
    func onlyFirst() {
        let requests = (1...4).map { "00 0\($0) |00 00 |00 06 |01 |04 |00 07 |00 01" }
        let first = answers(requests, inOneSegment: true) { $0.seesOnlyFirstOfSegment = true }
        #expect(first == [answer])
        #expect(answers(requests) { $0.seesOnlyFirstOfSegment = true }.count == 4)
        #expect(answers(requests, inOneSegment: true).count == 4)
        // One that comes in two pieces is still put together.
        let halves = ["00 01 |00 00 |00 06 |01", "04 |00 07 |00 01"]
        #expect(answers(halves) { $0.seesOnlyFirstOfSegment = true } == [answer])
    }

    @Test("pymodbus: the first request of a segment is also seen when it has to wait for a place in the queue")
    func onlyFirstWaits() {
        var behavior = DeviceBehavior()
        behavior.quirks.seesOnlyFirstOfSegment = true
        behavior.timing.perRequest = .milliseconds(10)
        behavior.timing.inputQueue = .init(limit: 1)
        var story = DeviceStory(behavior)
        let connection = story.connect()
        func segment(_ transactions: ClosedRange<Int>) -> ByteBuffer {
            bytes(transactions.map { "00 0\($0) |00 00 |00 06 |01 |04 |00 07 |00 01" }.joined())
        }
        for transactions in [1...2, 3...4, 5...6] { story.send(segment(transactions), on: connection) }
        story.run()
        #expect(story.transactions == [1, 3, 5] && story.times == [10, 20, 30])
        #expect(story.machine.statistics.inFlight == [connection: 0])
    }

    @Test("pymodbus: a malformed request gets 80 01; a refused one its own exception")
    func nameless() {
        let absent = "00 04 |00 00 |00 06 |01 |03 |03 E8 |00 01"
        let got = answers([unknownFunction, badQuantity, absent, read]) { $0.namelessExceptions = true }
        #expect(
            got == [
                "00 02 00 00 00 03 01 80 01", "00 03 00 00 00 03 01 80 01", "00 04 00 00 00 03 01 83 02", answer,
            ])
    }

    @Test("modbus-tk: exceptions come without a header")
    func unframed() {
        #expect(
            answers([unknownFunction, badQuantity, read]) { $0.unframedExceptions = true } == [
                "e3 01", "83 03", answer,
            ])
    }

    @Test("any value switches a coil on, except 0000")
    func anyCoilValue() {
        let requests = ["12 34", "00 00", "FF 00"].map { "00 01 |00 00 |00 06 |01 |05 |00 03 |\($0)" }
        let got = answers(requests) { $0.acceptsAnyCoilValue = true }
        #expect(
            got == [
                "00 01 00 00 00 06 01 05 00 03 ff 00", "00 01 00 00 00 06 01 05 00 03 00 00",
                "00 01 00 00 00 06 01 05 00 03 ff 00",
            ])
        #expect(answers(requests)[0] == "00 01 00 00 00 03 01 85 03")
    }

    @Test("libmodbus: a malformed request blocks everybody for 500 ms, and what its sender asked behind it is lost")
    func blocks() throws {
        var behavior = DeviceBehavior()
        behavior.quirks.blocksAfterMalformed = .milliseconds(500)
        behavior.timing.perRequest = .milliseconds(1)
        var story = DeviceStory(behavior)
        let (guilty, innocent) = (story.connect(), story.connect())
        story.send(bytes(badQuantity + read), on: guilty)
        try story.read(7, transaction: 9, on: innocent)
        story.run()
        #expect(story.times == [501, 502] && story.received.map(\.connection) == [guilty, innocent])
        #expect(hex(story.received[0].bytes) == "00 03 00 00 00 03 01 83 03")
        #expect(story.machine.statistics.inFlight == [guilty: 0, innocent: 0])
        try story.read(7, on: guilty)
        story.run()
        #expect(story.times.last == 503)
    }

    @Test("units: every one, with its number in the answer, or silence for those that are not there")
    func units() {
        let five = "00 01 |00 00 |00 06 |05 |04 |00 07 |00 01"
        #expect(answers([five]) { $0.units = .any(as: 1) } == ["00 01 00 00 00 05 05 04 02 00 07"])
        #expect(answers([five, read]) { $0.units = .silentUnless([1]) } == [answer])
    }

    @Test("a device that takes less than the specification allows, with 02 or 03")
    func quantity() {
        let requests = ["00 20", "00 21"].map { "00 01 |00 00 |00 06 |01 |03 |00 00 |\($0)" }
        for (code, byte) in [(ExceptionCode.illegalDataAddress, "02"), (.illegalDataValue, "03")] {
            let got = answers(requests) { $0.maximumQuantity = .init(registers: 32, bits: 100, refusal: code) }
            #expect(got[0].hasPrefix("00 01 00 00 00 43 01 03 40") && got[1] == "00 01 00 00 00 03 01 83 \(byte)")
        }
    }

    @Test("sunsynk: the read behind one that was refused brings other values")
    func corruption() {
        let absent = "00 04 |00 00 |00 06 |01 |03 |03 E8 |00 01"
        let got = answers([read, absent, read, read]) { $0.corruptsReadAfterRefusal = true }
        #expect(got == [answer, "00 04 00 00 00 03 01 83 02", "00 01 00 00 00 05 01 04 02 ff f8", answer])
    }

    private func map(_ holes: DeviceMap.Holes) throws -> DeviceMap {
        var map = DeviceMap([
            .inputRegisters: .init(readable: [
                try #require(AddressRange(start: 10, count: 2)), try #require(AddressRange(start: 13, count: 2)),
            ]),
            .holdingRegisters: .init(
                readable: [try #require(AddressRange(start: 0, count: 20))],
                writable: [try #require(AddressRange(start: 5, count: 5))]),
        ])
        map.holes = holes
        map.writeRefusal = .serverDeviceFailure
        return map
    }

    @Test("holes refuse the whole read, or read as zero, or refuse only when nothing is there")
    func holes() throws {
        let across = "00 01 |00 00 |00 06 |01 |04 |00 0A |00 05"
        let outside = "00 02 |00 00 |00 06 |01 |04 |00 32 |00 02"
        let inside = "00 03 |00 00 |00 06 |01 |04 |00 0D |00 02"
        let refused = ["00 01 00 00 00 03 01 84 02", "00 02 00 00 00 03 01 84 02"]
        let masked = "00 01 00 00 00 0d 01 04 0a 00 0a 00 0b 00 00 00 0d 00 0e"
        let zeros = "00 02 00 00 00 07 01 04 04 00 00 00 00"
        let whole = "00 03 00 00 00 07 01 04 04 00 0d 00 0e"
        let requests = [across, outside, inside]
        #expect(answers(requests, map: try map(.refuse)) == refused + [whole])
        #expect(answers(requests, map: try map(.zero)) == [masked, zeros, whole])
        #expect(answers(requests, map: try map(.zeroUnlessAllAbsent)) == [masked, refused[1], whole])
    }

    @Test("what is protected cannot be written, what is not there neither, each with its own code")
    func protection() throws {
        let writes = ["00 05", "00 04", "00 09", "00 13"].map { "00 01 |00 00 |00 09 |01 |10 |\($0) |00 01 |02 |BE EF" }
        let across = "00 01 |00 00 |00 0B |01 |10 |00 13 |00 02 |04 |BE EF BE EF"
        let got = answers(writes + [across], map: try map(.refuse))
        #expect(
            got.map { $0.suffix(5) } == ["00 01", "90 04", "00 01", "90 04", "90 02"])
        // What is wrong with the quantity comes before what is wrong with the address.
        #expect(answers([badQuantity], map: try map(.refuse)) == ["00 03 00 00 00 03 01 83 03"])
    }

    @Test("busy: by chance, or at the beginning of every period, and then nothing is executed")
    func busy() throws {
        let device = MemoryDevice()
        var story = DeviceStory(
            DeviceBehavior(busy: .init(phase: .init(period: .seconds(1), busy: .milliseconds(100)))), device: device)
        let connection = story.connect()
        for _ in 0..<20 {
            story.send(bytes(FaultExample.write), on: connection)
            story.run(milliseconds: 100)
        }
        #expect(device.writes == 18)
        #expect(hex(story.received[0].bytes) == "00 05 00 00 00 03 11 86 06")
        let half = answers(Array(repeating: read, count: 1000), busy: .init(probability: 0.5))
        let busy = half.count { $0 == "00 01 00 00 00 03 01 84 06" }
        #expect((440...560).contains(busy) && half.count { $0 == answer } == 1000 - busy)
    }

    @Test("acknowledge: a write is executed and answered with 05, a read is answered")
    func acknowledge() {
        let device = MemoryDevice()
        var story = DeviceStory(DeviceBehavior(busy: .init(acknowledges: 1)), device: device)
        let connection = story.connect()
        story.send(bytes(FaultExample.write + read), on: connection)
        story.run()
        #expect(story.received.map { hex($0.bytes) } == ["00 05 00 00 00 03 11 86 05", answer])
        #expect(device.writes == 1)
    }
}
