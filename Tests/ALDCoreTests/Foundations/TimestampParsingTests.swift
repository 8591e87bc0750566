import ALDTestKit
import Testing

@testable import ALDCore

@Suite("Moments as text") struct TimestampParsingTests {
    @Test(
        "ISO 8601 names a moment to the microsecond, in UTC where it says nothing else",
        arguments: [
            ("1970-01-01", 0), ("1970-01-01T00:00:00.000001Z", 1), ("1969-12-31 23:59:59.5", -500_000),
            ("2026-09-10T00:26:40Z", 1_789_000_000_000_000), ("2026-09-10T02:26:40+02:00", 1_789_000_000_000_000),
            ("2026-09-09T20:56:40-0330", 1_789_000_000_000_000), ("2026-09-10T02:26:40+02", 1_789_000_000_000_000),
            ("2000-02-29", 951_782_400_000_000), ("1600-02-29", -11_670_998_400_000_000),
            ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999),
            ("294247-01-10T04:00:54.775807Z", 9_223_372_036_854_775_807),
        ])
    func parsed(text: String, microseconds: Int64) {
        #expect(Timestamp(iso8601: text)?.microseconds == microseconds)
    }

    @Test(
        "what names no moment is none",
        arguments: [
            "", "yesterday", "2026-02-30", "1900-02-29", "2026-13-01", "2026-00-10", "2026-09-10T24:00",
            "2026-09-10T10",
            "2026-09-10T10:60", "2026-09-10T10:00:60", "2026-09-10T10:00:00.1234567", "2026-09-10T10:00:00+25:00",
            "2026-9-1", " 2026-09-10", "2026-09-10Z", "294247-01-10T04:00:54.775808Z", "294248-01-01", "999999-12-31",
        ])
    func refused(text: String) { #expect(Timestamp(iso8601: text) == nil) }

    @Test("what is written is read again")
    func roundTrip() {
        var random = SeededGenerator(seed: TestSeed.draw())
        for _ in 0..<2000 {
            let time = Timestamp(
                microseconds: Int64.random(in: -62_135_596_800_000_000...253_402_300_799_999_999, using: &random))
            #expect(Timestamp(iso8601: "\(time)") == time)
        }
    }
}
