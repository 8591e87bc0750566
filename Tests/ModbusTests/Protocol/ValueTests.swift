import Testing

@testable import Modbus

@Suite("Values that cannot hold nonsense", .background)
struct ValueTests {
    @Test("an address range has at least one address and ends inside the table")
    func addressRanges() throws {
        #expect(AddressRange(start: 0, count: 0) == nil)
        #expect(AddressRange(start: 0, count: -1) == nil)
        #expect(AddressRange(start: 0, count: 65_537) == nil)
        #expect(AddressRange(start: 65_535, count: 2) == nil)
        #expect(AddressRange(start: 1, count: .max) == nil)
        let whole = try #require(AddressRange(start: 0, count: 65_536))
        #expect(whole.last == 65_535 && whole.end == 65_536)
        let last = AddressRange(65_535)
        #expect(last.count == 1 && last.last == 65_535)
        #expect(whole.contains(last) && !last.contains(whole) && last.overlaps(whole))
        #expect(!AddressRange(4).overlaps(AddressRange(5)))
    }

    @Test(
        "123456.0 in the four word orders",
        arguments: [
            (WordOrder.abcd, UInt16(0x47F1), UInt16(0x2000)),
            (.cdab, 0x2000, 0x47F1),
            (.badc, 0xF147, 0x0020),
            (.dcba, 0x0020, 0xF147),
        ])
    func wordOrder(_ order: WordOrder, _ first: UInt16, _ second: UInt16) {
        #expect(Float(bitPattern: order.combine(first, second)) == 123_456)
        #expect(order.split(Float(123_456).bitPattern) == (first, second))
    }

    @Test("every function that reads belongs to the table it reads, with the specification's limit")
    func tables() {
        for table in DataTable.allCases {
            #expect(DataTable(readBy: table.readFunction) == table)
            #expect(table.maximumReadCount == (table.isBits ? 2000 : 125))
        }
        #expect(DataTable(readBy: .writeSingleCoil) == nil)
        #expect(ModbusLimits.maximumADUSize == 260)
    }

    @Test("the peer said no is not the link broke")
    func answers() {
        let answer = ModbusError(.exception(.illegalDataAddress, .readCoils))
        #expect(answer.isAnswer && !answer.isRetriable)
        #expect(ModbusError(.exception(.serverDeviceBusy, .readCoils)).isRetriable)
        #expect(!ModbusError(.exception(.acknowledge, .writeSingleCoil)).isRetriable)
        let others: [(ModbusError.Code, Bool)] = [
            (.timedOut(.reply), true), (.connectionFailed(.refused, reason: "refused"), true),
            (.connectionClosed(mayHaveExecuted: true), true), (.unknownOutcome(.connectionLost), false),
            (.malformedResponse("odd"), false), (.queueFull(limit: 256), true), (.cancelled, false),
            (.shuttingDown, false), (.invalidRequest("none"), false),
        ]
        for (code, isRetriable) in others {
            #expect(!ModbusError(code).isAnswer)
            #expect(ModbusError(code).isRetriable == isRetriable, "\(code)")
        }
    }

    @Test("of a write that was answered with an exception, five codes say that nothing was done, and no other does")
    func exceptionsOfWrites() {
        let harmless = (0...UInt8.max).map(ExceptionCode.init(rawValue:)).filter { !$0.leavesWriteInDoubt }
        #expect(harmless.map(\.rawValue) == [1, 2, 3, 6, 0x0A])
    }

    @Test("an error says what, where and what to do")
    func descriptions() {
        let error = ModbusError(
            .exception(.illegalDataAddress, .readInputRegisters), peer: "plc:502", unit: 3,
            function: .readInputRegisters, range: AddressRange(first: 2002, last: 2117))
        #expect(
            error.description
                == "plc:502, unit 3, 04 read input registers 2002×116: the device answered 04 read input registers "
                + "with exception 02 illegal data address. An address does not exist; check the register map.")
        #expect(ExceptionCode(rawValue: 0xE7).description == "E7 code not in the specification")
    }
}
