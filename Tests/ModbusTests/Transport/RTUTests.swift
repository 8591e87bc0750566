import ALDTestKit
import NIOCore
import NIOPosix
import Testing

@testable import Modbus

/// The frame around a golden frame's PDU, on a serial line.
private func rtu(_ frame: ByteBuffer) -> ByteBuffer {
    var out = ByteBuffer()
    out.writeRTUFrame(unit: frame.getInteger(at: frame.readerIndex + 6) ?? 0, pdu: frame.pdu)
    return out
}

private func steps(_ pieces: [ByteBuffer], from sender: RTUDecoder.Sender) -> [RTUDecoder.Step] {
    var decoder = RTUDecoder(from: sender)
    var steps: [RTUDecoder.Step] = []
    for piece in pieces {
        decoder.append(piece)
        taking: while true {
            let step = decoder.next()
            switch step {
            case .needMoreBytes: break taking
            case .frame: steps.append(step)
            case .poisoned:
                steps.append(step)
                return steps
            }
        }
    }
    return steps
}

private func patience() -> NIODeadline {
    .now() + .seconds(60)
}

@Suite("RTU frames", .timeLimit(.minutes(5)))
struct RTUTests {
    @Test(
        "checksums: known vectors, low byte first",
        arguments: [
            //unit fc  data         crc
            "01 |03 |00 00 00 0A |C5 CD", "11 |03 |00 6B 00 03 |76 87", "11 |06 |00 01 00 03 |9A 9B",
            "11 |01 |00 13 00 25 |0E 84", "0A |01 |04 A1 00 01 |AC 63", "02 |07 |41 12",
        ])
    func vectors(text: String) {
        let frame = bytes(text)
        var pdu = frame.part(1, frame.readableBytes - 2)
        var out = ByteBuffer()
        out.writeRTUFrame(unit: frame.getInteger(at: 0) ?? 0, pdu: pdu)
        #expect(out == frame)
        pdu = frame.part(1, frame.readableBytes - 2)
        #expect(steps([frame], from: .client) == [.frame(.init(unit: frame.getInteger(at: 0) ?? 0, pdu: pdu))])
    }

    @Test(
        "every request and answer we know: whole, byte by byte, split anywhere, many at once", arguments: goldenFrames)
    func golden(frame: GoldenFrame) {
        for (sender, whole) in [(RTUDecoder.Sender.client, frame.requestBytes), (.server, frame.responseBytes)] {
            let pdu = whole.pdu
            var decoder = RTUDecoder(from: sender)
            decoder.diagnosticsSize = frame.requestBytes.pdu.readableBytes
            let length =
                sender == .client ? RTULength.request(pdu) : .response(pdu, diagnostics: decoder.diagnosticsSize)
            // Functions of nobody's, and an echo request that is longer than its bytes say, have no length here.
            guard length == .known(pdu.readableBytes) else {
                let isLongEcho = frame.request.function == .diagnostics && sender == .client
                #expect(length == .unknown || isLongEcho)
                continue
            }
            let serial = rtu(whole)
            let expected = RTUDecoder.Step.frame(.init(unit: frame.unit.rawValue, pdu: whole.pdu))
            decoder.append(serial)
            #expect(decoder.next() == expected && !decoder.hasPartialFrame)
            for cut in 1..<serial.readableBytes {
                decoder.append(serial.part(0, cut))
                #expect(decoder.next() == .needMoreBytes && decoder.hasPartialFrame)
                decoder.append(serial.part(cut, serial.readableBytes))
                #expect(decoder.next() == expected)
            }
            decoder.append(.joined([serial, serial, serial]))
            #expect(decoder.next() == expected && decoder.next() == expected && decoder.next() == expected)
            #expect(decoder.next() == .needMoreBytes && !decoder.hasPartialFrame)
        }
    }

