import ALDTestKit
import NIOCore
import NIOEmbedded
import Testing

@testable import Modbus

/// Counts what is read from the peer.
private final class ReadCounter: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer

    private(set) var count = 0

    func read(context: ChannelHandlerContext) {
        count += 1
        context.read()
    }
}

@Suite("What a server answers", .background)
struct ServerSessionTests {
    private func answers(_ requests: [String], _ device: any ModbusDevice = MemoryDevice()) -> [String] {
        var session = ServerSession()
        return requests.map { request in
            var out = ByteBuffer()
            _ = session.received(bytes(request), device: device, out: &out)
            return hex(out)
        }
    }

    @Test("checks come in the specification's order: 01, then 03, then 02")
    func checkOrder() {
        let got = answers([
            //trans  proto  length unit fc  data
            "00 01 |00 00 |00 02 |01 |63",
            "00 02 |00 00 |00 06 |01 |63 |FF FF FF FF",
            "00 03 |00 00 |00 06 |01 |03 |FF FF |00 7E",
            "00 04 |00 00 |00 06 |01 |03 |FF FF |00 02",
            "00 05 |00 00 |00 06 |01 |03 |03 E7 |00 02",
            "00 06 |00 00 |00 06 |01 |05 |FF FF |12 34",
            "00 07 |00 00 |00 06 |01 |03 |03 E7 |00 01",
        ])
        #expect(
            got == [
                "00 01 00 00 00 03 01 e3 01",
                "00 02 00 00 00 03 01 e3 01",
                "00 03 00 00 00 03 01 83 03",
                "00 04 00 00 00 03 01 83 02",
                "00 05 00 00 00 03 01 83 02",
                "00 06 00 00 00 03 01 85 03",
                "00 07 00 00 00 05 01 03 02 00 00",
            ])
    }

    @Test("every request is answered the same whole, cut at any byte, and among many in one segment")
    func everyRequest() throws {
        var configuration = TableDevice.Configuration(size: 1000)
        configuration.files = [4: Array(repeating: 0, count: 20)]
        func session(_ pieces: [ByteBuffer]) throws -> ByteBuffer {
            let device = try TableDevice(configuration)
            var session = ServerSession()
            var out = ByteBuffer()
            for piece in pieces { _ = session.received(piece, device: device, out: &out) }
            return out
        }
        let requests = (goldenFrames + goldenRawFrames).map(\.requestBytes)
        for request in requests {
            let whole = try session([request])
            #expect(whole.part(0, 2) == request.part(0, 2) && whole.readableBytes >= 8)
            for cut in 1..<request.readableBytes {
                #expect(try session([request.part(0, cut), request.part(cut, request.readableBytes)]) == whole)
            }
        }
        let burst = ByteBuffer.joined(requests)
        let whole = try session([burst])
        #expect(try session(requests) == whole)
        #expect(try session((0..<burst.readableBytes).map { burst.part($0, $0 + 1) }) == whole)
    }

    @Test("a device that answers something else than it was asked has failed (04)")
    func wrongDevice() {
        let got = answers(
            ["00 01 |00 00 |00 06 |01 |03 |00 00 |00 02"], StubbornDevice(response: .registers(.holdingRegisters, [1])))
        #expect(got == ["00 01 00 00 00 03 01 83 04"])
    }

    @Test("many requests in one read are answered in order, in one write")
    func oneWritePerRead() throws {
        let registry = ServerRegistry(limit: 1, policy: .refuseNewest)
        registry.begin()
        let channel = EmbeddedChannel(
            handler: ServerChannelHandler(device: MemoryDevice(), registry: registry))
        let burst = (UInt16(1)...20).map { transaction -> ByteBuffer in
            var frame = ByteBuffer()
            try? frame.writeModbusRequest(
                .read(.inputRegisters, AddressRange(transaction)), transaction: transaction, unit: 1)
            return frame
        }
        channel.pipeline.fireChannelRead(ByteBuffer.joined(Array(burst.prefix(13))))
        channel.pipeline.fireChannelRead(ByteBuffer.joined(Array(burst.dropFirst(13))))
        channel.pipeline.fireChannelReadComplete()
        let out = try #require(try channel.readOutbound(as: ByteBuffer.self))
        #expect(try channel.readOutbound(as: ByteBuffer.self) == nil)
        #expect(hex(out) == burst.map { hex(ClientStory.reply(to: $0)) }.joined(separator: " "))
        #expect(registry.statistics.requests == 20)
        _ = try channel.finish()
    }

    @Test("the room of a large burst is given back")
    func capacity() throws {
        let registry = ServerRegistry(limit: 1, policy: .refuseNewest)
        let handler = ServerChannelHandler(device: MemoryDevice(), registry: registry)
        let channel = EmbeddedChannel(handler: handler)
        var frame = ByteBuffer()
        let range = try #require(AddressRange(start: 0, count: 125))
        try frame.writeModbusRequest(.read(.inputRegisters, range), transaction: 1, unit: 1)
        channel.pipeline.fireChannelRead(ByteBuffer.joined(Array(repeating: frame, count: 100)))
        #expect(handler.capacity > 100 * 250)
        channel.pipeline.fireChannelReadComplete()
        #expect(handler.capacity <= ServerChannelHandler.keptCapacity)
        let out = try #require(try channel.readOutbound(as: ByteBuffer.self))
        #expect(out.readableBytes == 100 * 259, "what was written is whole")
        _ = try channel.finish()
    }

    @Test("nothing more is read from a peer that does not take its answers")
    func backPressure() throws {
        let reads = ReadCounter()
        let registry = ServerRegistry(limit: 1, policy: .refuseNewest)
        let channel = EmbeddedChannel(
            handlers: [reads, ServerChannelHandler(device: MemoryDevice(), registry: registry)])
        channel.pipeline.read()
        #expect(reads.count == 1)
        channel.isWritable = false
        channel.pipeline.fireChannelWritabilityChanged()
        channel.pipeline.read()
        channel.pipeline.read()
        #expect(reads.count == 1)
        channel.isWritable = true
        channel.pipeline.fireChannelWritabilityChanged()
        #expect(reads.count == 2, "once, however often it was asked")
        channel.pipeline.fireChannelWritabilityChanged()
        #expect(reads.count == 2)
        _ = try channel.finish()
    }

    @Test("a malformed header closes the connection, after the answers to what came before it")
    func malformedHeader() throws {
        let registry = ServerRegistry(limit: 1, policy: .refuseNewest)
        let channel = EmbeddedChannel(
            handler: ServerChannelHandler(device: MemoryDevice(), registry: registry))
        channel.pipeline.fireChannelActive()
        try channel.writeInbound(
            ByteBuffer.joined([goldenFrames[6].requestBytes, bytes("00 01 |00 00 |00 01 |01 02 03")]))
        #expect(try channel.readOutbound(as: ByteBuffer.self) == goldenFrames[6].responseBytes)
        #expect(registry.statistics.malformedHeaders == 1)
        #expect(!channel.isActive)
    }

    @Test("200 000 mutated requests: an answer for every complete frame, no trap", .background)
    func mutations() async throws {
        let seed = TestSeed.draw()
        var random = SeededGenerator(seed: seed)
        var session = ServerSession()
        var written = 0
        let device = try TableDevice(.init(size: 1000))
        for round in 0..<200_000 {
            await TestSeed.letOthersRun(round: round)
            var frame = goldenFrames[round % goldenFrames.count].requestBytes
            let index = Int.random(in: 0..<frame.readableBytes, using: &random)
            frame.setInteger(UInt8.random(in: 0...255, using: &random), at: frame.readerIndex + index)
            var out = ByteBuffer()
            if session.received(frame, device: device, out: &out) != .goOn { session = ServerSession() }
            written += out.readableBytes
            var decoder = FrameDecoder()
            decoder.append(out)
            while case .frame(let answer) = decoder.next() {
                if !(2...253).contains(answer.pdu.readableBytes) { Issue.record("seed \(seed)") }
            }
            if decoder.hasPartialFrame { Issue.record("half an answer, seed \(seed)") }
        }
        #expect(written > 200_000, "hardly anything was answered, seed \(seed)")
    }
}
