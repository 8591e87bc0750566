import Foundation
import Testing

@testable import ALDCore

/// The bytes of PostgreSQL's binary format, written down by hand.
@Suite(.background) struct PostgresCodecTests {
    private func bytes(_ value: PostgresValue) throws -> [UInt8] {
        var writer = BinaryWriter()
        try value.encode(into: &writer)
        return writer.bytes
    }

    @Test func scalarsAreBigEndian() throws {
        #expect(try bytes(.null) == [])
        #expect(try bytes(.bool(true)) == [1])
        #expect(try bytes(.int2(-2)) == [0xff, 0xfe])
        #expect(try bytes(.int4(0x0102_0304)) == [1, 2, 3, 4])
        #expect(try bytes(.int8(-1)) == [UInt8](repeating: 0xff, count: 8))
        #expect(try bytes(.float8(1)) == [0x3f, 0xf0, 0, 0, 0, 0, 0, 0])
        #expect(try bytes(.text("é")) == [0xc3, 0xa9])
        #expect(try bytes(.bytea([0, 7])) == [0, 7])
        #expect(try bytes(.jsonb("1")) == [1, 0x31])
        let uuid = try #require(UUID(uuidString: "00112233-4455-6677-8899-AABBCCDDEEFF"))
        #expect(
            try bytes(.uuid(uuid)) == [
                0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff,
            ])
    }

    @Test func timestampsCountMicrosecondsFrom2000() throws {
        let epoch = Timestamp(microseconds: 946_684_800_000_000)
        #expect(try bytes(.timestamptz(epoch)) == [UInt8](repeating: 0, count: 8))
        #expect(try bytes(.timestamptz(Timestamp(microseconds: 946_684_800_000_001))) == [0, 0, 0, 0, 0, 0, 0, 1])
        #expect(
            try bytes(.timestamptz(Timestamp(microseconds: 946_684_799_999_999))) == .init(repeating: 0xff, count: 8))
        #expect(throws: PostgresError.self) { try bytes(.timestamptz(Timestamp(microseconds: .min))) }
        #expect(Timestamp(postgresMicroseconds: .max) == nil)
        #expect(Timestamp(postgresMicroseconds: 0) == epoch)
    }

    @Test func arraysCarryTheirShape() throws {
        #expect(
            try bytes(.int4Array([5, -1])) == [
                0, 0, 0, 1,  // dimensions
                0, 0, 0, 0,  // has no null
                0, 0, 0, 23,  // int4
                0, 0, 0, 2,  // length
                0, 0, 0, 1,  // lower bound
                0, 0, 0, 4, 0, 0, 0, 5,
                0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff,
            ])
        #expect(
            try bytes(.float8Array([nil, 2])) == [
                0, 0, 0, 1, 0, 0, 0, 1,  // has a null
                0, 0, 2, 0xbd,  // float8 is 701
                0, 0, 0, 2, 0, 0, 0, 1,
                0xff, 0xff, 0xff, 0xff,
                0, 0, 0, 8, 0x40, 0, 0, 0, 0, 0, 0, 0,
            ])
        #expect(try bytes(.textArray([])) == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 25])
        #expect(try bytes(.int2Array([3])).suffix(6) == [0, 0, 0, 2, 0, 3])
        #expect(try bytes(.textArray(["ab"])).suffix(6) == [0, 0, 0, 2, 0x61, 0x62])
    }

    @Test func tooManyParametersAreRefusedBeforeTheServerSeesThem() throws {
        #expect(throws: PostgresError.self) {
            try ParameterBuffer([PostgresValue](repeating: .null, count: ParameterBuffer.maximumCount + 1))
        }
    }

    @Test(arguments: ["23505", "XX000", "P0001"]) func sqlStatesAreFiveCapitalsOrDigits(text: String) throws {
        let state = try #require(SQLState(rawValue: text))
        #expect(state.class == String(text.prefix(2)))
    }

    @Test(arguments: ["", "2350", "235050", "2350a", "23 05", "2350é"]) func nonsenseIsNoSQLState(text: String) {
        #expect(SQLState(rawValue: text) == nil)
    }
}
