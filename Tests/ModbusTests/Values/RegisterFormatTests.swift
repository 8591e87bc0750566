import ALDTestKit
import Testing

@testable import Modbus

/// A format, a value, and the registers that hold it.
private struct Vector: CustomTestStringConvertible {
    let format: RegisterFormat
    let value: RegisterValue
    let words: [UInt16]

    init(_ kind: RegisterFormat.Kind, _ order: WordOrder, _ value: RegisterValue, _ words: [UInt16]) {
        format = RegisterFormat(kind, wordOrder: order)
        self.value = value
        self.words = words
    }

    init(_ kind: RegisterFormat.Kind, _ value: RegisterValue, _ words: [UInt16]) {
        self.init(kind, .abcd, value, words)
    }

    var testDescription: String { "\(format.kind) \(format.wordOrder) \(value)" }
}

private let vectors: [Vector] = [
    Vector(.uint16, .unsigned(65_535), [0xFFFF]),
    Vector(.int16, .signed(-1), [0xFFFF]),
    Vector(.int16, .signed(-32_768), [0x8000]),
    Vector(.int16, .dcba, .signed(258), [0x0102]),  // the order does not touch one register
    Vector(.uint32, .unsigned(0x0001_E240), [0x0001, 0xE240]),
    Vector(.uint32, .cdab, .unsigned(0x0001_E240), [0xE240, 0x0001]),
    Vector(.int32, .badc, .signed(-2), [0xFFFF, 0xFEFF]),
    Vector(.int32, .dcba, .signed(-2), [0xFEFF, 0xFFFF]),
    Vector(.uint64, .unsigned(.max), [0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF]),
    Vector(.int64, .cdab, .signed(.min), [0, 0, 0, 0x8000]),
    Vector(.int64, .dcba, .signed(0x0102_0304_0506_0708), [0x0807, 0x0605, 0x0403, 0x0201]),
    Vector(.float32, .abcd, .number(123_456), [0x47F1, 0x2000]),
    Vector(.float32, .cdab, .number(123_456), [0x2000, 0x47F1]),
    Vector(.float32, .badc, .number(123_456), [0xF147, 0x0020]),
    Vector(.float32, .dcba, .number(123_456), [0x0020, 0xF147]),
    Vector(.float64, .abcd, .number(-2.5), [0xC004, 0, 0, 0]),
    Vector(.float64, .cdab, .number(-2.5), [0, 0, 0, 0xC004]),
    Vector(.float64, .badc, .number(-2.5), [0x04C0, 0, 0, 0]),
    Vector(.float64, .dcba, .number(-2.5), [0, 0, 0, 0x04C0]),
    Vector(.bcd16, .unsigned(9_876), [0x9876]),
    Vector(.bcd16, .unsigned(0), [0]),
    Vector(.bcd32, .unsigned(12_345_678), [0x1234, 0x5678]),
    Vector(.bcd32, .cdab, .unsigned(12_345_678), [0x5678, 0x1234]),
    Vector(.text(RegisterText(registers: 3)), .text("Pump1"), [0x5075, 0x6D70, 0x3100]),
    Vector(.text(RegisterText(registers: 2, packing: .lowByteFirst)), .text("Pum"), [0x7550, 0x006D]),
    Vector(.text(RegisterText(registers: 2, padding: .space)), .text("é"), [0xC3A9, 0x2020]),
    Vector(.text(RegisterText(registers: 1)), .text(""), [0]),
]

private func failure(_ body: () throws(RegisterValueError) -> Void) -> RegisterValueError? {
    do throws(RegisterValueError) {
        try body()
        return nil
    } catch {
        return error
    }
}

