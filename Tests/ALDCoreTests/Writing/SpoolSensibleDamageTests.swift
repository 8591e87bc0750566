import ALDTestKit
import Foundation
import GRDB
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

    private func execute(_ sql: String, _ path: String) async throws {
        let file = try DatabaseQueue(path: path)
        try await file.write { try $0.execute(sql: sql) }
        try file.close()
    }

    @Test(
        "a batch of which anything was changed on disk is named as lost, and none is invented",
        arguments: [
            "origin = origin + 1", "number = number + 1", "machine = machine + 1", "format = 5", "records = 7",
            "first_time = first_time - 1", "last_time = last_time + 1", "accepted_at = accepted_at + 1",
            "parent_origin = 1, parent_number = 1", "sha256 = zeroblob(32)", "checksum = checksum + 1",
            "payload = zeroblob(22)",
        ])
    func changedBatch(_ change: String) async throws {
        try await withTemporaryDirectory { directory in
            var spool = try Fixture.open(directory, seed: 1)
            for index in 0..<3 { _ = try await spool.append(Fixture.rows(1, from: Int32(index)), machine: 1) }
            let origin = spool.origin
            try spool.close()
            try await execute("UPDATE batch SET \(change) WHERE row = 2", directory + "/segment-1-0.sqlite")
            let lost = [BatchRange(origin: origin, first: 2, last: 2)]
            for seed in UInt64(2)...3 {
                spool = try Fixture.open(directory, seed: seed)
                #expect(try await Fixture.all(spool).map(\.header.id.number) == [1, 3])
                #expect(try await spool.losses().map(\.batches) == [lost])
                try spool.close()
            }
        }
    }

    @Test("what is lost at the end of a file leaves its place to nobody, and is told once")
    func lostLast() async throws {
        try await withTemporaryDirectory { directory in
            var spool = try Fixture.open(directory, seed: 1)
            for index in 0..<3 { _ = try await spool.append(Fixture.rows(1, from: Int32(index)), machine: 1) }
            let origin = spool.origin
            try spool.close()
            try await execute("UPDATE batch SET number = 9 WHERE row = 3", directory + "/segment-1-0.sqlite")
            spool = try Fixture.open(directory, seed: 2)
            let new = try await spool.append(Fixture.rows(1, from: 7), machine: 1)
            try spool.close()
            // Another one goes, so that the file is replaced once more.
            try await execute("UPDATE batch SET number = 9 WHERE row = 1", directory + "/segment-1-1.sqlite")
            spool = try Fixture.open(directory, seed: 3)
            #expect(try await Fixture.all(spool).map(\.header.id) == [BatchID(origin: origin, number: 2), new])
            let lost = try await spool.losses().flatMap(\.batches)
            #expect(lost == [3, 1].map { BatchRange(origin: origin, first: $0, last: $0) })
            try spool.close()
        }
    }

    @Test("batches to which no page leads any more are found where they lie")
    func carved() async throws {
        try await withTemporaryDirectory { directory in
            var spool = try Fixture.open(directory, seed: 1)
            for index in 0..<50 { _ = try await spool.append(Fixture.rows(20, from: Int32(index)), machine: 1) }
            let batches = try await Fixture.all(spool)
            spool.acknowledge(batches.prefix(10).map(\.header))
            try spool.close()
            let path = directory + "/segment-1-0.sqlite"
            var content = try read(path)
            // The page that leads to the leaves of the table.
            let inner = stride(from: Self.page, to: content.count, by: Self.page).filter { content[$0] == 0x05 }
            try #require(inner.count == 1)
            content.replaceSubrange(inner[0]..<inner[0] + Self.page, with: Data(repeating: 0xA5, count: Self.page))
            try content.write(to: URL(fileURLWithPath: path))
            spool = try Fixture.open(directory, seed: 2)
            #expect(try await Fixture.all(spool).map(\.header) == batches.dropFirst(10).map(\.header))
            #expect(try await spool.losses().isEmpty)
            try spool.close()
        }
    }

    @Test("what was confirmed and not noted yet when a file had to be replaced is noted in the new one")
    func confirmedBeforeRepair() async throws {
        try await withTemporaryDirectory { directory in
            var configuration = Fixture.small
            configuration.segmentBytes = 2 << 20
            var random = SeededGenerator(seed: 1)
            // No idle moments, in which confirmations are noted.
            let turns = SpoolTurns.simulated { moment, turn in if moment == .soon { turn() } }
            var spool = try Spool(
                directory: directory, configuration: configuration, random: &random, turns: turns, time: SystemTime(),
                logger: Fixture.quiet)
            for index in 0..<100 { _ = try await spool.append(Fixture.rows(700, from: Int32(index)), machine: 1) }
            let first = try await spool.waiting(in: .fresh, limits: Spool.Limits(batches: 5))
            spool.acknowledge(first.map(\.header))
            let file = try #require(FileHandle(forUpdatingAtPath: directory + "/segment-1-0.sqlite"))
            try file.seek(toOffset: try file.seekToEnd() / 2)
            try file.write(contentsOf: Data(repeating: 0xA5, count: 3000))
            try file.close()
            let waiting = try await Fixture.all(spool).map(\.header)
            #expect(try await spool.losses().count == 1 && waiting.count > 90 && waiting.count < 95)
            try spool.close()
            spool = try Fixture.open(directory, seed: 2)
            #expect(try await Fixture.all(spool).map(\.header) == waiting)
            try spool.close()
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
            let revision = try #require(text.range(of: #""revision":1"#))
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
            { $0.recorded = [SpoolManifest.Recorded(machine: 1, until: 0, segment: -1)] },
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
