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

private func refusal(_ pdu: String) -> ExceptionCode? {
    refusal(bytes(pdu))
}

/// A PDU of function 20 with sub-requests of (type, file, start, count).
private func fileRead(_ parts: [(UInt8, UInt16, UInt16, UInt16)]) -> ByteBuffer {
    var pdu = ByteBuffer(bytes: [0x14, UInt8(7 * parts.count)])
    for part in parts {
        pdu.writeInteger(part.0)
        pdu.writeMultipleIntegers(part.1, part.2, part.3)
    }
    return pdu
}

/// A PDU of function 21 with one sub-request.
private func fileWrite(_ type: UInt8, _ file: UInt16, _ start: UInt16, _ count: Int) -> ByteBuffer {
    var pdu = ByteBuffer(bytes: [0x15, UInt8(7 + 2 * count), type])
    pdu.writeMultipleIntegers(file, start, UInt16(count))
    pdu.writeRepeatingByte(0, count: 2 * count)
    return pdu
}

private func readWrite(_ first: UInt16, _ count: UInt16, _ start: UInt16, _ writes: Int) -> ByteBuffer {
    var pdu = ByteBuffer(bytes: [0x17])
    pdu.writeMultipleIntegers(first, count, start, UInt16(writes), UInt8(truncatingIfNeeded: 2 * writes))
    pdu.writeRepeatingByte(0, count: 2 * writes)
    return pdu
}

@Suite("Limits of the functions beside the four tables", .background)
struct FurtherLimitTests {
    @Test("file reads: 1 to 35 groups whose answer fits a frame, then type, file and records")
    func fileReads() {
        #expect(refusal(fileRead([(6, 1, 0, 1)])) == nil)
        #expect(refusal(fileRead([(6, 65_535, 9_999, 1)])) == nil)
        #expect(refusal(fileRead([(6, 1, 0, 124)])) == nil)
        #expect(refusal(fileRead(Array(repeating: (6, 1, 0, 1), count: 35))) == nil)
        #expect(refusal(fileRead([])) == .illegalDataValue)
        #expect(refusal(fileRead(Array(repeating: (6, 1, 0, 1), count: 36))) == .illegalDataValue)
        #expect(refusal(fileRead([(6, 1, 0, 0)])) == .illegalDataValue)
        #expect(refusal(fileRead([(6, 1, 0, 125)])) == .illegalDataValue, "the answer would not fit")
        #expect(refusal(fileRead([(6, 1, 0, 62), (6, 1, 0, 62)])) == .illegalDataValue)
        #expect(refusal(fileRead([(6, 1, 0, 62), (6, 1, 0, 61)])) == nil)
        #expect(refusal(fileRead([(6, 1, 0, 65_535)])) == .illegalDataValue)
        #expect(refusal(fileRead([(5, 1, 0, 1)])) == .illegalDataAddress)
        #expect(refusal(fileRead([(6, 0, 0, 1)])) == .illegalDataAddress)
        #expect(refusal(fileRead([(6, 1, 10_000, 1)])) == .illegalDataAddress)
        #expect(refusal(fileRead([(6, 1, 9_999, 2)])) == .illegalDataAddress)
        #expect(refusal(fileRead([(7, 0, 10_000, 1), (6, 1, 0, 0)])) == .illegalDataValue, "03 comes before 02")
        #expect(refusal("14 08 06 00 01 00 00 00 01 00") == .illegalDataValue, "no multiple of seven")
        #expect(refusal("14 0E 06 00 01 00 00 00 01") == .illegalDataValue)
    }

    @Test("file writes: groups that fill the byte count, then type, file and records")
    func fileWrites() {
        #expect(refusal(fileWrite(6, 1, 0, 1)) == nil)
        #expect(refusal(fileWrite(6, 1, 0, 122)) == nil)
        #expect(refusal(fileWrite(6, 1, 0, 123)) == .illegalDataValue)
        #expect(refusal(fileWrite(6, 1, 0, 0)) == .illegalDataValue)
        #expect(refusal(fileWrite(6, 1, 9_999, 2)) == .illegalDataAddress)
        #expect(refusal(fileWrite(6, 0, 0, 1)) == .illegalDataAddress)
        #expect(refusal(fileWrite(0, 1, 0, 1)) == .illegalDataAddress)
        #expect(refusal("15 0A 06 00 01 00 00 00 01 00 00 00") == .illegalDataValue, "a byte behind the group")
        #expect(refusal("15 09 06 00 01 00 00 00 02 00 00") == .illegalDataValue, "more records than data")
    }