@Suite("What registers mean", .background)
struct RegisterFormatTests {
    @Test("registers become values, and values become the same registers", arguments: vectors)
    private func vector(_ vector: Vector) throws {
        #expect(vector.format.validate().isEmpty)
        #expect(vector.format.registerCount == vector.words.count)
        #expect(try vector.format.decode(vector.words) == vector.value)
        #expect(try vector.format.encode(vector.value) == vector.words)
        let within = [1] + vector.words + [2]
        #expect(try vector.format.decode(within[1..<(within.count - 1)]) == vector.value, "a slice of a longer read")
        let short = Array(vector.words.dropLast())
        #expect(
            failure { () throws(RegisterValueError) in _ = try vector.format.decode(short) }
                == .wrongRegisterCount(short.count, expected: vector.words.count))
    }

    #if !(arch(x86_64) && (os(macOS) || targetEnvironment(macCatalyst)))
        @Test("half precision: 1.5 is 3E00, 65504 is the largest, and NaN is no value")
        func float16() throws {
            let format = RegisterFormat(.float16)
            #expect(try format.decode([0x3E00]) == .number(1.5))
            #expect(try format.encode(.number(-1.5)) == [0xBE00])
            #expect(try format.encode(.number(65_504)) == [0x7BFF])
            #expect(try format.decode([0x7E00]) == nil)
            #expect(
                failure { () throws(RegisterValueError) in _ = try format.encode(.number(65_536)) }
                    == .outOfRange(.number(65_536)))
        }
    #endif

    @Test("a bit is read from its place, and written with the other fifteen left as they are")
    func bits() throws {
        for position in 0..<16 {
            let format = RegisterFormat(.bit(position))
            let mask = UInt16(1) << UInt16(position)
            #expect(try format.decode([mask]) == .bit(true))
            #expect(try format.decode([~mask]) == .bit(false))
            #expect(try format.encode(.bit(true), over: [0x0F0F]) == [0x0F0F | mask])
            #expect(try format.encode(.bit(false), over: [0x0F0F]) == [0x0F0F & ~mask])
            #expect(
                ModbusRequest.writeBit(position, ofRegister: 7, true)
                    == .maskWriteRegister(address: 7, and: ~mask, or: mask))
            #expect(
                ModbusRequest.writeBit(position, ofRegister: 7, false)
                    == .maskWriteRegister(address: 7, and: ~mask, or: 0))
        }
        #expect(ModbusRequest.writeBit(16, ofRegister: 7, true) == nil)
        #expect(ModbusRequest.writeBit(-1, ofRegister: 7, true) == nil)
        let format = RegisterFormat(.bit(3))
        #expect(
            failure { () throws(RegisterValueError) in _ = try format.encode(.bit(true)) } == .needsCurrentRegisters)
        #expect(
            failure { () throws(RegisterValueError) in _ = try format.encode(.bit(true), over: [1, 2]) }
                == .wrongRegisterCount(2, expected: 1))
        #expect(
            failure { () throws(RegisterValueError) in _ = try format.encode(.unsigned(1), over: [1]) }
                == .wrongKind(.unsigned(1)))
    }

    @Test("a BCD digit above 9 is an error, and so is a number with too many digits")
    func bcd() throws {
        for word: UInt16 in [0x000A, 0xA000, 0x12F4] {
            #expect(
                failure { () throws(RegisterValueError) in _ = try RegisterFormat(.bcd16).decode([word]) }
                    == .invalidDigit(UInt64(word)))
        }
        for value: RegisterValue in [.unsigned(10_000), .signed(-1), .number(1e20)] {
            #expect(
                failure { () throws(RegisterValueError) in _ = try RegisterFormat(.bcd16).encode(value) }
                    == .outOfRange(value))
        }
        #expect(try RegisterFormat(.bcd32).encode(.signed(99_999_999)) == [0x9999, 0x9999])
        for value: UInt64 in 0...9999 {
            let bits = try #require(BinaryCodedDecimal.encode(value, digits: 4))
            #expect(String(bits, radix: 16) == String(value), "the digits can be read in the hexadecimal number")
        }
    }

    @Test("a text ends at its first NUL and has no spaces at its end; bytes that are no text are an error")
    func texts() throws {
        let text = RegisterFormat(.text(RegisterText(registers: 3)))
        #expect(try text.decode([0x4142, 0x0043, 0x4445]) == .text("AB"))
        #expect(try text.decode([0x2041, 0x2042, 0x2020]) == .text(" A B"))
        #expect(try text.decode([0x2020, 0x2020, 0x2020]) == .text(""))
        #expect(failure { () throws(RegisterValueError) in _ = try text.decode([0xFF41, 0, 0]) } == .invalidText)
        #expect(
            failure { () throws(RegisterValueError) in _ = try text.encode(.text("1234567")) }
                == .textTooLong(bytes: 7, room: 6))
        for odd in ["a ", "a\0b"] {
            #expect(
                failure { () throws(RegisterValueError) in _ = try text.encode(.text(odd)) } == .textNotReadable)
        }
        #expect(
            failure { () throws(RegisterValueError) in _ = try text.encode(.number(1)) } == .wrongKind(.number(1)))
    }

    @Test("a text in one byte of each register leaves the other byte alone")
    func halfTexts() throws {
        let high = RegisterFormat(.text(RegisterText(registers: 3, packing: .highByteOnly)))
        let low = RegisterFormat(.text(RegisterText(registers: 3, packing: .lowByteOnly)))
        #expect(try high.decode([0x4101, 0x4202, 0x0003]) == .text("AB"))
        #expect(try low.decode([0x0141, 0x0242, 0x0300]) == .text("AB"))
        #expect(try high.encode(.text("CD"), over: [0x4101, 0x4202, 0x4403]) == [0x4301, 0x4402, 0x0003])
        #expect(try low.encode(.text("CD"), over: [0x0141, 0x0242, 0x0344]) == [0x0143, 0x0244, 0x0300])
        #expect(failure { () throws(RegisterValueError) in _ = try low.encode(.text("")) } == .needsCurrentRegisters)
        #expect(
            failure { () throws(RegisterValueError) in _ = try low.encode(.text("ABCD"), over: [0, 0, 0]) }
                == .textTooLong(bytes: 4, room: 3))
    }

    @Test("a scaled value is raw × factor + offset, and the nearest raw number is written")
    func scaling() throws {
        let format = RegisterFormat(.int16, scaling: .init(factor: 0.1, offset: -40))
        #expect(try format.decode([500]) == .number(10))
        #expect(try format.decode([0xFFFF]) == .number(-40.1))
        #expect(try format.encode(.number(10.04)) == [500])
        #expect(try format.encode(.number(10.06)) == [501])
        #expect(try format.encode(.signed(-41)) == [0xFFF6])
        #expect(
            failure { () throws(RegisterValueError) in _ = try format.encode(.number(3_236.76)) }
                == .outOfRange(.number(3_236.76)), "nothing is clamped")
        #expect(try format.encode(.number(3_236.74)) == [32_767])
        let float = RegisterFormat(.float32, scaling: .init(factor: 2))
        #expect(try float.decode([0x47F1, 0x2000]) == .number(246_912))
        #expect(try float.encode(.number(246_912)) == [0x47F1, 0x2000])
        let huge = RegisterFormat(.float64, scaling: .init(factor: 1e300))
        let words = try RegisterFormat(.float64).encode(.number(1e300))
        #expect(
            failure { () throws(RegisterValueError) in _ = try huge.decode(words) } == .outOfRange(.number(1e300)))
    }

    @Test("a sentinel and NaN are no value, and cannot be written by accident")
    func sentinels() throws {
        let signed = RegisterFormat(.int16, scaling: .init(factor: 0.5), sentinels: [0x8000])
        #expect(try signed.decode([0x8000]) == nil)
        #expect(try signed.decode([0x7FFF]) == .number(16_383.5))
        #expect(
            failure { () throws(RegisterValueError) in _ = try signed.encode(.number(-16_384)) }
                == .isSentinel(.number(-16_384)))
        let wide = RegisterFormat(.uint32, wordOrder: .cdab, sentinels: [0xFFFF_FFFF, 0x8000_0000])
        #expect(try wide.decode([0xFFFF, 0xFFFF]) == nil)
        #expect(try wide.decode([0x0000, 0x8000]) == nil, "the bits are compared in the value's own order")
        #expect(try wide.decode([0x8000, 0x0000]) == .unsigned(0x8000))
        #expect(try RegisterFormat(.bcd16, sentinels: [0xFFFF]).decode([0xFFFF]) == nil, "before the digits count")
        #expect(try RegisterFormat(.float32).decode([0x7FC0, 0]) == nil)
        #expect(try RegisterFormat(.float32).decode([0xFF80, 1]) == nil)
        #expect(try RegisterFormat(.float64).decode([0x7FF8, 0, 0, 0]) == nil)
        #expect(try RegisterFormat(.float32).decode([0x7F80, 0]) == .number(.infinity), "as the device sent it")
    }

    @Test("what does not fit is an error that says so")
    func doesNotFit() {
        let cases: [(RegisterFormat.Kind, RegisterValue, RegisterValueError)] = [
            (.uint16, .unsigned(65_536), .outOfRange(.unsigned(65_536))),
            (.uint16, .signed(-1), .outOfRange(.signed(-1))),
            (.int16, .signed(32_768), .outOfRange(.signed(32_768))), (.int16, .number(1.5), .notAnInteger(1.5)),
            (.uint64, .signed(-1), .outOfRange(.signed(-1))), (.int64, .unsigned(.max), .outOfRange(.unsigned(.max))),
            (.uint64, .number(0x1p64), .outOfRange(.number(0x1p64))), (.int32, .number(.nan), .notFinite),
            (.float32, .number(.infinity), .notFinite), (.float64, .number(.nan), .notFinite),
            (.float32, .number(1e39), .outOfRange(.number(1e39))), (.uint16, .bit(true), .wrongKind(.bit(true))),
            (.float32, .text("1"), .wrongKind(.text("1"))),
        ]
        for (kind, value, wanted) in cases {
            // NaN is not equal to itself, so the errors are compared as they read.
            let error = failure { () throws(RegisterValueError) in _ = try RegisterFormat(kind).encode(value) }
            #expect(error.map { "\($0)" } == "\(wanted)")
        }
    }

    @Test("a format that makes no sense is refused in words")
    func formats() {
        let odd: [RegisterFormat] = [
            RegisterFormat(.bit(16)), RegisterFormat(.bit(-1)), RegisterFormat(.text(RegisterText(registers: 0))),
            RegisterFormat(.text(RegisterText(registers: 126))), RegisterFormat(.bit(0), scaling: .init(factor: 1)),
            RegisterFormat(.int16, scaling: .init(factor: 0)), RegisterFormat(.int16, scaling: .init(factor: .nan)),
            RegisterFormat(.int16, scaling: .init(factor: 1, offset: .infinity)),
            RegisterFormat(.uint16, sentinels: [0x1_0000]), RegisterFormat(.float32, sentinels: [0x1_0000_0000]),
        ]
        for format in odd {
            #expect(format.validate().count == 1, "\(format)")
            let words = [UInt16](repeating: 0, count: max(format.registerCount, 0))
            #expect(throws: RegisterValueError.self) { try format.decode(words) }
            #expect(throws: RegisterValueError.self) { try format.encode(.unsigned(1), over: words) }
        }
        #expect(RegisterFormat(.uint64, sentinels: [.max]).validate().isEmpty)
    }

    @Test(
        "20 000 random registers in every numeric format: what is read is written back to the same registers",
        .background)
    func random() async throws {
        let seed = TestSeed.draw()
        var random = SeededGenerator(seed: seed)
        let kinds: [RegisterFormat.Kind] = [
            .uint16, .int16, .uint32, .int32, .uint64, .int64, .float32, .float64, .bcd16, .bcd32,
        ]
        for round in 0..<20_000 {
            await TestSeed.letOthersRun(round: round)
            let format = RegisterFormat(
                kinds[round % kinds.count], wordOrder: WordOrder.allCases.randomElement(using: &random) ?? .abcd)
            let words = (0..<format.registerCount).map { _ in UInt16.random(in: 0...65_535, using: &random) }
            guard let value = try? format.decode(words), value.double?.isFinite == true else { continue }
            try #require(try format.encode(value) == words, "\(format) \(words), seed \(seed)")
        }
    }
}
