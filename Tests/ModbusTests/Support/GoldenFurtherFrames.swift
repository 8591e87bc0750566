import Modbus
import NIOCore

private func header(_ transaction: UInt16, _ pdu: ByteBuffer) -> ByteBuffer {
    var frame = ByteBuffer()
    frame.writeMultipleIntegers(transaction, UInt16(0), UInt16(1 + pdu.readableBytes), UInt8(1))
    frame.writeImmutableBuffer(pdu)
    return frame
}

extension GoldenFrame {
    /// A request and its answer to unit 1, given as PDUs.
    fileprivate init(
        _ name: String, _ transaction: UInt16, _ request: ModbusRequest, _ requestPDU: String,
        _ response: ModbusResponse, _ responsePDU: String
    ) {
        self.init(
            name: name, request: request, requestBytes: header(transaction, bytes(requestPDU)), response: response,
            responseBytes: header(transaction, bytes(responsePDU)), transaction: transaction, unit: 1)
    }
}

private func records(_ file: UInt16, _ start: UInt16, _ count: Int) -> [FileRecordRange] {
    FileRecordRange(file: file, start: start, count: count).map { [$0] } ?? []
}

private func record(_ file: UInt16, _ start: UInt16, _ values: [UInt16]) -> [FileRecord] {
    FileRecord(file: file, start: start, values: values).map { [$0] } ?? []
}

private let identification = DeviceIdentification([
    .init(.vendorName, Array("Company".utf8)), .init(.productCode, Array("XY".utf8)),
    .init(.majorMinorRevision, Array("V2.11".utf8)),
])