    @Test("read/write: both quantities and the byte count, then both ranges")
    func readWrites() {
        #expect(refusal(readWrite(0, 125, 0, 121)) == nil)
        #expect(refusal(readWrite(65_535, 1, 65_535, 1)) == nil)
        #expect(refusal(readWrite(0, 126, 0, 1)) == .illegalDataValue)
        #expect(refusal(readWrite(0, 0, 0, 1)) == .illegalDataValue)
        #expect(refusal(readWrite(0, 1, 0, 122)) == .illegalDataValue)
        #expect(refusal(readWrite(0, 1, 0, 0)) == .illegalDataValue)
        #expect(refusal("17 00 00 00 01 00 00 00 01 04 00 00 00 00") == .illegalDataValue)
        #expect(refusal(readWrite(65_535, 2, 0, 1)) == .illegalDataAddress)
        #expect(refusal(readWrite(0, 1, 65_535, 2)) == .illegalDataAddress)
        #expect(refusal(readWrite(65_535, 2, 0, 122)) == .illegalDataValue, "03 comes before 02")
    }

    @Test("diagnostics: an unknown sub-function is 01, a wrong word 03")
    func diagnostics() {
        let known: Set<UInt16> = [0, 1, 2, 3, 0x0A, 0x0B, 0x0C, 0x0D, 0x0E, 0x0F, 0x10, 0x11, 0x12, 0x14]
        for number: UInt16 in 0...0x20 {
            var pdu = ByteBuffer(bytes: [0x08])
            pdu.writeMultipleIntegers(number, UInt16(0))
            #expect(refusal(pdu) == (known.contains(number) ? nil : .illegalFunction), "\(number)")
            pdu.writeInteger(UInt8(0))
            #expect(refusal(pdu) == (known.contains(number) ? .illegalDataValue : .illegalFunction))
        }
        #expect(refusal("08 00 0B 00 01") == .illegalDataValue)
        #expect(refusal("08 00 01 00 FF") == .illegalDataValue)
        #expect(refusal("08 00 03 0A 00") == nil)
        #expect(refusal("08 00 03 0A 01") == .illegalDataValue)
        #expect(refusal("08 00 00") == .illegalDataValue)
        var full = ByteBuffer(bytes: [8, 0, 0])
        full.writeRepeatingByte(1, count: 250)
        #expect(refusal(full) == nil)
    }

    @Test("which requests change the device, so that they are never repeated")
    func writes() throws {
        let file = try #require(FileRecordRange(file: 1, start: 0, count: 1))
        let record = try #require(FileRecord(file: 1, start: 0, values: [1]))
        let harmless: [ModbusRequest] = [
            .read(.coils, AddressRange(0)), .readExceptionStatus, .getCommEventCounter, .reportServerID,
            .readFileRecords([file]), .readFIFOQueue(address: 0), .readDeviceIdentification(.basic),
            .diagnostics(.returnQueryData), .diagnostics(.returnDiagnosticRegister),
            .diagnostics(.returnBusMessageCount), .diagnostics(.returnBusCharacterOverrunCount),
            .raw(RawRequest(.readCoils, isWrite: false)),
        ]
        let writes: [ModbusRequest] = [
            .writeCoil(address: 0, value: true), .writeRegister(address: 0, value: 0),
            .writeCoils(start: 0, values: [true]), .writeRegisters(start: 0, values: [0]),
            .writeFileRecords([record]), .maskWriteRegister(address: 0, and: 0, or: 0),
            .readWriteRegisters(AddressRange(0), start: 0, values: [0]), .diagnostics(.restartCommunications),
            .diagnostics(.forceListenOnly), .diagnostics(.changeASCIIDelimiter), .diagnostics(.clearCounters),
            .diagnostics(.clearOverrunCounter), .diagnostics(DiagnosticFunction(rawValue: 99)),
            .raw(RawRequest(.readCoils)),
        ]
        #expect(harmless.filter(\.isWrite).isEmpty)
        #expect(writes.filter { !$0.isWrite }.isEmpty)
    }

