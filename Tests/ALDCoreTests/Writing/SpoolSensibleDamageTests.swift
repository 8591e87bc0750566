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

    @Test("a digit of the manifest that the disk has changed costs nothing of what was accepted")
    func manifestDigits() async throws {
        try await withTemporaryDirectory { parent in
            let (original, copy) = (parent + "/original", parent + "/copy")
            try FileManager.default.createDirectory(atPath: original, withIntermediateDirectories: false)
            var configuration = Fixture.small
            configuration.segmentBytes = 131_072
            let spool = try Fixture.open(original, seed: 1, configuration)
            for index in 0..<30 { _ = try await spool.append(Fixture.rows(500, from: Int32(index)), machine: 1) }
            // What was replaced once has another revision: its digit says which file counts.
            let file = try #require(FileHandle(forUpdatingAtPath: original + "/segment-1-0.sqlite"))
            try file.seek(toOffset: UInt64(12 * Self.page))
            try file.write(contentsOf: Data(repeating: 0xA5, count: 3000))
            try file.close()
            let batches = try await Fixture.all(spool)
            #expect(try await spool.losses().count == 1 && batches.count > 20)
            try spool.close()
            let path = original + "/manifest.json"
            let content = try read(path)
            let text = String(decoding: content, as: UTF8.self)
            let revision = try #require(text.range(of: #""revision" : 1"#))
            let place = text.utf8.distance(from: text.startIndex, to: revision.upperBound) - 1
            var random = SeededGenerator(seed: TestSeed.draw())
            let digits = content.indices.filter { (48...57).contains(content[$0]) }.shuffled(using: &random)
            for offset in [place] + digits.prefix(Gate.rounds(25, nominal: 500)) {
                var damaged = content
                damaged[offset] ^= 1
                try FileManager.default.copyItem(atPath: original, toPath: copy)
                try damaged.write(to: URL(fileURLWithPath: copy + "/manifest.json"))
                let again = try Fixture.open(copy, seed: 2)
                #expect(try await Fixture.all(again) == batches, "\(offset)")
                #expect(again.account.isBalanced)
                try again.close()
                try FileManager.default.removeItem(atPath: copy)
            }
        }
    }

    @Test("numbers in a manifest that no spool has are damage, also where an earlier version has written no checksum")
    func impossibleManifest() throws {
        var manifest = SpoolManifest()
        manifest[1] = SpoolManifest.Segment(index: 1, content: [BatchRange(origin: -5, first: 1, last: 7)], rows: 7)
        #expect(try SpoolManifest(stored: manifest.stored()) == manifest)
        #expect(try SpoolManifest(stored: JSONEncoder().encode(manifest)) == manifest)
        let changes: [(inout SpoolManifest) -> Void] = [
            { $0.nextIndex = .max }, { $0.segments[0].index = .max }, { $0.segments[0].index = -1 },
            { $0.segments[0].revision = -1 }, { $0.segments[0].rows = -1 }, { $0.segments[0].rows = .max },
            { $0.segments[0].content[0].last = .max }, { $0.segments[0].content[0].first = .min },
            { $0.segments[0].content[0].last = 0 }, { $0.released = [BatchRange(origin: 1, first: 1, last: .max)] },
            {
                $0.losses = [
                    SpoolLoss(
                        file: "", reason: "", batches: [BatchRange(origin: 1, first: 0, last: .max)], foundAt: 0)
                ]
            },
        ]
        for (number, change) in changes.enumerated() {
            var damaged = manifest
            change(&damaged)
            let content = try JSONEncoder().encode(damaged)
            #expect(throws: SpoolManifest.Damaged.self, "\(number)") { try SpoolManifest(stored: content) }
        }
    }

    @Test("a damaged file that cannot be replaced yet holds up nothing but what is in it")
    func noRoomForReplacement() async throws {
        var configuration = Fixture.small
        configuration.segmentBytes = 131_072
        let time = ManualTime()
        try await Fixture.withSpool(configuration, time: time) { spool, directory in
            for index in 0..<80 { _ = try await spool.append(Fixture.rows(700, from: Int32(index)), machine: 1) }
            let batches = try await Fixture.all(spool).map(\.header)
            let path = directory + "/segment-1-0.sqlite"
            let file = try #require(FileHandle(forUpdatingAtPath: path))
            let size = try file.seekToEnd()
            try file.seek(toOffset: UInt64(Self.page))
            try file.write(contentsOf: Data(repeating: 0xA5, count: Int(size) - Self.page))
            try file.close()
            let obstacle = directory + "/segment-1-1.sqlite"
            try FileManager.default.createDirectory(atPath: obstacle, withIntermediateDirectories: false)
            var found: [BatchHeader] = []
            let end = await #expect(throws: SpoolError.self) {
                while true {
                    let next = try await spool.waiting(in: .fresh, excluding: Set(found.map(\.position)))
                    if next.isEmpty { return }
                    found += next.map(\.header)
                }
            }
            #expect(end?.code == .corrupted)
            #expect(found == batches.filter { $0.position.segment > 1 } && found.count > 40)
            #expect(try await spool.losses().isEmpty, "nobody knows yet what can be saved")
            try FileManager.default.removeItem(atPath: obstacle)
            time.advance(by: SpoolEngine.upkeepPause)
            try await spool.tidyUp()
            let lost = batches.count - found.count
            #expect(try await spool.losses().count == 1 && spool.account.lost == 700 * lost)
            #expect(try await Fixture.all(spool).map(\.header) == found)
        }
    }
}