/// The functions beside those of the four tables, as MODBUS Application Protocol V1.1b3 §6.7 to §6.21 prints them
/// where it has an example.
let goldenFurtherFrames: [GoldenFrame] = [
    GoldenFrame(
        "07 read exception status", 0x0701, .readExceptionStatus,
        // fc
        "07",
        .exceptionStatus(0x6D),
        // fc status
        "07 |6D"),
    GoldenFrame(
        "07 refused: illegal function", 0x0702, .readExceptionStatus,
        "07",
        .exception(.readExceptionStatus, .illegalFunction),
        // fc code
        "87 |01"),
    GoldenFrame(
        "08 return query data", 0x0801, .diagnostics(.returnQueryData, data: [0xA537]),
        // fc sub    data
        "08 |00 00 |A5 37",
        .diagnostics(.returnQueryData, data: [0xA537]),
        "08 |00 00 |A5 37"),
    GoldenFrame(
        "08 return query data, three words", 0x0802, .diagnostics(.returnQueryData, data: [1, 2, 0xFFFF]),
        // fc sub    data
        "08 |00 00 |00 01 00 02 FF FF",
        .diagnostics(.returnQueryData, data: [1, 2, 0xFFFF]),
        "08 |00 00 |00 01 00 02 FF FF"),
    GoldenFrame(
        "08 restart communications and clear the log", 0x0803,
        .diagnostics(.restartCommunications, data: [0xFF00]),
        // fc sub    data
        "08 |00 01 |FF 00",
        .diagnostics(.restartCommunications, data: [0xFF00]),
        "08 |00 01 |FF 00"),
    GoldenFrame(
        "08 return diagnostic register", 0x0804, .diagnostics(.returnDiagnosticRegister),
        // fc sub    data
        "08 |00 02 |00 00",
        .diagnostics(.returnDiagnosticRegister, data: [0xBEEF]),
        // fc sub    register
        "08 |00 02 |BE EF"),
    GoldenFrame(
        "08 clear counters", 0x0805, .diagnostics(.clearCounters),
        "08 |00 0A |00 00",
        .diagnostics(.clearCounters, data: [0]),
        "08 |00 0A |00 00"),
    GoldenFrame(
        "08 return overrun count", 0x0806, .diagnostics(.returnBusCharacterOverrunCount),
        // fc sub    data
        "08 |00 12 |00 00",
        .diagnostics(.returnBusCharacterOverrunCount, data: [7]),
        // fc sub    count
        "08 |00 12 |00 07"),
    GoldenFrame(
        "08 refused: illegal data value", 0x0807, .diagnostics(.clearOverrunCounter),
        "08 |00 14 |00 00",
        .exception(.diagnostics, .illegalDataValue),
        // fc code
        "88 |03"),
    GoldenFrame(
        "11 get comm event counter", 0x0B01, .getCommEventCounter,
        // fc
        "0B",
        .commEventCounter(CommEventCounter(status: 0xFFFF, events: 264)),
        // fc status events
        "0B |FF FF |01 08"),
    GoldenFrame(
        "11 refused: device failure", 0x0B02, .getCommEventCounter,
        "0B",
        .exception(.getCommEventCounter, .serverDeviceFailure),
        // fc code
        "8B |04"),
    GoldenFrame(
        "17 report server ID", 0x1101, .reportServerID,
        // fc
        "11",
        .serverID(ServerID(identifier: [0x2A], additionalData: Array("V1".utf8)).bytes),
        // fc n   id  run  V  1
        "11 |04 |2A |FF |56 31"),
    GoldenFrame(
        "17 refused: busy", 0x1102, .reportServerID,
        "11",
        .exception(.reportServerID, .serverDeviceBusy),
        // fc code
        "91 |06"),
    GoldenFrame(
        "20 read records 1…2 of file 4 and 9…10 of file 3", 0x1401,
        .readFileRecords(records(4, 1, 2) + records(3, 9, 2)),
        // fc n   type file  start  count type file  start  count
        "14 |0E |06 00 04 |00 01 |00 02 |06 00 03 |00 09 |00 02",
        .fileRecords([[0x0DFE, 0x0020], [0x33CD, 0x0040]]),
        // fc n   len type data       len type data
        "14 |0C |05 |06 |0D FE 00 20 |05 |06 |33 CD 00 40"),
    GoldenFrame(
        "20 refused: illegal data address", 0x1402, .readFileRecords(records(65_535, 9_999, 1)),
        // fc n   type file  start  count
        "14 |07 |06 FF FF |27 0F |00 01",
        .exception(.readFileRecord, .illegalDataAddress),
        // fc code
        "94 |02"),
    GoldenFrame(
        "21 write records 7…9 of file 4", 0x1501,
        .writeFileRecords(record(4, 7, [0x06AF, 0x04BE, 0x100D])),
        // fc n   type file  start  count  data
        "15 |0D |06 00 04 |00 07 |00 03 |06 AF 04 BE 10 0D",
        .wroteFileRecords(record(4, 7, [0x06AF, 0x04BE, 0x100D])),
        "15 |0D |06 00 04 |00 07 |00 03 |06 AF 04 BE 10 0D"),
    GoldenFrame(
        "21 refused: memory parity error", 0x1502, .writeFileRecords(record(1, 0, [1]) + record(2, 0, [2])),
        // fc n   type file  start  count  data   type file  start  count  data
        "15 |12 |06 00 01 |00 00 |00 01 |00 01 |06 00 02 |00 00 |00 01 |00 02",
        .exception(.writeFileRecord, .memoryParityError),
        // fc code
        "95 |08"),
    GoldenFrame(
        "22 mask write register 5", 0x1601, .maskWriteRegister(address: 4, and: 0x00F2, or: 0x0025),
        // fc addr   and    or
        "16 |00 04 |00 F2 |00 25",
        .maskedRegister(address: 4, and: 0x00F2, or: 0x0025),
        "16 |00 04 |00 F2 |00 25"),
    GoldenFrame(
        "22 refused: acknowledge", 0x1602, .maskWriteRegister(address: 4, and: 0, or: 0),
        "16 |00 04 |00 00 |00 00",
        .exception(.maskWriteRegister, .acknowledge),
        // fc code
        "96 |05"),
    GoldenFrame(
        "23 read six registers from 4 and write three from 15", 0x1701,
        .readWriteRegisters(
            AddressRange(start: 3, count: 6) ?? AddressRange(3), start: 14, values: [0xFF, 0xFF, 0xFF]),
        // fc read   count  write  count  n   data
        "17 |00 03 |00 06 |00 0E |00 03 |06 |00 FF 00 FF 00 FF",
        .readWroteRegisters([0x00FE, 0x0ACD, 0x0001, 0x0003, 0x000D, 0x00FF]),
        // fc n   data
        "17 |0C |00 FE 0A CD 00 01 00 03 00 0D 00 FF"),
    GoldenFrame(
        "23 refused: gateway target failed to respond", 0x1702,
        .readWriteRegisters(AddressRange(0), start: 0, values: [1]),
        // fc read   count  write  count  n   data
        "17 |00 00 |00 01 |00 00 |00 01 |02 |00 01",
        .exception(.readWriteMultipleRegisters, .gatewayTargetFailedToRespond),
        // fc code
        "97 |0B"),
    GoldenFrame(
        "24 read the queue at 1246", 0x1801, .readFIFOQueue(address: 0x04DE),
        // fc addr
        "18 |04 DE",
        .fifoQueue([0x01B8, 0x1284]),
        // fc bytes  count  queue
        "18 |00 06 |00 02 |01 B8 12 84"),
    GoldenFrame(
        "24 read an empty queue", 0x1802, .readFIFOQueue(address: 0xFFFF),
        "18 |FF FF",
        .fifoQueue([]),
        // fc bytes  count
        "18 |00 02 |00 00"),
    GoldenFrame(
        "24 refused: more than 31 words", 0x1803, .readFIFOQueue(address: 1),
        "18 |00 01",
        .exception(.readFIFOQueue, .illegalDataValue),
        // fc code
        "98 |03"),
    GoldenFrame(
        "43/14 read basic identification", 0x2B01, .readDeviceIdentification(.basic),
        // fc type code object
        "2B |0E |01 |00",
        .deviceIdentification(.init(access: .basic, conformity: 1, objects: identification.objects)),
        // fc type code conf more next n  id len  C  o  m  p  a  n  y   id len  X  Y   id len  V  2  .  1  1
        "2B |0E |01 |01 |00 |00 |03 |00 |07 |43 6F 6D 70 61 6E 79 |01 |02 |58 59 |02 |05 |56 32 2E 31 31"),
    GoldenFrame(
        "43/14 the first of two pages", 0x2B02, .readDeviceIdentification(.extended, .init(rawValue: 0)),
        "2B |0E |03 |00",
        .deviceIdentification(
            .init(
                access: .extended, conformity: 0x83, moreFollows: true, nextObject: .init(rawValue: 0x80),
                objects: [.init(.vendorName, [0x41])])),
        // fc type code conf more next n  id len  A
        "2B |0E |03 |83 |FF |80 |01 |00 |01 |41"),
    GoldenFrame(
        "43/14 read one object", 0x2B03, .readDeviceIdentification(.individual, .userApplicationName),
        "2B |0E |04 |06",
        .deviceIdentification(
            .init(access: .individual, conformity: 0x82, objects: [.init(.userApplicationName, [])])),
        // fc type code conf more next n  id len
        "2B |0E |04 |82 |00 |00 |01 |06 |00"),
    GoldenFrame(
        "43/14 refused: no such object", 0x2B04, .readDeviceIdentification(.individual, .init(rawValue: 0x90)),
        "2B |0E |04 |90",
        .exception(.encapsulatedInterface, .illegalDataAddress),
        // fc code
        "AB |02"),
]

