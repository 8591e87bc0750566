import Foundation
import Testing

@testable import ALDCore

/// The bytes of the binary COPY format, written down by hand.
@Suite(.background) struct CopyCodecTests {
    static let header: [UInt8] = [
        0x50, 0x47, 0x43, 0x4F, 0x50, 0x59, 0x0A, 0xFF, 0x0D, 0x0A, 0x00,  // signature
        0, 0, 0, 0,  // flags
        0, 0, 0, 0,  // extension
    ]
    static let twoRows: [UInt8] = [
        0, 2,  // columns
        0, 0, 0, 4, 0, 0, 0, 7,
        0xff, 0xff, 0xff, 0xff,  // null
        0, 2,
        0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff,
        0, 0, 0, 2, 0x61, 0x62,
    ]
    static let end: [UInt8] = [0xff, 0xff]
    static let stream = header + twoRows + end

    private static let columns = [PostgresColumn(name: "0", type: .int4), PostgresColumn(name: "1", type: .text)]

    private func rows(_ parser: inout CopyParser) throws -> [(Int32, String?)] {
        let (bytes, rows) = parser.takeRows()
        let batch = CopyBatch(columns: Self.columns, bytes: bytes, rows: rows)
        return try (0..<batch.rowCount).map { index in
            let row = PostgresRow(storage: batch, index: index)
            return (try row.decode(0, as: Int32.self), try row.decode(1, as: String?.self))
        }
    }

    private func expectBoth(_ rows: [(Int32, String?)]) {
        #expect(rows.map(\.0) == [7, -1])
        #expect(rows.map(\.1) == [nil, "ab"])
    }

    @Test func aStreamInOnePiece() throws {
        var parser = CopyParser()
        Self.stream.withUnsafeBytes { parser.append($0) }
        expectBoth(try rows(&parser))
        #expect(parser.problem == nil)
    }

    @Test func aStreamByteByByte() throws {
        var parser = CopyParser()
        var found: [(Int32, String?)] = []
        for byte in Self.stream {
            withUnsafeBytes(of: byte) { parser.append($0) }
            found += try rows(&parser)
        }
        expectBoth(found)
        #expect(parser.problem == nil)
    }

    @Test func aStreamThatBreaksOffHasOnlyWholeRows() throws {
        for length in Self.stream.indices {
            var parser = CopyParser()
            Self.stream[..<length].withUnsafeBytes { parser.append($0) }
            #expect(try rows(&parser).count <= 2)
            #expect(parser.problem == nil)
        }
    }

    @Test func whatIsNoBinaryCopyIsSaid() {
        let streams: [[UInt8]] = [
            Array("1\t2\n".utf8),
            CopyFormat.signature + [0, 1, 0, 0] + [0, 0, 0, 0],  // with row identifiers
            Self.header + [0xff, 0xfe],
            Self.header + [0, 1, 0xff, 0xff, 0xff, 0xfe],
        ]
        for stream in streams {
            var parser = CopyParser()
            stream.withUnsafeBytes { parser.append($0) }
            #expect(parser.problem != nil)
            #expect(parser.isEmpty)
        }
    }

    @Test func anExtensionOfTheHeaderIsSkipped() throws {
        var parser = CopyParser()
        let stream = CopyFormat.signature + [0, 0, 0, 0] + [0, 0, 0, 3, 9, 9, 9] + Self.twoRows + Self.end
        stream.withUnsafeBytes { parser.append($0) }
        expectBoth(try rows(&parser))
    }

    @Test func rowsAreWrittenWithCountAndLengths() throws {
        var row = PostgresCopyRow(capacity: 16)
        row.begin(columns: 2)
        row.append(7 as Int32)
        try row.append(.null)
        row.begin(columns: 2)
        row.append(-1 as Int32)
        try row.append(.text("ab"))
        #expect(row.bytes.bytes == Self.header + Self.twoRows)
        row.begin(columns: 9)
        row.append(true)
        row.append(nil as Double?)
        row.append(1 as Double)
        row.append(1.5 as Float)
        row.append(-2 as Int16)
        row.append(3 as Int64)
        try row.append(Timestamp(microseconds: 946_684_800_000_001))
        row.append(UUID(uuidString: "00112233-4455-6677-8899-AABBCCDDEEFF"))
        row.appendNull()
        #expect(row.fields == 9)
        #expect(
            Array(row.bytes.bytes.dropFirst((Self.header + Self.twoRows).count)) == [
                0, 9, 0, 0, 0, 1, 1, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 8, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4,
                0x3f, 0xc0, 0, 0, 0, 0, 0, 2, 0xff, 0xfe, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 8, 0, 0, 0, 0,
                0, 0, 0, 1, 0, 0, 0, 16, 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc,
                0xdd, 0xee, 0xff, 0xff, 0xff, 0xff, 0xff,
            ])
        row.drop()
        #expect(row.bytes.bytes == Self.header + Self.twoRows)
    }

    @Test func memoryThatALargeValueNeededIsGivenBack() {
        var writer = BinaryWriter(capacity: 16)
        for number in 0..<1000 { writer.append(Int64(number)) }
        #expect(writer.bytes.suffix(8) == [0, 0, 0, 0, 0, 0, 3, 231])
        writer.removeAll(keepingAtMost: 64)
        #expect(writer.count == 0)
        writer.append(5 as Int16)
        #expect(writer.bytes == [0, 5])
    }
}
