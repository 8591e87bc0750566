import ALDTestKit
import Foundation
import Testing

@testable import ALDCore

extension PostgresServerTests {
    /// Every type in both directions: what the server understood of our bytes is compared as text with what it makes of
    /// the same value written as text, and what it sends back with what was sent.
    @Suite(.serialized) struct Types {
        /// Sends the values as an array and their texts as another; the server must see the same in both.
        private func check<Scalar: PostgresScalar & Equatable>(
            _ values: [Scalar?], _ type: String, on connection: PostgresConnection, _ text: (Scalar) -> String
        ) async throws {
            let texts: [String?] = values.map { $0.map(text) }
            let row = try #require(
                try await connection.query(
                    """
                    SELECT $1 AS back, ($1)::text = ($2::\(type)[])::text AS agree,
                        (SELECT array_agg(s.t::\(type) ORDER BY s.n) FROM unnest($2) WITH ORDINALITY s(t, n)) AS parsed
                    """, [.array(try PostgresArray(values)), .array(try PostgresArray(texts))], deadline: .patience
                ).first)
            #expect(try row.decode("agree", as: Bool.self), "\(type)")
            #expect(try row.decode("back", as: [Scalar?].self) == values)
            #expect(try row.decode("parsed", as: [Scalar?].self) == values)
            let whole = values.compactMap(\.self)
            let single = try await connection.pipeline(
                whole.map { PostgresStatement("SELECT $1 AS v", [$0.postgresValue]) }, deadline: .patience)
            #expect(try single.map { try #require($0.first).decode("v", as: Scalar.self) } == whole)
        }

        private func random<Number: FixedWidthInteger>(_ extremes: [Number]) -> [Number?] {
            var random = SeededGenerator(seed: TestSeed.draw())
            return extremes + [nil]
                + (0..<200).map { _ in
                    Number(truncatingIfNeeded: random.next()) >> Int.random(in: 0..<Number.bitWidth, using: &random)
                }
        }

        @Test func integersAndBooleans() async throws {
            let connection = try await PostgresTestServer.connect()
            try await check(random([Int16.min, .max, 0, -1]), "int2", on: connection) { "\($0)" }
            try await check(random([Int32.min, .max, 0, -1]), "int4", on: connection) { "\($0)" }
            try await check(random([Int64.min, .max, 0, -1]), "int8", on: connection) { "\($0)" }
            try await check([true, nil, false], "bool", on: connection) { "\($0)" }
            await connection.close()
        }

        @Test func floats() async throws {
            let connection = try await PostgresTestServer.connect()
            let doubles = random([UInt64.min, .max]).map { $0.map(Double.init(bitPattern:)) }.filter {
                $0?.isNaN != true
            }
            let extremes: [Double?] = [
                0, -0.0, 0.1, .infinity, -.infinity, .leastNonzeroMagnitude, .greatestFiniteMagnitude, .pi, nil,
            ]
            try await check(extremes + doubles, "float8", on: connection) {
                $0.isInfinite ? ($0 > 0 ? "inf" : "-inf") : "\($0)"
            }
            let floats = random([UInt32.min, .max]).map { $0.map(Float.init(bitPattern:)) }.filter { $0?.isNaN != true }
            try await check(
                [0, -0.0, 0.1, .infinity, .leastNonzeroMagnitude, .greatestFiniteMagnitude] + floats, "float4",
                on: connection
            ) { $0.isInfinite ? ($0 > 0 ? "inf" : "-inf") : "\($0)" }
            let row = try await connection.query(
                "SELECT $1::text, $2::text, $1, $2", [.float8(.nan), .float4(.nan)], deadline: .patience)
            #expect(try row[0].decode(0, as: String.self) == "NaN" && row[0].decode(1, as: String.self) == "NaN")
            #expect(try row[0].decode(2, as: Double.self).isNaN && row[0].decode(3, as: Float.self).isNaN)
            await connection.close()
        }