/// Requests that only their maker understands. A server hands them on; no decoder knows them.
let goldenRawFrames: [GoldenFrame] = [
    GoldenFrame(
        "a function of a user's own", 0x4101, .raw(RawRequest(FunctionCode(rawValue: 0x41), [1, 2, 3])),
        // fc data
        "41 |01 02 03",
        .raw(FunctionCode(rawValue: 0x41), [0xFF]),
        "41 |FF"),
    GoldenFrame(
        "12 get comm event log, raw", 0x0C01, .raw(RawRequest(FunctionCode(rawValue: 12), isWrite: false)),
        "0C",
        .raw(FunctionCode(rawValue: 12), [8, 0, 0, 1, 8, 1, 0x21, 0x20, 0]),
        // fc n  status events messages log
        "0C |08 |00 00 |01 08 |01 21 |20 00"),
    GoldenFrame(
        "a raw request without an answer's data", 0x4102, .raw(RawRequest(FunctionCode(rawValue: 0x64))),
        "64",
        .raw(FunctionCode(rawValue: 0x64), []),
        "64"),
    GoldenFrame(
        "a raw request that is refused", 0x4103, .raw(RawRequest(FunctionCode(rawValue: 0x65), [0])),
        "65 |00",
        .exception(FunctionCode(rawValue: 0x65), ExceptionCode(rawValue: 0xE7)),
        // fc code
        "E5 |E7"),
]
