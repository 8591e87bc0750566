import ALDTestKit
import Testing

@testable import ALDCore

@Suite(.background) struct PostgresNumericTests {
    private func bytes(_ text: String) throws -> [UInt8] {
        var writer = BinaryWriter()
        try #require(PostgresNumeric(text)).encode(into: &writer)
        return writer.bytes
    }

    @Test func digitsAreGroupedFromThePoint() throws {
        // Count of digits, weight, sign, scale; digits to the base 10 000.
        #expect(try bytes("0") == [0, 0, 0, 0, 0, 0, 0, 0])
        #expect(try bytes("1") == [0, 1, 0, 0, 0, 0, 0, 0, 0, 1])
        #expect(try bytes("-12345.6") == [0, 3, 0, 1, 0x40, 0, 0, 1, 0, 1, 0x09, 0x29, 0x17, 0x70])
        #expect(try bytes("0.0001") == [0, 1, 0xff, 0xff, 0, 0, 0, 4, 0, 1])
        #expect(try bytes("0.00001") == [0, 1, 0xff, 0xfe, 0, 0, 0, 5, 0x03, 0xe8])
        #expect(try bytes("10000.00") == [0, 1, 0, 1, 0, 0, 0, 2, 0, 1])
        #expect(try bytes("NaN") == [0, 0, 0, 0, 0xC0, 0, 0, 0])
        #expect(try bytes("Infinity") == [0, 0, 0, 0, 0xD0, 0, 0, 0])
        #expect(try bytes("-inf") == [0, 0, 0, 0, 0xF0, 0, 0, 0])
    }

    @Test(arguments: [
        ("0", "0"), ("-0", "0"), ("-0.00", "0.00"), ("007", "7"), (".5", "0.5"), ("5.", "5"), ("+1.50", "1.50"),
        ("1e3", "1000"), ("1.5e1", "15"), ("1e-7", "0.0000001"), ("12.34e-3", "0.01234"), ("0e5", "0"),
        ("100000000", "100000000"), ("99999999.99999999", "99999999.99999999"), ("nan", "NaN"),
        ("-Infinity", "-Infinity"), ("1E2", "100"),
    ])
    func textsAreReadAndShownAsPostgreSQLDoes(text: String, shown: String) throws {
        #expect(try #require(PostgresNumeric(text)).description == shown)
    }

    @Test(arguments: ["", "-", ".", "1.2.3", "e5", "1e", "0x10", "1 000", "١", "1e999999", "--1", "infinit"])
    func nonsenseIsNoNumber(text: String) {
        #expect(PostgresNumeric(text) == nil)
    }

    @Test func equalityIsThatOfNumbers() {
        #expect(PostgresNumeric("1.5") == PostgresNumeric("1.500"))
        #expect(PostgresNumeric("1.5")?.hashValue == PostgresNumeric("1.500")?.hashValue)
        #expect(PostgresNumeric("1.5") != PostgresNumeric("-1.5"))
        #expect(PostgresNumeric.nan == .nan)
        #expect(PostgresNumeric.infinity != .negativeInfinity)
        #expect(PostgresNumeric(Int64.min).description == "-9223372036854775808")
        #expect(PostgresNumeric("0.1")?.double == 0.1)
        #expect(PostgresNumeric(String(repeating: "9", count: 400))?.double == .infinity)
    }

    /// No server sends them; whoever does gets the number that is meant.
    @Test func zerosAtTheEndsAndOfZeroMeanNothing() throws {
        func number(_ bytes: [UInt8]) -> PostgresNumeric? { bytes.withUnsafeBytes { PostgresNumeric(binary: $0) } }
        #expect(number([0, 0, 0, 0, 0x40, 0, 0, 0]) == 0)
        #expect(number([0, 3, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0]) == 7)
    }

    @Test func theLimitsOfTheTypeAreKept() throws {
        #expect(PostgresNumeric(String(repeating: "9", count: 131_072)) != nil)
        #expect(PostgresNumeric(String(repeating: "9", count: 131_073)) == nil)
        #expect(PostgresNumeric("0." + String(repeating: "9", count: 16_383)) != nil)
        #expect(PostgresNumeric("0." + String(repeating: "9", count: 16_384)) == nil)
    }

    @Test func malformedBytesAreRefused() {
        for bytes: [UInt8] in [
            [], [0, 0, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0x12, 0, 0, 0],
            [0, 1, 0, 0, 0, 0, 0, 0, 0x27, 0x10], [0, 0, 0, 0, 0, 0, 0x40, 0],
        ] {
            #expect(bytes.withUnsafeBytes { PostgresNumeric(binary: $0) } == nil)
        }
    }

    @Test func whatIsShownReadsAsTheSameBytes() throws {
        let seed = TestSeed.draw()
        var random = SeededGenerator(seed: seed)
        for _ in 0..<2_000 {
            func digits(_ most: Int) -> String {
                (0..<Int.random(in: 0...most, using: &random)).map { _ in
                    String(Bool.random(using: &random) ? 0 : Int.random(in: 0...9, using: &random))
                }.joined()
            }
            let text = (Bool.random(using: &random) ? "-" : "") + digits(20) + "1" + "." + digits(20)
            let number = try #require(PostgresNumeric(text), "\(text), seed \(seed)")
            var writer = BinaryWriter()
            number.encode(into: &writer)
            let again = try #require(writer.bytes.withUnsafeBytes { PostgresNumeric(binary: $0) })
            #expect(again == number && again.scale == number.scale && again.description == number.description)
            #expect(PostgresNumeric(number.description)?.description == number.description)
        }
    }
}
