import NIOCore
import Testing

@testable import Modbus

/// The exception a server answers `pdu` with, nil when the request is legal.
private func refusal(_ pdu: ByteBuffer) -> ExceptionCode? {
    do throws(ModbusException) {
        _ = try ModbusRequest(decodingPDU: pdu)
        return nil
    } catch {
        return error.code
    }
}

private func read(_ function: UInt8, _ start: UInt16, _ quantity: UInt16) -> ByteBuffer {
    var pdu = ByteBuffer(integer: function)
    pdu.writeMultipleIntegers(start, quantity)
    return pdu
}

private func write(_ function: UInt8, _ start: UInt16, _ quantity: Int, byteCount: Int, data: Int) -> ByteBuffer {
    var pdu = read(function, start, UInt16(quantity))
    pdu.writeInteger(UInt8(byteCount))
    pdu.writeRepeatingByte(0, count: data)
    return pdu
}

@Suite("Limits of requests, and the order in which they are checked", .background)
struct RequestLimitTests {
    @Test("reads: quantity first, then addresses", arguments: [(UInt8(1), 2000), (2, 2000), (3, 125), (4, 125)])
    func reads(_ function: UInt8, _ most: Int) {
        let most = UInt16(most)
        #expect(refusal(read(function, 0, 1)) == nil)
        #expect(refusal(read(function, 0, most)) == nil)
        #expect(refusal(read(function, 65_535, 1)) == nil)
        #expect(refusal(read(function, 0, 0)) == .illegalDataValue)
        #expect(refusal(read(function, 0, most + 1)) == .illegalDataValue)
        #expect(refusal(read(function, 0, 65_535)) == .illegalDataValue)
        #expect(refusal(read(function, 65_535, 2)) == .illegalDataAddress)
        #expect(refusal(read(function, 65_535, most + 1)) == .illegalDataValue, "03 comes before 02")
    }

    @Test("multiple writes: quantity, byte count and data must agree, then addresses")
    func writes() {
        #expect(refusal(write(15, 0, 1968, byteCount: 246, data: 246)) == nil)
        #expect(refusal(write(15, 0, 1969, byteCount: 247, data: 247)) == .illegalDataValue)
        #expect(refusal(write(15, 0, 0, byteCount: 0, data: 0)) == .illegalDataValue)
        #expect(refusal(write(15, 0, 9, byteCount: 1, data: 1)) == .illegalDataValue)
        #expect(refusal(write(15, 0, 9, byteCount: 2, data: 3)) == .illegalDataValue)
        #expect(refusal(write(15, 65_530, 9, byteCount: 2, data: 2)) == .illegalDataAddress)
        #expect(refusal(write(15, 65_530, 9, byteCount: 3, data: 3)) == .illegalDataValue, "03 comes before 02")
        #expect(refusal(write(16, 0, 123, byteCount: 246, data: 246)) == nil)
        #expect(refusal(write(16, 0, 124, byteCount: 248, data: 248)) == .illegalDataValue)
        #expect(refusal(write(16, 0, 2, byteCount: 3, data: 4)) == .illegalDataValue)
        #expect(refusal(write(16, 0, 2, byteCount: 4, data: 3)) == .illegalDataValue)
        #expect(refusal(write(16, 65_535, 2, byteCount: 4, data: 4)) == .illegalDataAddress)
    }

    @Test("a coil's value is 0000 or FF00, padding bits are zero, and nothing may follow")
    func values() {
        #expect(refusal(bytes("05 00 00 FF 00")) == nil)
        #expect(refusal(bytes("05 00 00 00 01")) == .illegalDataValue)
        #expect(refusal(bytes("05 00 00 FF FF")) == .illegalDataValue)
        #expect(refusal(bytes("0F 00 00 00 03 01 07")) == nil)
        #expect(refusal(bytes("0F 00 00 00 03 01 08")) == .illegalDataValue)
        for golden in goldenFrames {
            let pdu = golden.requestBytes.pdu
            #expect(refusal(.joined([pdu, bytes("00")])) == .illegalDataValue, "\(golden.name), oversized")
            // Query data may have any number of words, so less of it is a request, too.
            let shortest = golden.name == "08 return query data, three words" ? pdu.readableBytes - 1 : 1
            for length in shortest..<pdu.readableBytes {
                #expect(refusal(pdu.part(0, length)) == .illegalDataValue, "\(golden.name), truncated")
            }
        }
    }

    @Test("an unknown function is 01, whatever follows it")
    func unknownFunctions() {
        let known: Set<UInt8> = [1, 2, 3, 4, 5, 6, 7, 8, 11, 15, 16, 17, 20, 21, 22, 23, 24, 43]
        for function in UInt8.min...UInt8.max where !known.contains(function) {
            #expect(refusal(ByteBuffer(integer: function)) == .illegalFunction)
            #expect(refusal(read(function, 0, 0)) == .illegalFunction)
        }
        #expect(refusal(ByteBuffer()) == .illegalFunction)
    }

    @Test("what no frame can carry is refused before anything is written")
    func unsendable() throws {
        let requests: [ModbusRequest] = [
            .read(.coils, try #require(AddressRange(start: 0, count: 2001))),
            .read(.inputRegisters, try #require(AddressRange(start: 0, count: 126))),
            .writeCoils(start: 0, values: []),
            .writeCoils(start: 0, values: Array(repeating: true, count: 1969)),
            .writeRegisters(start: 0, values: Array(repeating: 1, count: 124)),
            .writeRegisters(start: 65_535, values: [1, 2]),
        ]
        for request in requests {
            var buffer = ByteBuffer()
            #expect(throws: ModbusError.self) {
                try buffer.writeModbusRequest(request, transaction: 1, unit: 1)
            }
            #expect(buffer.readableBytes == 0)
        }
    }
}
