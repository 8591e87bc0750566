import Foundation
import Modbus
import Testing

@testable import ald

@Suite("ald modbus: values, error kinds and the watched table", .background)
struct ModbusValueTests {
    @Test(
        "123456.0 and its 64-bit brother stand in the registers as each order says, both ways",
        arguments: [
            (WordOrder.abcd, [0x47F1, 0x2000] as [UInt16], [0x0102, 0x0304, 0x0506, 0x0708] as [UInt16]),
            (.badc, [0xF147, 0x0020], [0x0201, 0x0403, 0x0605, 0x0807]),
            (.cdab, [0x2000, 0x47F1], [0x0708, 0x0506, 0x0304, 0x0102]),
            (.dcba, [0x0020, 0xF147], [0x0807, 0x0605, 0x0403, 0x0201]),
        ])
    func orders(_ order: WordOrder, _ float: [UInt16], _ long: [UInt16]) {
        #expect(ValueType.float32.encode("123456.0", order: order) == float)
        #expect(ValueType.float32.decode(float[...], order: order).description == "123456.0")
        #expect(ValueType.uint64.encode("0x0102030405060708", order: order) == long)
        #expect(ValueType.uint64.decode(long[...], order: order).description == "72623859790382856")
    }

    @Test("each type takes what fits, shows it without losing a digit, and refuses the rest")
    func ranges() {
        for (type, text) in [
            (ValueType.uint16, "65535"), (.int16, "-32768"), (.uint32, "4294967295"), (.int32, "-2147483648"),
            (.uint64, "18446744073709551615"), (.int64, "-9223372036854775808"), (.float32, "0.1"),
            (.float64, "0.30000000000000004"), (.bcd16, "9999"), (.bcd32, "12345678"), (.float64, "-0.0"),
        ] {
            let words = type.encode(text, order: .abcd)
            #expect(words?.count == type.registers)
            #expect(words.map { type.decode($0[...], order: .abcd).description } == text)
        }
        for (type, text) in [
            (ValueType.uint16, "65536"), (.uint16, "-1"), (.int16, "32768"), (.uint32, "4294967296"),
            (.int32, "1.5"), (.float32, "1e39"), (.float64, "one"), (.uint16, ""), (.bcd16, "10000"),
        ] {
            #expect(type.encode(text, order: .abcd) == nil, "\(text) is no \(type.rawValue)")
        }
    }

    @Test("no number, infinity and digits above 9 are shown as what they are, and are null in JSON")
    func unusual() throws {
        let nan = ValueType.float32.decode([0x7FC0, 0], order: .abcd)
        let infinity = ValueType.float32.decode([0x7F80, 0], order: .abcd)
        let digits = ValueType.bcd16.decode([0x12A4], order: .abcd)
        #expect([nan, infinity, digits].map(\.description) == ["nan", "inf", "invalid"])
        let json = try JSONEncoder().encode([
            nan, infinity, digits, ValueType.float32.decode([0x3DCC, 0xCCCD], order: .abcd),
        ])
        #expect(String(decoding: json, as: UTF8.self).hasPrefix("[null,null,null,0.1"))
    }

    @Test("every end of a request has one kind")
    func kinds() {
        let kinds: [(ModbusError.Code, String)] = [
            (.exception(.illegalDataAddress, .readCoils), "exception-02"),
            (.exception(ExceptionCode(rawValue: 0xAB), .readCoils), "exception-AB"),
            (.timedOut(.reply), "timeout"), (.timedOut(.connect), "timeout"), (.timedOut(.queue), "timeout"),
            (.connectionFailed(.refused, reason: "no address for timeout.example"), "refused"),
            (.connectionFailed(.noAnswer, reason: "Connection timed out"), "timeout"),
            (.connectionFailed(.lost, reason: "reset"), "closed"),
            (.connectionClosed(mayHaveExecuted: true), "closed"), (.unknownOutcome(.cancelled), "unknown-outcome"),
            (.malformedResponse("?"), "bad-response"), (.cancelled, "cancelled"), (.shuttingDown, "cancelled"),
        ]
        for (code, kind) in kinds { #expect("\(ModbusErrorKind(ModbusError(code)))" == kind) }
    }

    @Test("the table marks what changed last and remembers extremes; a failed reading keeps the values")
    func table() {
        var watch = Watch(table: .holding, start: 100, count: 2, type: .int16, order: .abcd)
        #expect(watch.record([.registers([1]), .registers([0xFFFF])], took: .milliseconds(1)).count == 2)
        let changes = watch.record([.registers([1]), .registers([5])], took: .milliseconds(3))
        #expect(changes.map(\.address) == [101] && changes.first?.previous?.value.description == "-1")
        #expect(
            WatchReport.table(watch, place: "plc:502, unit 1", every: .seconds(1), width: 80, height: 24) == [
                "holding of plc:502, unit 1 every 1 s (Ctrl-C ends)",
                "2 readings, 0 errors, 1 changes; last: 3.00 ms",
                "",
                "  address  hex   int16  lowest  highest  changes",
                "  100      0001  1      1       1        ",
                "* 101      0005  5      -1      5        1",
            ])
        #expect(watch.record(.timeout) && !watch.record(.timeout) && watch.record(.closed))
        let small = WatchReport.table(watch, place: "plc:502", every: .seconds(1), width: 30, height: 7)
        #expect(
            small[1] == "5 readings, 3 errors, 1 chang" && small.last == "  … and 1 more" && small.count == 6,
            "\(small)")
        #expect(watch.rows.map(\.isNew) == [false, false] && watch.rows[1].value?.description == "5")
    }

    @Test("what a device says of itself is shown as text, or in hexadecimal where a terminal would obey it")
    func deviceText() {
        #expect(DeviceScan.text(Array("Messgerät 2".utf8)) == "Messgerät 2")
        #expect(DeviceScan.text([0x1B, 0x5B, 0x4A]) == "1B 5B 4A" && DeviceScan.text([0xFF, 0x41]) == "FF 41")
    }

    @Test("numbers may be written in hexadecimal; units as a range")
    func arguments() {
        #expect(Address(argument: "0x64")?.number == 100 && Address(argument: "0XFFFF")?.number == 65_535)
        #expect(Address(argument: "65536") == nil && Address(argument: "-1") == nil && Address(argument: "") == nil)
        #expect(UnitRange(argument: "1-247")?.range == 1...247 && UnitRange(argument: "7")?.range == 7...7)
        for text in ["", "-", "1-", "9-1", "1-256", "1-2-3"] { #expect(UnitRange(argument: text) == nil) }
    }
}
