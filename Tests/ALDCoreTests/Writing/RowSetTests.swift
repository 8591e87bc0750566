import ALDTestKit
import Testing

@testable import ALDCore

@Suite("Sets of rows") struct RowSetTests {
    @Test("whatever is put in and taken out, it holds what a plain set does, in as few ranges as can be")
    func againstModel() {
        let seed = TestSeed.draw()
        var random = SeededGenerator(seed: seed)
        for _ in 0..<200 {
            var (rows, model) = (RowSet(), Set<Int64>())
            for _ in 0..<60 {
                let first = Int64.random(in: 1...40, using: &random)
                let some = first..<first + Int64.random(in: 0...6, using: &random)
                if Bool.random(using: &random) {
                    rows.insert(some)
                    model.formUnion(some)
                } else {
                    rows.remove(some)
                    model.subtract(some)
                }
                #expect((0...50).allSatisfy { rows.contains($0) == model.contains($0) }, "seed \(seed)")
                #expect(rows.ranges.flatMap { $0 } == model.sorted(), "seed \(seed)")
                let gaps = zip(rows.ranges, rows.ranges.dropFirst()).allSatisfy { $0.upperBound < $1.lowerBound }
                #expect(gaps && rows.ranges.allSatisfy { !$0.isEmpty }, "seed \(seed)")
            }
        }
    }
}
