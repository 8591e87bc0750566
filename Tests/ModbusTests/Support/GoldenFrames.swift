import Modbus
import NIOCore
import Testing

/// A request and its answer, as values and as the bytes the specification prints for them.
struct GoldenFrame: Sendable, CustomTestStringConvertible {
    let name: String
    let request: ModbusRequest
    let requestBytes: ByteBuffer
    let response: ModbusResponse
    let responseBytes: ByteBuffer
    let transaction: UInt16
    let unit: UnitID

    var testDescription: String { name }
}

/// Every golden frame there is.
let goldenFrames = goldenTableFrames + goldenFurtherFrames

private func range(_ start: UInt16, _ count: Int) -> AddressRange {
    AddressRange(start: start, count: count) ?? AddressRange(start)
}

private let coils19 = [
    true, false, true, true, false, false, true, true,
    true, true, false, true, false, true, true, false,
    true, false, true,
]

private let inputs22 = [
    false, false, true, true, false, true, false, true,
    true, true, false, true, true, false, true, true,
    true, false, true, false, true, true,
]

/// The examples of MODBUS Application Protocol V1.1b3 §6.1 to §6.12, each with a header of its own.
let goldenTableFrames: [GoldenFrame] = [
    GoldenFrame(
        name: "01 read coils 20…38",
        request: .read(.coils, range(0x13, 19)),
        //                   trans  proto  length unit fc  start  quantity
        requestBytes: bytes("15 01 |00 00 |00 06 |11 |01 |00 13 |00 13"),
        response: .bits(.coils, coils19),
        //                    trans  proto  length unit fc  n   27…20 35…28 38…36
        responseBytes: bytes("15 01 |00 00 |00 06 |11 |01 |03 |CD    6B    05"),
        transaction: 0x1501, unit: 17),
    GoldenFrame(
        name: "02 read discrete inputs 197…218",
        request: .read(.discreteInputs, range(0xC4, 22)),
        //                   trans  proto  length unit fc  start  quantity
        requestBytes: bytes("FF FF |00 00 |00 06 |01 |02 |00 C4 |00 16"),
        response: .bits(.discreteInputs, inputs22),
        //                    trans  proto  length unit fc  n   bits
        responseBytes: bytes("FF FF |00 00 |00 06 |01 |02 |03 |AC DB 35"),
        transaction: 0xFFFF, unit: 1),
    GoldenFrame(
        name: "03 read holding registers 108…110",
        request: .read(.holdingRegisters, range(0x6B, 3)),
        //                   trans  proto  length unit fc  start  quantity
        requestBytes: bytes("00 00 |00 00 |00 06 |00 |03 |00 6B |00 03"),
        response: .registers(.holdingRegisters, [0x022B, 0x0000, 0x0064]),
        //                    trans  proto  length unit fc  n   108    109    110
        responseBytes: bytes("00 00 |00 00 |00 09 |00 |03 |06 |02 2B |00 00 |00 64"),
        transaction: 0, unit: 0),
    GoldenFrame(
        name: "04 read input register 9",
        request: .read(.inputRegisters, range(8, 1)),
        //                   trans  proto  length unit fc  start  quantity
        requestBytes: bytes("12 34 |00 00 |00 06 |FF |04 |00 08 |00 01"),
        response: .registers(.inputRegisters, [0x000A]),
        //                    trans  proto  length unit fc  n   9
        responseBytes: bytes("12 34 |00 00 |00 05 |FF |04 |02 |00 0A"),
        transaction: 0x1234, unit: 255),
    GoldenFrame(
        name: "05 write coil 173 on",
        request: .writeCoil(address: 0xAC, value: true),
        //                   trans  proto  length unit fc  addr   value
        requestBytes: bytes("00 07 |00 00 |00 06 |01 |05 |00 AC |FF 00"),
        response: .wroteCoil(address: 0xAC, value: true),
        responseBytes: bytes("00 07 |00 00 |00 06 |01 |05 |00 AC |FF 00"),
        transaction: 7, unit: 1),
    GoldenFrame(
        name: "05 write coil 65536 off",
        request: .writeCoil(address: 0xFFFF, value: false),
        //                   trans  proto  length unit fc  addr   value
        requestBytes: bytes("00 08 |00 00 |00 06 |01 |05 |FF FF |00 00"),
        response: .wroteCoil(address: 0xFFFF, value: false),
        responseBytes: bytes("00 08 |00 00 |00 06 |01 |05 |FF FF |00 00"),
        transaction: 8, unit: 1),
    GoldenFrame(
        name: "06 write register 2",
        request: .writeRegister(address: 1, value: 3),
        //                   trans  proto  length unit fc  addr   value
        requestBytes: bytes("00 09 |00 00 |00 06 |01 |06 |00 01 |00 03"),
        response: .wroteRegister(address: 1, value: 3),
        responseBytes: bytes("00 09 |00 00 |00 06 |01 |06 |00 01 |00 03"),
        transaction: 9, unit: 1),
    GoldenFrame(
        name: "15 write coils 20…29",
        request: .writeCoils(
            start: 0x13, values: [true, false, true, true, false, false, true, true, true, false]),
        //                   trans  proto  length unit fc  start  quant  n   27…20 29,28
        requestBytes: bytes("00 0A |00 00 |00 09 |01 |0F |00 13 |00 0A |02 |CD    01"),
        response: .wroteCoils(range(0x13, 10)),
        //                    trans  proto  length unit fc  start  quantity
        responseBytes: bytes("00 0A |00 00 |00 06 |01 |0F |00 13 |00 0A"),
        transaction: 10, unit: 1),
    GoldenFrame(
        name: "16 write registers 2…3",
        request: .writeRegisters(start: 1, values: [0x000A, 0x0102]),
        //                   trans  proto  length unit fc  start  quant  n   2      3
        requestBytes: bytes("00 0B |00 00 |00 0B |01 |10 |00 01 |00 02 |04 |00 0A |01 02"),
        response: .wroteRegisters(range(1, 2)),
        //                    trans  proto  length unit fc  start  quantity
        responseBytes: bytes("00 0B |00 00 |00 06 |01 |10 |00 01 |00 02"),
        transaction: 11, unit: 1),
    GoldenFrame(
        name: "04 refused: illegal data address",
        request: .read(.inputRegisters, range(0x1000, 125)),
        //                   trans  proto  length unit fc  start  quantity
        requestBytes: bytes("00 0C |00 00 |00 06 |01 |04 |10 00 |00 7D"),
        response: .exception(.readInputRegisters, .illegalDataAddress),
        //                    trans  proto  length unit fc  code
        responseBytes: bytes("00 0C |00 00 |00 03 |01 |84 |02"),
        transaction: 12, unit: 1),
    GoldenFrame(
        name: "16 refused with a code the specification does not have",
        request: .writeRegisters(start: 0, values: [1]),
        //                   trans  proto  length unit fc  start  quant  n   1
        requestBytes: bytes("00 0D |00 00 |00 09 |01 |10 |00 00 |00 01 |02 |00 01"),
        response: .exception(.writeMultipleRegisters, ExceptionCode(rawValue: 0xE7)),
        //                    trans  proto  length unit fc  code
        responseBytes: bytes("00 0D |00 00 |00 03 |01 |90 |E7"),
        transaction: 13, unit: 1),
]
