import NIOCore
import Testing

@testable import Modbus

/// What a server with `device` answers to PDUs from unit 1, in hexadecimal.
private func answers(_ device: any ModbusDevice, unit: UInt8 = 1, _ requests: [String]) -> [String] {
    var session = ServerSession()
    return requests.map { request in
        let pdu = bytes(request)
        var frame = ByteBuffer()
        frame.writeMultipleIntegers(UInt16(1), UInt16(0), UInt16(1 + pdu.readableBytes), unit)
        frame.writeImmutableBuffer(pdu)
        var out = ByteBuffer()
        _ = session.received(frame, device: device, out: &out)
        return hex(out.pdu)
    }
}

@Suite("A device that is nothing but memory", .background)
struct TableDeviceTests {
    @Test("register i is i, bit i is i AND 1, and the address behind the last one is 02")
    func index() throws {
        let device = try TableDevice(.init(size: 10_000, pattern: .index))
        #expect(
            answers(
                device,
                [
                    "03 00 64 00 02", "04 27 0E 00 02", "01 00 01 00 0A", "02 00 00 00 08", "03 27 0F 00 02",
                    "06 27 10 00 01", "0F 27 0F 00 02 01 03", "10 27 0F 00 02 04 00 00 00 00",
                ])
                == [
                    "03 04 00 64 00 65", "04 04 27 0e 27 0f", "01 02 55 01", "02 01 aa", "83 02", "86 02", "8f 02",
                    "90 02",
                ])
    }

    @Test("what was written is read back, and a refused write changes nothing")
    func writes() throws {
        let device = try TableDevice(.init(size: 10))
        #expect(
            answers(
                device,
                [
                    "05 00 03 FF 00", "0F 00 05 00 03 01 05", "01 00 00 00 0A", "06 00 02 12 34",
                    "10 00 03 00 02 04 00 F2 00 25", "10 00 09 00 02 04 FF FF FF FF", "03 00 02 00 08",
                ])
                == [
                    "05 00 03 ff 00", "0f 00 05 00 03", "01 02 a8 00", "06 00 02 12 34", "10 00 03 00 02", "90 02",
                    "03 10 12 34 00 f2 00 25 00 00 00 00 00 00 00 00 00 00",
                ])
    }

    @Test("mask write and read/write do what the specification's examples say")
    func combinations() throws {
        let device = try TableDevice(.init(size: 20, pattern: .index))
        #expect(
            answers(
                device,
                [
                    // The specification's example: 0012 AND 00F2 OR 0025 is 0017.
                    "06 00 04 00 12", "16 00 04 00 F2 00 25", "03 00 04 00 01",
                    // Written first, then read: the answer shows what was just written.
                    "17 00 03 00 06 00 0E 00 03 06 00 FF 00 FF 00 FF", "17 00 0E 00 02 00 0F 00 01 02 AB CD",
                    // Nothing is written when what is to be read does not exist, and the other way round.
                    "17 00 13 00 02 00 00 00 01 02 FF FF", "17 00 00 00 01 00 13 00 02 04 FF FF FF FF",
                    "03 00 00 00 01", "03 00 13 00 01", "16 00 14 00 00 00 00",
                ])
                == [
                    "06 00 04 00 12", "16 00 04 00 f2 00 25", "03 02 00 17",
                    "17 0c 00 03 00 17 00 05 00 06 00 07 00 08", "17 04 00 ff ab cd", "97 02", "97 02",
                    "03 02 00 00", "03 02 00 13", "96 02",
                ])
    }

    @Test("file records, all groups or none")
    func files() throws {
        var configuration = TableDevice.Configuration(size: 0)
        configuration.files = [4: [0, 0x0DFE, 0x0020, 0], 3: Array(repeating: 7, count: 12)]
        let device = try TableDevice(configuration)
        #expect(
            answers(
                device,
                [
                    "14 0E 06 00 04 00 01 00 02 06 00 03 00 09 00 02",
                    "15 0D 06 00 04 00 02 00 03 00 01 00 02 00 03",
                    "15 12 06 00 04 00 00 00 01 AA AA 06 00 05 00 00 00 01 BB BB",
                    "15 0B 06 00 04 00 02 00 02 06 AF 04 BE", "14 07 06 00 04 00 00 00 04",
                    "14 07 06 00 05 00 00 00 01",
                    "14 07 06 00 04 00 03 00 02",
                ])
                == [
                    "14 0c 05 06 0d fe 00 20 05 06 00 07 00 07", "95 02", "95 02",
                    "15 0b 06 00 04 00 02 00 02 06 af 04 be",
                    "14 0a 09 06 00 00 0d fe 06 af 04 be", "94 02", "94 02",
                ])
    }

    @Test("a queue is read and stays; one of more than 31 words is 03, none is 02")
    func queues() throws {
        var configuration = TableDevice.Configuration(size: 0)
        configuration.queues = [0x04DE: [0x01B8, 0x1284], 7: [], 8: Array(repeating: 1, count: 32)]
        let device = try TableDevice(configuration)
        #expect(
            answers(device, ["18 04 DE", "18 04 DE", "18 00 07", "18 00 08", "18 00 09"])
                == ["18 00 06 00 02 01 b8 12 84", "18 00 06 00 02 01 b8 12 84", "18 00 02 00 00", "98 03", "98 02"])
    }

    @Test("exception status, server ID and identification are what was configured")
    func selfDescription() throws {
        var configuration = TableDevice.Configuration(size: 0)
        configuration.exceptionStatus = 0x6D
        configuration.serverID = ServerID(identifier: [0x2A], isRunning: false, additionalData: [0x56, 0x31])
        let device = try TableDevice(configuration)
        #expect(
            answers(device, ["07", "11", "2B 0E 04 00", "2B 0E 04 03", "2B 0E 05 00", "2B 0D 00 00"])
                == ["07 6d", "11 04 2a 00 56 31", "2b 0e 04 81 00 00 01 00 03 41 4c 44", "ab 02", "ab 03", "ab 01"])
    }

    @Test("diagnostics count what was asked, answered and refused, and can be cleared")
    func diagnostics() throws {
        let device = try TableDevice(.init(size: 1))
        device.withContents { $0.diagnosticRegister = 0xBEEF }
        #expect(
            answers(
                device,
                [
                    "08 00 00 A5 37", "03 00 00 00 01", "03 00 00 00 02", "08 00 0B 00 00", "08 00 0D 00 00",
                    "08 00 0E 00 00", "08 00 02 00 00", "0B", "0B", "08 00 0A 00 00", "0B", "08 00 02 00 00",
                    "08 00 0D 00 00", "08 00 12 00 00", "08 00 14 00 00", "08 00 01 FF 00", "08 00 04 00 00",
                    "08 00 0B 00 01", "08 00 01 00 01",
                ])
                == [
                    "08 00 00 a5 37", "03 02 00 00", "83 02", "08 00 0b 00 04", "08 00 0d 00 01", "08 00 0e 00 06",
                    "08 00 02 be ef", "0b 00 00 00 06", "0b 00 00 00 06", "08 00 0a 00 00", "0b 00 00 00 00",
                    "08 00 02 00 00", "08 00 0d 00 00", "08 00 12 00 00", "08 00 14 00 00", "08 00 01 ff 00", "88 01",
                    "88 03", "88 03",
                ])
    }

    @Test("other units get 0B when units are configured; else every unit is answered, 0 and 255 among them")
    func units() throws {
        var configuration = TableDevice.Configuration(size: 1)
        let open = try TableDevice(configuration)
        configuration.units = [1, 17]
        let gateway = try TableDevice(configuration)
        for unit: UInt8 in [0, 1, 17, 247, 255] {
            #expect(answers(open, unit: unit, ["03 00 00 00 01"]) == ["03 02 00 00"])
            let isKnown = unit == 1 || unit == 17
            #expect(answers(gateway, unit: unit, ["03 00 00 00 01"]) == [isKnown ? "03 02 00 00" : "83 0b"])
        }
        #expect(gateway.withContents { $0.counters.busMessages } == 5)
        #expect(gateway.withContents { $0.counters.serverMessages } == 2)
    }

    @Test("a program may fill every table, and is told when an address or a kind does not exist")
    func filling() throws {
        let device = try TableDevice(.init(size: 4))
        let done = device.withContents { contents in
            [
                contents.set(.inputRegisters, at: 2, .registers([5, 6])),
                contents.set(.discreteInputs, at: 0, .bits([true])),
                contents.set(.inputRegisters, at: 3, .registers([5, 6])),
                contents.set(.coils, at: 0, .registers([1])),
            ]
        }
        #expect(done == [true, true, false, false])
        #expect(
            answers(device, ["04 00 00 00 04", "02 00 00 00 01"])
                == ["04 08 00 00 00 00 00 05 00 06", "02 01 01"])
    }

    @Test("every problem of a configuration is named at once")
    func problems() {
        var configuration = TableDevice.Configuration(size: 65_537)
        configuration.serverID = ServerID(identifier: Array(repeating: 0, count: 251))
        configuration.identification = DeviceIdentification([.init(.vendorURL, Array(repeating: 65, count: 245))])
        configuration.files = [0: [], 1: Array(repeating: 0, count: 10_001)]
        #expect(configuration.validate().count == 4 + 1 + 1 + 3 + 2)
        #expect(throws: ModbusError.self) { try TableDevice(configuration) }
        #expect(TableDevice.Configuration().validate().isEmpty)
    }

    @Test("a device may answer functions that nobody knows; one that does not answers 01")
    func rawFunctions() throws {
        struct Odd: ModbusDevice {
            func respond(to request: ModbusRequest, unit: UnitID) throws(ModbusException) -> ModbusResponse {
                throw .serverDeviceFailure
            }
            func respond(toRaw request: RawRequest, unit: UnitID) throws(ModbusException) -> [UInt8] {
                switch request.function.rawValue {
                case 0x41: return request.data.reversed()
                case 0x42: throw .illegalDataValue
                case 0x43: return Array(repeating: 0, count: 253)
                default: return [UInt8(request.data.count)]
                }
            }
        }
        #expect(
            answers(Odd(), ["41 01 02 03", "41", "42", "43", "08 00 15 00 03", "2B 0D 00", "03 00", "00 01", "C1 01"])
                == ["41 03 02 01", "41", "c2 03", "c3 04", "08 04", "2b 02", "83 03", "80 01", "c1 01"])
        #expect(answers(try TableDevice(), ["41 01 02 03", "08 00 15 00 03"]) == ["c1 01", "88 01"])
    }
}
