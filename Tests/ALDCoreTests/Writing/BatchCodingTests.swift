import ALDTestKit
import Testing

@testable import ALDCore

@Suite("Stored form of a batch", .background) struct BatchCodingTests {
    static let rows = [
        HistoryRow(
            parameter: ParameterID(rawValue: 1), time: Timestamp(microseconds: 0x0102_0304_0506_0708), value: 25.5,
            quality: .good),
        HistoryRow(
            parameter: ParameterID(rawValue: -2), time: Timestamp(microseconds: -1), value: nil, quality: .bad),
    ]

    @Test("history rows have these bytes, for ever")
    func goldenHistory() {
        let (format, bytes) = BatchCoding.encode(.history(Self.rows))
        #expect(format.rawValue == 1)
        #expect(
            bytes == [
                0, 0, 0, 1,  // parameter
                1, 2, 3, 4, 5, 6, 7, 8,  // time
                0, 192,  // quality
                0x40, 0x39, 0x80, 0, 0, 0, 0, 0,  // 25.5
                0xFF, 0xFF, 0xFF, 0xFE,  // parameter
                0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,  // time
                0, 0,  // quality
                0x7F, 0xF8, 0, 0, 0, 0, 0, 0,  // no value
            ])
    }

    @Test("gaps have these bytes, for ever")
    func goldenGaps() {
        let gap = CollectionGap(
            firstMissedAt: Timestamp(microseconds: 1), lastMissedAt: Timestamp(microseconds: 2), instants: 3,
            cause: .plc, detail: "é")
        let (format, bytes) = BatchCoding.encode(.gaps([gap]))
        #expect(format.rawValue == 2)
        #expect(
            bytes == [
                0, 0, 0, 0, 0, 0, 0, 1,  // first
                0, 0, 0, 0, 0, 0, 0, 2,  // last
                0, 0, 0, 3,  // instants
                0, 0, 0, 3, 0x70, 0x6C, 0x63,  // cause
                0, 0, 0, 2, 0xC3, 0xA9,  // detail
            ])
    }

    @Test("dead letters have these bytes, for ever, and come back as they were")
    func goldenDeadLetters() throws {
        var evidence = FaultEvidence(message: "no", sqlState: "23514")
        evidence.constraint = "c"
        let letter = DeadLetter(
            batch: BatchID(origin: 1, number: 2), row: 3, format: 1, payload: [9, 8],
            recordedAt: Timestamp(microseconds: 4), refusedAt: Timestamp(microseconds: 5), attempts: 6,
            evidence: evidence)
        let (format, bytes) = BatchCoding.encode(.deadLetters([letter]))
        #expect(format.rawValue == 3)
        let none: [UInt8] = [0xFF, 0xFF, 0xFF, 0xFF]
        let numbers: [UInt8] = [
            0, 0, 0, 0, 0, 0, 0, 1,  // origin
            0, 0, 0, 0, 0, 0, 0, 2,  // number
            0, 0, 0, 3,  // row
            0, 0, 0, 0, 0, 0, 0, 4,  // recorded
            0, 0, 0, 0, 0, 0, 0, 5,  // refused
            0, 0, 0, 6,  // attempts
            0, 1,  // format
            0, 0, 0, 2, 9, 8,  // payload
            0, 0, 0, 2, 0x6E, 0x6F,  // message
            0, 0, 0, 5, 0x32, 0x33, 0x35, 0x31, 0x34,  // code
        ]
        // detail, hint, context, schema, table, column; then the constraint
        #expect(bytes == numbers + none + none + none + none + none + none + [0, 0, 0, 1, 0x63])
        #expect(try BatchCoding.decode(bytes, format: 3, count: 1) == .deadLetters([letter]))
        for length in 1..<bytes.count {
            #expect(throws: BatchCoding.Corrupted.self) {
                try BatchCoding.decode(Array(bytes.prefix(length)), format: 3, count: 1)
            }
        }
    }

    @Test("process events have these bytes, for ever, and come back as they were")
    func goldenProcessEvents() throws {
        let event = ProcessEvent(
            process: 1, number: 2, time: Timestamp(microseconds: 3), kind: .set, step: 4, iterations: [5, 6], text: "é",
            values: ["b": 1.5, "a": true])
        let (format, bytes) = BatchCoding.encode(.processEvents([event]))
        #expect(format.rawValue == 4)
        #expect(
            bytes == [
                0, 0, 0, 0, 0, 0, 0, 1,  // process
                0, 0, 0, 0, 0, 0, 0, 2,  // number
                0, 0, 0, 0, 0, 0, 0, 3,  // time
                0, 0, 0, 4,  // step
                0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 6,  // iterations
                0, 0, 0, 3, 0x73, 0x65, 0x74,  // kind
                0, 0, 0, 2, 0xC3, 0xA9,  // text
                0, 0, 0, 18,  // values
            ] + Array(#"{"a":true,"b":1.5}"#.utf8))
        let none = ProcessEvent(process: -1, number: 1, time: Timestamp(microseconds: -1), kind: .note)
        let both = BatchCoding.encode(.processEvents([event, none])).bytes
        #expect(try BatchCoding.decode(both, format: 4, count: 2) == .processEvents([event, none]))
        for length in 1..<bytes.count {
            #expect(throws: BatchCoding.Corrupted.self) {
                try BatchCoding.decode(Array(bytes.prefix(length)), format: 4, count: 1)
            }
        }
        var unknown = bytes
        unknown[44] = 0x74
        #expect(throws: BatchCoding.Corrupted.self, "an event of kind tet") {
            try BatchCoding.decode(unknown, format: 4, count: 1)
        }
    }

    @Test("values of an event are the JSON that PostgreSQL takes, whatever they are")
    func eventValues() throws {
        #expect(ProcessEvent.json([:]) == "{}")
        #expect(
            ProcessEvent.json(["n\0": "a\0\"/", "i": 9_007_199_254_740_993, "x": .number(.infinity), "y": -0.1])
                == #"{"i":9007199254740993,"n␀":"a␀\"/","x":"inf","y":-0.1}"#)
        #expect(
            ProcessEvent(process: 1, number: 1, time: Timestamp(microseconds: 1), kind: .note, text: "a\0b").text
                == "a\u{2400}b")
    }

    @Test("what was stored is what comes back, whatever the numbers")
    func roundTrip() throws {
        let seed = TestSeed.draw()
        var random = SeededGenerator(seed: seed)
        for _ in 0..<500 {
            let rows = (0..<Int.random(in: 0...20, using: &random)).map { _ -> HistoryRow in
                let value = Double(bitPattern: random.next())
                return HistoryRow(
                    parameter: ParameterID(rawValue: Int32(truncatingIfNeeded: random.next())),
                    time: Timestamp(microseconds: Int64(bitPattern: random.next())),
                    value: value.isNaN ? nil : value, quality: value.isNaN ? .bad : .uncertain)
            }
            let (format, bytes) = BatchCoding.encode(.history(rows))
            let decoded = try BatchCoding.decode(bytes, format: format.rawValue, count: rows.count)
            #expect(decoded == .history(rows), "seed \(seed)")
        }
    }

    @Test("cut, lengthened or foreign bytes are corruption, not fewer rows")
    func corruption() {
        let (format, bytes) = BatchCoding.encode(.history(Self.rows))
        for length in 0..<bytes.count {
            #expect(throws: BatchCoding.Corrupted.self) {
                try BatchCoding.decode(Array(bytes[..<length]), format: format.rawValue, count: 2)
            }
        }
        #expect(throws: BatchCoding.Corrupted.self) {
            try BatchCoding.decode(bytes + [0], format: format.rawValue, count: 2)
        }
        #expect(throws: BatchCoding.Corrupted.self) { try BatchCoding.decode(bytes, format: 99, count: 2) }
        #expect(throws: BatchCoding.Corrupted.self) {
            // A cause of two billion bytes must not be believed.
            try BatchCoding.decode(
                Array(repeating: 0, count: 20) + [0x7F, 0xFF, 0xFF, 0xFF, 0x70], format: 2, count: 1)
        }
    }

    @Test("the digest depends on machine, kind and every byte")
    func digest() {
        let digests = Set([
            BatchCoding.digest(machine: 1, format: 1, bytes: [1]),
            BatchCoding.digest(machine: 2, format: 1, bytes: [1]),
            BatchCoding.digest(machine: 1, format: 2, bytes: [1]),
            BatchCoding.digest(machine: 1, format: 1, bytes: [2]),
        ])
        #expect(digests.count == 4 && digests.allSatisfy { $0.count == 32 })
    }

    @Test("text that PostgreSQL cannot store is made storable before it is accepted")
    func zeroCharacter() {
        let gap = CollectionGap(
            firstMissedAt: Timestamp(microseconds: 1), lastMissedAt: Timestamp(microseconds: 1), instants: 1,
            cause: .late, detail: "a\0b")
        #expect(gap.detail == "a\u{2400}b")
    }
}
