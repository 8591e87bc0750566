import ALDTestKit
import Foundation
import Testing

@testable import ALDCore

@Suite("Spool: damage that makes sense to whoever reads it", .timeLimit(.minutes(5)))
struct SpoolSensibleDamageTests {
    private typealias Fixture = SpoolFixture

    private static let page = SpoolSegment.pageSize

    private func read(_ path: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: path)) }

    /// Everything that was accepted waits once or is named as lost, and life goes on.
    private func check(_ directory: String, _ accepted: [BatchID: [UInt8]], _ story: String) async throws {
        let spool = try Fixture.open(directory, seed: 2)
        let waiting = try await Fixture.all(spool)
        let losses = try await spool.losses()
        let lost = losses.flatMap(\.batches).flatMap { range in
            (range.first...range.last).map { BatchID(origin: range.origin, number: $0) }
        }
        for batch in waiting { #expect(accepted[batch.header.id] == batch.header.digest, "\(story)") }
        #expect(Set(waiting.map(\.header.id)).union(lost) == Set(accepted.keys), "\(story)")
        #expect(waiting.count + lost.count == accepted.count, "\(story): \(losses)")
        #expect(spool.account.isBalanced, "\(story)")
        #expect(try await spool.recount() == spool.contents, "\(story)")
        _ = try await spool.append(Fixture.rows(1), machine: 1)
        try spool.close()
    }

    @Test("a page that the disk has written to the place of another one costs what was there, and no more")
    func misplacedPages() async throws {
        try await withTemporaryDirectory { parent in
            let (original, copy) = (parent + "/original", parent + "/copy")
            try FileManager.default.createDirectory(atPath: original, withIntermediateDirectories: false)
            let spool = try Fixture.open(original, seed: 1)
            for index in 0..<50 { _ = try await spool.append(Fixture.rows(20, from: Int32(index)), machine: 1) }
            let batches = try await Fixture.all(spool)
            try spool.close()
            let accepted = Dictionary(uniqueKeysWithValues: batches.map { ($0.header.id, $0.header.digest) })
            let name = "/segment-1-0.sqlite"
            let content = try read(original + name)
            let leaves = stride(from: Self.page, to: content.count, by: Self.page).filter { content[$0] == 0x0D }
            #expect(leaves.count > 5)
            let neighbours = zip(leaves, leaves.dropFirst()).flatMap { [($0, $1), ($1, $0)] }
            for (from, to) in neighbours {
                var damaged = content
                damaged[to..<to + Self.page] = content[from..<from + Self.page]
                try FileManager.default.copyItem(atPath: original, toPath: copy)
                try damaged.write(to: URL(fileURLWithPath: copy + name))
                try await check(copy, accepted, "the page at \(from) lies at \(to), too")
                try FileManager.default.removeItem(atPath: copy)
            }
        }
    }
}