    @Test("what no frame can carry, or no answer, is refused before anything is written")
    func unsendable() throws {
        let range = try #require(FileRecordRange(file: 1, start: 0, count: 124))
        let record = try #require(FileRecord(file: 1, start: 0, values: Array(repeating: 0, count: 122)))
        let small = try #require(FileRecordRange(file: 1, start: 0, count: 1))
        let requests: [ModbusRequest] = [
            .diagnostics(.forceListenOnly), .diagnostics(.clearCounters, data: [1]),
            .diagnostics(.clearCounters, data: []), .diagnostics(.returnQueryData, data: []),
            .diagnostics(.returnQueryData, data: Array(repeating: 0, count: 126)),
            .readFileRecords([]), .readFileRecords([range, small]),
            .readFileRecords(Array(repeating: small, count: 36)), .writeFileRecords([]),
            .writeFileRecords([record, record]),
            .readWriteRegisters(try #require(AddressRange(start: 0, count: 126)), start: 0, values: [1]),
            .readWriteRegisters(AddressRange(0), start: 0, values: []),
            .readWriteRegisters(AddressRange(0), start: 0, values: Array(repeating: 0, count: 122)),
            .readWriteRegisters(AddressRange(0), start: 65_535, values: [1, 2]),
            .raw(RawRequest(FunctionCode(rawValue: 0))), .raw(RawRequest(FunctionCode(rawValue: 0x80))),
            .raw(RawRequest(FunctionCode(rawValue: 0x41), Array(repeating: 0, count: 253))),
        ]
        for request in requests {
            var buffer = ByteBuffer()
            #expect(throws: ModbusError.self, "\(request)") {
                try buffer.writeModbusRequest(request, transaction: 1, unit: 1)
            }
            #expect(buffer.readableBytes == 0)
        }
    }

    @Test("the largest requests and answers fill a frame to its last byte or the one before it")
    func largest() throws {
        let range = try #require(FileRecordRange(file: 1, start: 9_876, count: 124))
        let record = try #require(FileRecord(file: 1, start: 0, values: Array(repeating: 7, count: 122)))
        let words = Array(repeating: UInt16(7), count: 125)
        let object = DeviceIdentification.Object(.vendorName, Array(repeating: 65, count: 244))
        let pairs: [(ModbusRequest, ModbusResponse, Int, Int)] = [
            (.readFileRecords([range]), .fileRecords([Array(words.prefix(124))]), 9, 252),
            (.writeFileRecords([record]), .wroteFileRecords([record]), 253, 253),
            (
                .readWriteRegisters(
                    try #require(AddressRange(start: 0, count: 125)), start: 0, values: Array(words.prefix(121))),
                .readWroteRegisters(words), 252, 252
            ),
            (.readFIFOQueue(address: 0), .fifoQueue(Array(words.prefix(31))), 3, 67),
            (
                .diagnostics(.returnQueryData, data: words), .diagnostics(.returnQueryData, data: words), 253, 253
            ),
            (.reportServerID, .serverID(Array(repeating: 1, count: 251)), 1, 253),
            (
                .readDeviceIdentification(.individual),
                .deviceIdentification(.init(access: .individual, conformity: 0x81, objects: [object])), 4, 253
            ),
            (
                .raw(RawRequest(FunctionCode(rawValue: 0x41), Array(repeating: 1, count: 252))),
                .raw(FunctionCode(rawValue: 0x41), Array(repeating: 2, count: 252)), 253, 253
            ),
        ]
        for (request, response, requestSize, responseSize) in pairs {
            var pdu = ByteBuffer()
            try request.encodePDU(into: &pdu)
            #expect(pdu.readableBytes == requestSize, "\(request.function)")
            pdu.clear()
            try response.encodePDU(into: &pdu, answering: request)
            #expect(pdu.readableBytes == responseSize, "\(request.function)")
            #expect(try ModbusResponse(decodingPDU: pdu, answering: request) == response)
        }
    }

    @Test("an answer that no frame can carry, or of another shape, is never written")
    func unfitAnswers() throws {
        let object = DeviceIdentification.Object(.vendorName, Array(repeating: 65, count: 245))
        let half = DeviceIdentification.Object(.vendorName, Array(repeating: 65, count: 122))
        let small = DeviceIdentification.Object(.productCode, [])
        let file = try #require(FileRecordRange(file: 1, start: 0, count: 2))
        let function = FunctionCode(rawValue: 0x41)
        let pairs: [(ModbusRequest, ModbusResponse)] = [
            (.reportServerID, .serverID(Array(repeating: 1, count: 252))),
            (.readFIFOQueue(address: 0), .fifoQueue(Array(repeating: 1, count: 32))),
            (.raw(RawRequest(function)), .raw(function, Array(repeating: 1, count: 253))),
            (.raw(RawRequest(function)), .raw(FunctionCode(rawValue: 0x42), [])),
            (.raw(RawRequest(.readExceptionStatus)), .exceptionStatus(1)),
            (.readExceptionStatus, .raw(.readExceptionStatus, [1])),
            (.readFileRecords([file]), .fileRecords([[1]])), (.readFileRecords([file]), .fileRecords([])),
            (.diagnostics(.returnBusMessageCount), .diagnostics(.returnBusMessageCount, data: [1, 2])),
            (.diagnostics(.returnBusMessageCount), .diagnostics(.returnServerMessageCount, data: [1])),
            (.diagnostics(.clearCounters), .diagnostics(.clearCounters, data: [1])),
            (
                .readDeviceIdentification(.individual),
                .deviceIdentification(.init(access: .individual, conformity: 1, objects: [object]))
            ),
            (
                .readDeviceIdentification(.individual),
                .deviceIdentification(.init(access: .individual, conformity: 1, objects: [small]))
            ),
            (
                .readDeviceIdentification(.basic),
                .deviceIdentification(.init(access: .basic, conformity: 1, objects: [half, half]))
            ),
            (
                .readDeviceIdentification(.basic),
                .deviceIdentification(.init(access: .regular, conformity: 1, objects: [small]))
            ),
            (.readWriteRegisters(AddressRange(0), start: 0, values: [1]), .registers(.holdingRegisters, [1])),
            (.readWriteRegisters(AddressRange(0), start: 0, values: [1]), .readWroteRegisters([1, 2])),
        ]
        for (request, response) in pairs {
            var pdu = ByteBuffer()
            #expect(throws: ResponseMismatch.self, "\(response)") {
                try response.encodePDU(into: &pdu, answering: request)
            }
            #expect(pdu.readableBytes == 0)
        }
    }

