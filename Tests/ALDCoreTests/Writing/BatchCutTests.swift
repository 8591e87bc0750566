import Testing

@testable import ALDCore

@Suite("How a batch is cut") struct BatchCutTests {
    private static let ways: [(BatchCut.Way, String)] = [
        (.halves, "halves"), (.deadLetter, "letter"), (.again, "again"), (.around(0), "around 0"),
        (.around(17), "around 17"), (.apart([]), "apart "), (.apart([9, 2, -4]), "apart -4 2 9"),
    ]

    @Test("the ledger keeps it as words, and anything else is of a version that is not known")
    func words() {
        for (way, text) in Self.ways {
            #expect(way.text == text)
            #expect(BatchCut.Way(text: text) == way)
        }
        for text in ["", "thirds", "halves 2", "around", "around -1", "around x", "apart x", "letter 3"] {
            #expect(BatchCut.Way(text: text) == nil, "\(text)")
        }
    }

    @Test("whoever follows a cut has the same parts, letter included, and every record is in one of them")
    func parts() {
        guard case .history(let rows) = SpoolFixture.rows(7) else { return }
        let records = Records.history(rows)
        let letter = DeadLetter(
            records[3..<4], batch: BatchID(origin: 1, number: 2), row: 3, refusedAt: Timestamp(microseconds: 5),
            attempts: 2, evidence: FaultEvidence(message: "no"))
        func parts(_ way: BatchCut.Way, _ letter: DeadLetter? = nil) -> [Records] {
            records.parts(of: BatchCut(way: way, first: BatchID(origin: -1, number: 1), letter: letter))
        }
        #expect(parts(.halves) == [records[0..<3], records[3..<7]])
        #expect(parts(.around(3), letter) == [records[0..<3], .deadLetters([letter]), records[4..<7]])
        #expect(parts(.around(0), letter) == [.deadLetters([letter]), records[1..<7]])
        #expect(parts(.around(7), letter) == [records] && parts(.deadLetter, letter) == [records])
        #expect(parts(.around(3)) == [records], "nobody knows why: it is tried once more")
        let strangers = Set([rows[1].parameter.rawValue])
        #expect(parts(.apart(strangers)).map(\.count) == [6, 1])
        for (way, _) in Self.ways { #expect(parts(way, letter).reduce(0) { $0 + $1.count } == 7) }
    }
}
