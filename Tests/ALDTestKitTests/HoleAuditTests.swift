import ALDCore
import Testing

@testable import ALDTestKit

@Suite("Times without readings") struct HoleAuditTests {
    private func at(_ second: Int64) -> Timestamp { Timestamp(microseconds: second * 1_000_000) }

    private func gap(_ first: Int64, _ last: Int64) -> CollectionGap {
        CollectionGap(
            firstMissedAt: at(first), lastMissedAt: at(last), instants: Int32(last - first + 1), cause: .plc,
            detail: "away")
    }

    @Test("A hole that a gap record lies in is explained, and no other one")
    func holes() {
        let instants = [1, 2, 3, 7, 8, 12, 13, 15].map(at)
        func holes(_ gaps: CollectionGap...) -> [ClosedRange<Timestamp>] {
            HoleAudit.unexplained(between: instants.reversed(), gaps, longerThan: .seconds(2))
        }
        #expect(holes() == [at(3)...at(7), at(8)...at(12)])
        #expect(holes(gap(4, 6)) == [at(8)...at(12)])
        #expect(holes(gap(9, 9), gap(4, 4)) == [])
        #expect(holes(gap(1, 3), gap(13, 20)) == [at(3)...at(7), at(8)...at(12)], "beside them is not in them")
    }
}
