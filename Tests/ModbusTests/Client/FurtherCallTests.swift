import NIOCore
import Testing

@testable import Modbus

private func object(_ id: UInt8, _ size: Int = 1) -> DeviceIdentification.Object {
    DeviceIdentification.Object(.init(rawValue: id), Array(repeating: id, count: size))
}

/// A page of an extended identification.
private func page(_ ids: [UInt8], next: UInt8? = nil) -> DeviceIdentification.Page {
    DeviceIdentification.Page(
        access: .extended, conformity: 0x83, moreFollows: next != nil, nextObject: .init(rawValue: next ?? 0),
        objects: ids.map { object($0) })
}

/// A device that always has one more page for who asks for its identification.
private struct EndlessDevice: ModbusDevice {
    func respond(to request: ModbusRequest, unit: UnitID) throws(ModbusException) -> ModbusResponse {
        .deviceIdentification(page([0], next: 1))
    }
}

@Suite("Calls beside reads and writes of the four tables")
struct FurtherCallTests {
    /// Serves `device` to a client for as long as `body` runs.
    private func withClient(
        _ device: any ModbusDevice, _ body: (ModbusClient, NIODeadline) async throws -> Void
    ) async throws {
        let server = ModbusServer(device: device)
        let port = try await server.start()
        var configuration = ModbusClient.Configuration(host: "127.0.0.1")
        configuration.port = port
        let client = try ModbusClient(configuration: configuration)
        let result: Result<Void, any Error>
        do {
            result = .success(try await body(client, .now() + .seconds(60)))
        } catch {
            result = .failure(error)
        }
        await client.close()
        await server.stop()
        try result.get()
    }

    @Test("every call brings what the device holds, over a real connection")
    func everyCall() async throws {
        var configuration = TableDevice.Configuration(size: 100, pattern: .index)
        configuration.exceptionStatus = 0x6D
        configuration.serverID = ServerID(identifier: [0x2A], additionalData: Array("V1".utf8))
        configuration.files = [4: [1, 2, 3, 4]]
        configuration.queues = [9: [5, 6]]
        try await withClient(try TableDevice(configuration)) { client, deadline in
            #expect(try await client.readExceptionStatus(deadline: deadline) == 0x6D)
            #expect(try await client.diagnostics(.returnQueryData, data: [1, 2], deadline: deadline) == [1, 2])
            #expect(try await client.diagnostics(.returnServerMessageCount, deadline: deadline) == [3])
            #expect(try await client.readCommEventCounter(deadline: deadline) == CommEventCounter(events: 3))
            let server = try await client.readServerID(deadline: deadline)
            #expect(ServerID(bytes: server) == configuration.serverID)
            let record = try #require(FileRecord(file: 4, start: 1, values: [8, 9]))
            try await client.write(fileRecords: [record], deadline: deadline)
            let records = try #require(FileRecordRange(file: 4, start: 0, count: 4))
            #expect(try await client.readFileRecords([records], deadline: deadline) == [[1, 8, 9, 4]])
            try await client.maskWrite(register: 18, and: 0xF2, or: 0x25, deadline: deadline)
            let range = try #require(AddressRange(start: 18, count: 2))
            #expect(
                try await client.readWrite(reading: range, writing: 19, [7], deadline: deadline) == [0x17, 7])
            #expect(try await client.readFIFOQueue(at: 9, deadline: deadline) == [5, 6])
            #expect(
                try await client.readDeviceIdentification(object: .productCode, deadline: deadline)
                    == Array("TableDevice".utf8))
            let raw = RawRequest(.readHoldingRegisters, [0, 18, 0, 2], isWrite: false)
            #expect(try await client.send(raw: raw, deadline: deadline) == [4, 0, 0x17, 0, 7])
        }
    }

    @Test("a refusal of any function names the function and the code")
    func refusals() async throws {
        try await withClient(try TableDevice(.init(size: 1))) { client, deadline in
            let unknown = await #expect(throws: ModbusError.self) {
                try await client.send(raw: RawRequest(FunctionCode(rawValue: 0x41)), deadline: deadline)
            }
            #expect(unknown?.code == .exception(.illegalFunction, FunctionCode(rawValue: 0x41)))
            let queue = await #expect(throws: ModbusError.self) {
                try await client.readFIFOQueue(at: 1, deadline: deadline)
            }
            #expect(queue?.code == .exception(.illegalDataAddress, .readFIFOQueue))
        }
    }

    @Test("an identification of several pages is read to its end")
    func pages() async throws {
        var configuration = TableDevice.Configuration(size: 0)
        for id: UInt8 in [3, 5, 0x80, 0x90, 0xFE, 0xFF] {
            configuration.identification[.init(rawValue: id)] = Array(repeating: id, count: id == 0x90 ? 244 : 100)
        }
        try await withClient(try TableDevice(configuration)) { client, deadline in
            #expect(try await client.readDeviceIdentification(deadline: deadline) == configuration.identification)
            let regular = try await client.readDeviceIdentification(.regular, deadline: deadline)
            #expect(regular.objects.map(\.id.rawValue) == [0, 1, 2, 3, 5])
            let basic = try await client.readDeviceIdentification(.basic, deadline: deadline)
            #expect(basic.objects.map(\.id.rawValue) == [0, 1, 2])
        }
    }

    @Test("a device whose identification never ends is told apart from a long one")
    func endless() async throws {
        try await withClient(EndlessDevice()) { client, deadline in
            let error = await #expect(throws: ModbusError.self) {
                try await client.readDeviceIdentification(deadline: deadline)
            }
            guard case .malformedResponse = error?.code else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(client.statistics.requests == 2)
        }
    }

    @Test("pages must go on where the page before said, and upwards")
    func order() {
        var reader = IdentificationReader()
        #expect(reader.received(page([0, 1], next: 3)) == .read(from: .init(rawValue: 3)))
        #expect(reader.received(page([4], next: 0x80)) == .read(from: .init(rawValue: 0x80)))
        #expect(
            reader.received(page([0x80, 0xFF]))
                == .finish(DeviceIdentification([0, 1, 4, 0x80, 0xFF].map { object($0) })))
        let stories: [[DeviceIdentification.Page]] = [
            [page([0, 1], next: 0)], [page([0, 1], next: 1)], [page([], next: 5)],
            [page([0], next: 2), page([1], next: 3)], [page([0], next: 2), page([0])], [page([1, 1])],
            [page([0xFF], next: 0)],
        ]
        for story in stories {
            var reader = IdentificationReader()
            let last = story.map { reader.received($0) }.last
            guard case .fail = last else {
                Issue.record("\(story) was taken for sound")
                continue
            }
        }
    }

    @Test("every device makes the reader end after 256 pages at most")
    func bounded() {
        var reader = IdentificationReader()
        var count = 0
        for id in UInt8.min...UInt8.max {
            count += 1
            let action = reader.received(page([id], next: id &+ 1))
            if case .read = action { continue }
            #expect(id == 0xFF)
        }
        #expect(count == 256)
    }
}
