import ALDTestKit
import Foundation
import Testing

@testable import ALDCore

/// What a power failure leaves of the last commit was perhaps never accepted; what rots before it was. Both are told,
/// and told apart: the one is an alarm.
@Suite("Spool: the last commit in the log", .timeLimit(.minutes(2))) struct SpoolLastCommitTests {
    private typealias Fixture = SpoolFixture

    private static let frame = 24 + SpoolSegment.pageSize

    struct Case: CustomTestStringConvertible {
        var name: String
        /// Commits of which a page is damaged.
        var damaged: [Int] = []
        /// Whether the end of the last commit has not come as far as the disk.
        var isOpen = false
        var lost: [Int64] = []
        var doubtful: [Int64] = []
        var testDescription: String { name }

        static let all = [
            Case(name: "nothing"),
            Case(name: "the last one is damaged", damaged: [5], doubtful: [5]),
            Case(name: "the last one is not whole", isOpen: true, doubtful: [5]),
            Case(name: "the one before it is damaged", damaged: [4], lost: [4]),
            Case(name: "both are damaged", damaged: [4, 5], lost: [4], doubtful: [5]),
            Case(name: "one is damaged, the last is not whole", damaged: [4], isOpen: true, lost: [4], doubtful: [5]),
            Case(name: "one long before is damaged", damaged: [2], lost: [2]),
        ]
    }

    @Test("what may never have been accepted is told apart from what was", arguments: Case.all)
    func toldApart(_ damage: Case) async throws {
        try await withTemporaryDirectory { parent in
            let (live, copy) = (parent + "/live", parent + "/copy")
            try FileManager.default.createDirectory(atPath: live, withIntermediateDirectories: false)
            let spool = try Fixture.open(live, seed: 1)
            // Each of several pages, which no other commit touches.
            for first in Int32(1)...5 { _ = try await spool.append(Fixture.rows(500, from: first), machine: 1) }
            let origin = spool.origin
            let batches = try await Fixture.all(spool).map(\.header)
            try FileManager.default.copyItem(atPath: live, toPath: copy)
            try spool.close()
            try change(copy + "/segment-1-0.sqlite-wal", damage)

            let gone = damage.lost + damage.doubtful
            for seed in UInt64(2)...3 {
                let again = try Fixture.open(copy, seed: seed)
                #expect(try await Fixture.all(again).map(\.header) == batches.filter { !gone.contains($0.id.number) })
                #expect(again.account.carriedOver == 500 * (5 - gone.count) && again.account.isBalanced)
                let losses = try await again.losses()
                func named(_ isCertain: Bool) -> [BatchRange] {
                    losses.filter { $0.isCertain == isCertain }.flatMap(\.batches)
                }
                #expect(named(true) == damage.lost.map { BatchRange(origin: origin, first: $0, last: $0) })
                #expect(named(false) == damage.doubtful.map { BatchRange(origin: origin, first: $0, last: $0) })
                // Only an alarm has evidence.
                #expect(FileManager.default.fileExists(atPath: copy + "/damaged") == !damage.lost.isEmpty)
                try again.close()
            }
        }
    }

    private func change(_ log: String, _ damage: Case) throws {
        var content = try Data(contentsOf: URL(fileURLWithPath: log))
        // A frame that ends a commit has the size of the database in the second word of its header.
        var commits: [[Int]] = [[]]
        for start in stride(from: 32, through: content.count - Self.frame, by: Self.frame) {
            commits[commits.count - 1].append(start)
            if content[start + 4..<start + 8].contains(where: { $0 != 0 }) { commits.append([]) }
        }
        let batches = Array(commits.dropLast().suffix(5))
        try #require(batches.count == 5)
        for commit in damage.damaged {
            // A page of an overflow chain begins with the number of the next one, those of tables with their type.
            let page = try #require(batches[commit - 1].first { content[$0 + 24] == 0 })
            content[page + 24 + 2000] ^= 0xFF
        }
        if damage.isOpen { content.removeLast(100) }
        try content.write(to: URL(fileURLWithPath: log))
    }
}
