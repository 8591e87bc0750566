import NIOCore
import Testing

@testable import Modbus

private func isRefused(_ pdu: String, for request: ModbusRequest) -> Bool {
    (try? ModbusResponse(decodingPDU: bytes(pdu), answering: request)) == nil
}

@Suite("An answer must have exactly the shape its request asks for", .background)
struct ResponseShapeTests {
    private let registers = ModbusRequest.read(.holdingRegisters, AddressRange(first: 0, last: 1))
    private let coils = ModbusRequest.read(.coils, AddressRange(first: 0, last: 8))

    @Test("registers: byte count and data, no more and no less")
    func registerReads() {
        #expect(!isRefused("03 04 00 01 00 02", for: registers))
        #expect(isRefused("03 02 00 01", for: registers), "one register short")
        #expect(isRefused("03 06 00 01 00 02 00 03", for: registers), "one register more")
        #expect(isRefused("03 04 00 01 00", for: registers), "data shorter than the byte count")
        #expect(isRefused("03 04 00 01 00 02 00", for: registers), "data longer than the byte count")
        #expect(isRefused("03 05 00 01 00 02 00", for: registers), "odd byte count")
        #expect(isRefused("03", for: registers), "nothing but the function")
        #expect(isRefused("", for: registers), "nothing at all")
        #expect(isRefused("04 04 00 01 00 02", for: registers), "another function")
    }

    @Test("bits: byte count rounded up, padding zero")
    func bitReads() {
        #expect(!isRefused("01 02 FF 01", for: coils))
        #expect(isRefused("01 02 FF 80", for: coils), "padding bit set")
        #expect(isRefused("01 01 FF", for: coils))
        #expect(isRefused("01 03 FF 01 00", for: coils))
    }

    @Test("writes: the echo, to the last bit")
    func echoes() {
        let write = ModbusRequest.writeRegisters(start: 5, values: [1, 2])
        #expect(!isRefused("10 00 05 00 02", for: write))
        #expect(isRefused("10 00 06 00 02", for: write), "another address")
        #expect(isRefused("10 00 05 00 01", for: write), "another quantity")
        #expect(isRefused("10 00 05 00 02 00", for: write), "something behind it")
        #expect(isRefused("05 00 05 00 00", for: .writeCoil(address: 5, value: true)), "another value")
    }

    @Test("exceptions: two bytes, of this function, any code kept as it came")
    func exceptions() throws {
        for code in UInt8.min...UInt8.max {
            var pdu = ByteBuffer(integer: UInt8(0x83))
            pdu.writeInteger(code)
            let response = try ModbusResponse(decodingPDU: pdu, answering: registers)
            #expect(response == .exception(.readHoldingRegisters, ExceptionCode(rawValue: code)))
        }
        #expect(isRefused("83", for: registers))
        #expect(isRefused("83 02 00", for: registers))
        #expect(isRefused("84 02", for: registers))
        #expect(isRefused("80 01", for: registers), "what one server sends for every bad frame")
    }
}