        @Test func numerics() async throws {
            let connection = try await PostgresTestServer.connect()
            var random = SeededGenerator(seed: TestSeed.draw())
            var texts = [
                "0", "0.00", "NaN", "Infinity", "-Infinity", "1", "-1", "0.1", "9999", "10000", "99999999.9999",
                "1e-16383",
                "123456789012345678901234567890.123456789012345678901234567890", "0.00000000000000000001", "-0.5000",
                String(repeating: "9", count: 131_072), "1" + String(repeating: "0", count: 131_071),
                "0." + String(repeating: "1", count: 16_383),
            ]
            for _ in 0..<300 {
                let digits = (0..<Int.random(in: 1...40, using: &random)).map { _ in
                    String(UInt8.random(in: 0...9, using: &random) / (Bool.random(using: &random) ? 9 : 1))
                }
                let point = Int.random(in: 0...digits.count, using: &random)
                texts.append(
                    (Bool.random(using: &random) ? "-" : "") + "0" + digits[..<point].joined() + "."
                        + digits[point...].joined())
            }
            let values: [PostgresNumeric?] = texts.map { PostgresNumeric($0) } + [nil]
            #expect(values.count { $0 == nil } == 1)
            try await check(values, "numeric", on: connection) { $0.description }
            // Our text is the server's, digit for digit.
            let shown = try await connection.query(
                "SELECT t::numeric::text FROM unnest($1) WITH ORDINALITY s(t, n) ORDER BY n", [.textArray(texts)],
                deadline: .patience)
            #expect(try shown.map { try $0.decode(0, as: String.self) } == values.compactMap { $0?.description })
            let integer = try await connection.query("SELECT 5::int2, 1.5::numeric", deadline: .patience)
            #expect(try integer[0].decode(0, as: PostgresNumeric.self) == 5)
            #expect(throws: PostgresError.self) { try integer[0].decode(1, as: Double.self) }
            await connection.close()
        }

        @Test func textsAndBytes() async throws {
            let connection = try await PostgresTestServer.connect()
            let texts: [String?] = [
                "", "ä€🙂", "{\"quoted\", null}", "NULL", nil, "back\\slash", String(repeating: "x", count: 70_000),
            ]
            try await check(texts, "text", on: connection) { $0 }
            let bytes: [[UInt8]?] = [[], [0], [0xff, 0x00, 0x5c], nil, (0...255).map { UInt8($0) }]
            try await check(bytes, "bytea", on: connection) { bytes in
                "\\x" + bytes.map { byte in String(byte >> 4, radix: 16) + String(byte & 15, radix: 16) }.joined()
            }
            let error = try await failure {
                _ = try await connection.query("SELECT $1", [.text("a\u{0}b")], deadline: .patience)
            }
            #expect(error.sqlState?.rawValue == "22021")
            await connection.close()
        }

        @Test func identifiersAndMomentsAndJSON() async throws {
            let connection = try await PostgresTestServer.connect()
            try await connection.execute(script: "SET TimeZone = 'UTC'", deadline: .patience)
            let zero = UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
            try await check([zero, UUID(), nil, UUID()], "uuid", on: connection) { $0.uuidString }
            // From 4714 BC to the year 294246, the last one that 64 bits of microseconds since 1970 hold.
            let moments: [Timestamp?] = [
                Timestamp(microseconds: 0), Timestamp(microseconds: -1), Timestamp(microseconds: 1_700_000_000_123_456),
                nil, Timestamp(microseconds: 253_402_300_799_999_999), Timestamp(microseconds: 951_782_400_000_000),
            ]
            try await check(moments, "timestamptz", on: connection) { $0.description }
            let limits = try await connection.query(
                "SELECT '4714-11-24 00:00:00 BC'::timestamptz, '294246-12-31 23:59:59.999999'::timestamptz, 'infinity'::timestamptz",
                deadline: .patience)
            for column in 0..<2 {
                let moment = try limits[0].decode(column, as: Timestamp.self)
                let back = try await connection.query(
                    "SELECT $1::timestamptz", [.timestamptz(moment)], deadline: .patience)
                #expect(try back[0].decode(0, as: Timestamp.self) == moment)
            }
            #expect(throws: PostgresError.self) { try limits[0].decode(2, as: Timestamp.self) }
            let json: [PostgresJSON?] =
                ["null", "1.50", #"{"a": [1, "ä", {"b": null}]}"#, #""""#, "[]"].map(PostgresJSON.init) + [nil]
            try await check(json, "jsonb", on: connection) { $0.text }
            await connection.close()
        }

        @Test func emptyNullAndForeignArrays() async throws {
            let connection = try await PostgresTestServer.connect()
            let row = try #require(
                try await connection.query(
                    """
                    SELECT '{}'::float4[] AS empty, NULL::float4[] AS missing, '{{1,2},{3,4}}'::int4[] AS matrix,
                        '[5:6]={1,2}'::int4[] AS shifted, $1 AS sent, ARRAY[1.5] AS numerics
                    """, [.array(try PostgresArray([] as [Float]))], deadline: .patience
                ).first)
            #expect(try row.decode("empty", as: [Float].self) == [])
            #expect(try row.decode("sent", as: [Float?].self) == [])
            #expect(try row.decode("missing", as: [Float]?.self) == nil)
            #expect(throws: PostgresError.self) { try row.decode("missing", as: [Float].self) }
            #expect(try row.decode("shifted", as: [Int32].self) == [1, 2])
            #expect(throws: PostgresError.self) { try row.decode("numerics", as: [Double].self) }
            let error = #expect(throws: PostgresError.self) { try row.decode("matrix", as: [Int32].self) }
            #expect(error?.message.contains("2 dimensions") == true)
            await connection.close()
        }
    }
}