    @Test("a stream of identification objects goes on where a frame is full, and leaves out what none can carry")
    func identificationPages() throws {
        var identification = DeviceIdentification([
            object(0, 100), object(1, 100), object(2, 42), object(3, 1), object(0x80, 245), object(0x81, 244),
        ])
        let first = try #require(identification.page(.extended, from: .vendorName))
        #expect(first.objects.map(\.id.rawValue) == [0, 1], "the third one needs 44 bytes where 42 are left")
        #expect(first.moreFollows && first.nextObject == .majorMinorRevision && first.conformity == 0x83)
        let second = try #require(identification.page(.extended, from: first.nextObject))
        #expect(second.objects.map(\.id.rawValue) == [2, 3] && second.nextObject.rawValue == 0x81)
        let third = try #require(identification.page(.extended, from: second.nextObject))
        #expect(third.objects.map(\.id.rawValue) == [0x81] && !third.moreFollows && third.nextObject.rawValue == 0)
        #expect(identification.page(.regular, from: .init(rawValue: 0x50))?.objects.first?.id == .vendorName)
        #expect(identification.page(.individual, from: .init(rawValue: 0x50)) == nil)
        identification[.majorMinorRevision] = Array(repeating: 2, count: 40)
        #expect(identification.page(.basic, from: .vendorName)?.moreFollows == false, "now it fits exactly")
    }

    private func object(_ id: UInt8, _ size: Int) -> DeviceIdentification.Object {
        DeviceIdentification.Object(.init(rawValue: id), Array(repeating: id, count: size))
    }

    @Test("values that cannot hold nonsense: files, server IDs, identifications")
    func values() {
        #expect(FileRecordRange(file: 0, start: 0, count: 1) == nil)
        #expect(FileRecordRange(file: 1, start: 9_999, count: 2) == nil)
        #expect(FileRecordRange(file: 1, start: 0, count: 125) == nil)
        #expect(FileRecordRange(file: 1, start: 0, count: .min) == nil)
        #expect(FileRecord(file: 1, start: 0, values: []) == nil)
        #expect(FileRecord(file: 1, start: 9_999, values: [1]) != nil)
        #expect(ServerID(bytes: [1]) == nil)
        #expect(ServerID(bytes: [1, 2]) == nil)
        #expect(ServerID(bytes: [1, 0xFF], identifierLength: -1) == nil)
        #expect(ServerID(bytes: [1, 0xFF, 3]) == ServerID(identifier: [1], additionalData: [3]))
        #expect(ServerID(bytes: [1, 2, 0], identifierLength: 2) == ServerID(identifier: [1, 2], isRunning: false))
        var identification = DeviceIdentification([.init(.productCode, [2]), .init(.vendorName, [1])])
        identification[.productCode] = Array("XY".utf8)
        #expect(identification.objects.map(\.id) == [.vendorName, .productCode])
        #expect(identification.text(.productCode) == "XY" && identification.text(.modelName) == nil)
        identification[.vendorName] = nil
        #expect(identification.objects.map(\.id) == [.productCode])
        #expect(FunctionCode.readFIFOQueue.description == "24 read FIFO queue")
        #expect(FunctionCode.readExceptionStatus.description == "07 read exception status")
        #expect(FunctionCode(rawValue: 0x41).description == "function 65")
        #expect(DiagnosticFunction.clearCounters.description == "diagnostic sub-function 0A")
    }
}
