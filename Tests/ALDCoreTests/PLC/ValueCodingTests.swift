import Modbus
import Testing

@testable import ALDCore

@Suite("Values in registers", .background) struct ValueCodingTests {
    @Test(
        "123456.0 lies in two registers in four ways",
        arguments: [
            (WordOrder.abcd, [0x47F1, 0x2000]), (.cdab, [0x2000, 0x47F1]), (.badc, [0xF147, 0x0020]),
            (.dcba, [0x0020, 0xF147]),
        ] as [(WordOrder, [UInt16])])
    func float32(order: WordOrder, registers: [UInt16]) {
        #expect(DataType.float32.encode(123_456, order: order) == registers)
        #expect(DataType.float32.decode(registers[...], order: order) == 123_456)
    }

    @Test("integers are signed and in the map's word order")
    func integers() {
        #expect(DataType.int32.encode(-2, order: .abcd) == [0xFFFF, 0xFFFE])
        #expect(DataType.int32.encode(-2, order: .cdab) == [0xFFFE, 0xFFFF])
        #expect(DataType.int32.decode([0xFFFE, 0xFFFF][...], order: .cdab) == -2)
        #expect(DataType.int16.encode(-1, order: .abcd) == [0xFFFF])
        #expect(DataType.int16.decode([0x8000][...], order: .abcd) == -32_768)
    }

    @Test("a binary in a register is on when it is anything but zero")
    func binaries() {
        #expect(DataType.binary.decode([0][...], order: .abcd) == 0)
        #expect(DataType.binary.decode([0xFF00][...], order: .abcd) == 1)
        #expect(DataType.binary.encode(1, order: .abcd) == [1])
    }

    @Test("what a type cannot hold is refused, not bent")
    func impossible() {
        #expect(DataType.int16.encode(32_768, order: .abcd) == nil)
        #expect(DataType.int32.encode(3e9, order: .abcd) == nil)
        #expect(DataType.int32.encode(.nan, order: .abcd) == nil)
        #expect(DataType.float32.encode(1e300, order: .abcd) == nil)
        #expect(DataType.float32.decode([1][...], order: .abcd) == nil)
    }

    @Test("a number outside the parameter's range is uncertain, no number is bad")
    func quality() {
        let parameter = Parameter(
            id: ParameterID(rawValue: 7), component: "Heater", name: "temperature", range: 0...10, dataType: .float32,
            readLocation: RegisterLocation(table: .inputRegisters, address: 0))
        #expect(Reading(10, of: parameter).quality == .good)
        #expect(Reading(10.01, of: parameter) == Reading(parameter: parameter.id, value: 10.01, quality: .uncertain))
        #expect(Reading(.nan, of: parameter) == .unread(parameter.id))
        #expect(Reading(.infinity, of: parameter).value == nil)
    }
}