    @Test("a wrong checksum, an unknown function, an impossible length: the stream is over, also for what follows")
    func poison() {
        let good = bytes("01 03 00 00 00 0A C5 CD")
        #expect(
            steps([bytes("01 03 00 00 00 0A C5 CE"), good], from: .client)
                == [.poisoned(.checksum(0xCEC5, expected: 0xCDC5))])
        #expect(steps([bytes("01 64 00 00"), good], from: .client) == [.poisoned(.function(0x64))])
        #expect(steps([bytes("01 83 02 C0 F1")], from: .client) == [.poisoned(.function(0x83))])
        #expect(steps([bytes("01 03 FF")], from: .server) == [.poisoned(.length(257))])
        #expect(steps([bytes("01 18 FF FF")], from: .server) == [.poisoned(.length(65538))])
        #expect(steps([bytes("01 2B 0D")], from: .server) == [.poisoned(.function(0x2B))])
        #expect(
            steps(
                [bytes("01 2B 0E 01 01 00 00 02 00 FA")],
                from: .server) == [.poisoned(.length(259))])
    }

    @Test("an answer gets its request's transaction back; a stranger's answer ends the stream")
    func translation() throws {
        var client = RTUTranslator(from: .server)
        #expect(try client.sent(bytes("12 34 |00 00 |00 06 |01 |03 |00 00 |00 0A")) == bytes("01 03 00 00 00 0A C5 CD"))
        #expect(throws: RTUFault.busy) { try client.sent(bytes("12 35 |00 00 |00 06 |01 |03 |00 00 |00 0A")) }
        let exception = bytes("01 83 02 C0 F1")
        #expect(try client.received(exception.part(0, 2)).readableBytes == 0)
        #expect(try client.received(exception.part(2, 5)) == bytes("12 34 |00 00 |00 03 |01 |83 |02"))
        #expect(throws: RTUFault.unexpected) { try client.received(exception) }

        var other = RTUTranslator(from: .server)
        _ = try other.sent(bytes("12 34 |00 00 |00 06 |02 |03 |00 00 |00 0A"))
        #expect(throws: RTUFault.mismatch(unit: 1, function: 0x83)) { try other.received(exception) }
        var function = RTUTranslator(from: .server)
        _ = try function.sent(bytes("12 34 |00 00 |00 06 |01 |04 |00 00 |00 0A"))
        #expect(throws: RTUFault.mismatch(unit: 1, function: 0x83)) { try function.received(exception) }
    }

    @Test("bytes that came before the request are no part of its answer")
    func beforeTheRequest() throws {
        var client = RTUTranslator(from: .server)
        let request = bytes("12 34 |00 00 |00 06 |01 |03 |00 00 |00 0A")
        _ = try client.sent(request)
        // The answer, and the first bytes of a second copy.
        #expect(try client.received(bytes("01 83 02 C0 F1 |01 83")).readableBytes == 9)
        #expect(throws: RTUFault.unexpected) { try client.sent(request) }
    }

    @Test("a server numbers requests, and does not answer a broadcast")
    func serverTranslation() throws {
        var server = RTUTranslator(from: .client)
        let request = bytes("01 03 00 00 00 0A C5 CD")
        #expect(
            try server.received(.joined([request, request]))
                == bytes("00 01 00 00 00 06 01 03 00 00 00 0A 00 02 00 00 00 06 01 03 00 00 00 0A"))
        #expect(try server.sent(bytes("00 01 00 00 00 03 01 83 02")) == bytes("01 83 02 C0 F1"))
        #expect(try server.sent(bytes("00 02 00 00 00 03 00 83 02")).readableBytes == 0)
    }

    @Test("client and server over real sockets, many callers at once")
    func roundTrip() async throws {
        var own = ModbusServer.Configuration()
        own.framing = .rtuOverTCP
        let server = ModbusServer(configuration: own, device: MemoryDevice())
        var configuration = ModbusClient.Configuration(host: "127.0.0.1", port: try await server.start())
        configuration.framing = .rtuOverTCP
        configuration.window = 16
        let client = try ModbusClient(configuration: configuration)
        try await client.write(coils: 10, [true, false, true], deadline: patience())
        try await client.write(registers: 6, [1, 2, 3], deadline: patience())
        await withTaskGroup(of: Void.self) { group in
            for address in UInt16(0)..<100 {
                group.addTask {
                    let data = try? await client.read(.inputRegisters, AddressRange(address), deadline: patience())
                    #expect(data == .registers([address]))
                }
            }
        }
        let error = await #expect(throws: ModbusError.self) {
            try await client.read(.coils, AddressRange(5000), deadline: patience())
        }
        #expect(error?.code == .exception(.illegalDataAddress, .readCoils))
        #expect(client.statistics.connects == 1 && server.statistics.requests == 103)
        await client.close()
        await server.stop()
    }

    @Test(
        "a raw request whose end nobody could see is refused before anything is sent; others are sent",
        arguments: [
            (RawRequest(FunctionCode(rawValue: 100)), false), (RawRequest(.readCoils, [0, 0]), false),
            (RawRequest(.readCoils, [0, 0, 0, 1, 0]), false), (RawRequest(.writeMultipleCoils), false),
            (RawRequest(.encapsulatedInterface, [13, 0, 0]), false), (RawRequest(.diagnostics, [0, 0]), false),
            (RawRequest(.readCoils, [0, 0, 0, 1]), true), (RawRequest(.diagnostics, [0, 0, 1, 2, 3, 4]), true),
            (RawRequest(.writeMultipleCoils, [0, 0, 0, 1, 1, 1]), true),
        ])
    func endless(request: RawRequest, isSound: Bool) async throws {
        if isSound {
            try ModbusRequest.raw(request).checkedForRTU()
            return
        }
        var configuration = ModbusClient.Configuration(host: "127.0.0.1", port: 1)
        configuration.framing = .rtuOverTCP
        let client = try ModbusClient(configuration: configuration)
        let error = await #expect(throws: ModbusError.self) {
            try await client.send(.raw(request), deadline: patience())
        }
        guard case .invalidRequest = error?.code else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(client.statistics.submitted == 0)
        await client.close()
    }

    @Test("a request that ends without its answer takes the connection with it, by deadline and by cancellation")
    func abandoned() {
        for isCancelled in [true, false] {
            var story = ClientStory.connected { $0.framing = .rtuOverTCP }
            story.read(1, within: .seconds(1))
            story.read(2, within: .seconds(9))
            #expect(story.sent.count == 1)
            if isCancelled { story.cancel(1) } else { story.pass(.seconds(1)) }
            #expect(story.resets == 1, "or the late answer would be taken for the next one's")
            story.pass(.seconds(1))
            story.connect()
            story.sent.removeFirst()
            story.answer()
            #expect(story.registers(2) == [2])
        }
    }

    @Test("a broadcast is executed and not answered, not even when it is malformed; the next request is answered")
    func broadcast() async throws {
        func frame(_ unit: UInt8, _ pdu: String) -> ByteBuffer {
            var out = ByteBuffer()
            out.writeRTUFrame(unit: unit, pdu: bytes(pdu))
            return out
        }
        var own = ModbusServer.Configuration()
        own.framing = .rtuOverTCP
        let device = MemoryDevice()
        let server = ModbusServer(configuration: own, device: device)
        let peer = try await RawPeer(port: try await server.start())
        let pieces = [
            frame(0, "06 |00 05 |12 34"), frame(0, "03 |00 00 |FF FF"), frame(0, "06 |FF FF |00 00"),
            frame(1, "03 |00 05 |00 01"),
        ]
        try await peer.send(.joined(pieces))
        let answer = frame(1, "03 |02 |12 34")
        #expect(try await peer.take(answer.readableBytes) == hex(answer))
        try await peer.send(frame(1, "07"))
        let refusal = frame(1, "87 01")
        #expect(try await peer.take(refusal.readableBytes) == hex(refusal), "nothing in between")
        #expect(device.writes == 1)
        await peer.close()
        await server.stop()
    }
}

// Without a limit on time: on a machine that is busy what only computes waits for everybody else.
@Suite("RTU frames, mutated", .background) struct RTUMutationTests {
    @Test("two hundred thousand mutated streams: no trap, and no more memory than a frame")
    func mutations() async {
        var random = SeededGenerator(seed: 16)
        for round in 0..<200_000 {
            await TestSeed.letOthersRun(round: round)
            let golden = goldenFrames[round % goldenFrames.count]
            let sender = round % 2 == 0 ? RTUDecoder.Sender.client : .server
            var serial = rtu(sender == .client ? golden.requestBytes : golden.responseBytes)
            for _ in 0..<Int.random(in: 0...2, using: &random) {
                serial.setInteger(
                    UInt8.random(in: 0...255, using: &random),
                    at: Int.random(in: 0..<serial.readableBytes, using: &random))
            }
            _ = steps([serial, serial], from: sender)
        }
    }
}
