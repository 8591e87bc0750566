import ALDTestKit
import Foundation
import GRDB
import Testing

@testable import ALDCore

/// The limit is against hanging: what runs in the background gets what the others leave of the processors.
@Suite("Spool: damage on disk", .timeLimit(.minutes(30))) struct SpoolDamageTests {
    private typealias Fixture = SpoolFixture

    /// A directory with batches of many sizes, some of them confirmed, and what was accepted.
    private struct Original {
        var directory: String
        var digests: [BatchID: [UInt8]]
        var confirmed: Set<BatchID>
    }

    /// - Parameter crashed: as a process leaves it that was killed, with a log.
    private func makeOriginal(in parent: String, crashed: Bool) async throws -> Original {
        let (live, copy) = (parent + "/live", parent + "/original")
        try FileManager.default.createDirectory(atPath: live, withIntermediateDirectories: false)
        var configuration = Fixture.small
        configuration.segmentBytes = 262_144
        let spool = try Fixture.open(live, seed: 1, configuration)
        for index in 0..<60 {
            let count = [1, 40, 180, 700][index % 4]
            _ = try await spool.append(Fixture.rows(count, from: Int32(index)), machine: 1)
        }
        let batches = try await Fixture.all(spool)
        let confirmed = batches.filter { $0.header.id.number % 3 == 0 }.map(\.header)
        spool.acknowledge(confirmed)
        try await spool.tidyUp()
        if crashed { try FileManager.default.copyItem(atPath: live, toPath: copy) }
        try spool.close()
        if !crashed { try FileManager.default.moveItem(atPath: live, toPath: copy) }
        return Original(
            directory: copy,
            digests: Dictionary(uniqueKeysWithValues: batches.map { ($0.header.id, $0.header.digest) }),
            confirmed: Set(confirmed.map(\.id)))
    }

    /// Every batch is found as it was accepted, or named as lost; none is invented, doubled or forgotten.
    private func check(
        _ directory: String, _ original: Original, _ story: String, unprovable: BatchID? = nil
    ) async throws {
        let spool = try Fixture.open(directory, seed: 2)
        let waiting = try await Fixture.all(spool)
        let retained = try await spool.retained()
        let losses = try await spool.losses()
        let lost = Set(
            losses.flatMap(\.batches).flatMap { range in
                (range.first...range.last).map { BatchID(origin: range.origin, number: $0) }
            })
        #expect(Set(waiting.map(\.header.id)).count == waiting.count, "\(story): doubled")
        for header in waiting.map(\.header) + retained {
            #expect(original.digests[header.id] == header.digest, "\(story): \(header.id) was changed or invented")
        }
        for batch in waiting { #expect(batch.isWhatWasAccepted, "\(story): \(batch.header.id) has other records") }
        let found = Set(waiting.map(\.header.id)).union(retained.map(\.id))
        let unknown = losses.contains { $0.batches.isEmpty }
        for id in original.digests.keys where !found.contains(id) && id != unprovable {
            #expect(lost.contains(id) || unknown, "\(story): \(id) is gone and nobody says so; \(losses)")
        }
        // A confirmation may be lost, never invented.
        for header in retained { #expect(original.confirmed.contains(header.id), "\(story): confirmed by itself") }
        #expect(spool.account.isBalanced, "\(story)")
        #expect(try await spool.recount() == spool.contents, "\(story)")
        // Life goes on.
        _ = try await spool.append(Fixture.rows(1), machine: 1)
        try spool.close()
    }

    /// Story: the page that says what has become of the batches is damaged in the file that was written last. It can be
    /// asked for again, the batches cannot.
    @Test("damage to what is known of deliveries costs no batch")
    func damagedProgress() async throws {
        try await inBackground {
            try await withTemporaryDirectory { parent in
                let original = try await makeOriginal(in: parent, crashed: false)
                let copy = parent + "/copy"
                // The end of the third page, as the tables are made in this order and SQLite fills a page from its end.
                for offset in 12_200..<12_286 {
                    try FileManager.default.copyItem(atPath: original.directory, toPath: copy)
                    let path = copy + "/segment-5-0.sqlite"
                    var content = try #require(FileManager.default.contents(atPath: path))
                    for index in offset..<offset + 2 { content[index] = 0xFF }
                    try content.write(to: URL(fileURLWithPath: path))
                    let spool = try Fixture.open(copy, seed: 2)
                    let found = try await Fixture.all(spool).map(\.header) + spool.retained()
                    #expect(Set(found.map(\.id)) == Set(original.digests.keys), "at \(offset)")
                    #expect(try await spool.losses() == [], "at \(offset)")
                    try spool.close()
                    try FileManager.default.removeItem(atPath: copy)
                }
            }
        }
    }

    @Test(
        "bytes that change anywhere in a file cost at most what they hit, and that is named", arguments: [false, true])
    func randomBytes(crashed: Bool) async throws {
        try await inBackground {
            try await withTemporaryDirectory { parent in
                let original = try await makeOriginal(in: parent, crashed: crashed)
                var random = SeededGenerator(seed: TestSeed.draw())
                let copy = parent + "/copy"
                let names = try FileManager.default.contentsOfDirectory(atPath: original.directory).filter {
                    $0.hasPrefix("segment-") && (crashed ? true : $0.hasSuffix(".sqlite"))
                }.sorted()
                for round in 0..<Gate.rounds(110, nominal: 2000) {
                    try FileManager.default.copyItem(atPath: original.directory, toPath: copy)
                    let name = names.randomElement(using: &random) ?? names[0]
                    let path = copy + "/" + name
                    guard var content = FileManager.default.contents(atPath: path), !content.isEmpty else {
                        try FileManager.default.removeItem(atPath: copy)
                        continue
                    }
                    let offset = Int.random(in: 0..<content.count, using: &random)
                    let length = min(content.count - offset, [1, 8, 100, 5000].randomElement(using: &random) ?? 1)
                    for index in offset..<offset + length {
                        content[index] ^= UInt8.random(in: 1...255, using: &random)
                    }
                    try content.write(to: URL(fileURLWithPath: path))
                    // Damage that takes all pages of the very last commit from the log leaves no trace of it.
                    let frames = [offset, offset + length - 1].map { ($0 - 32) / 4120 }
                    let isUnprovable = name.hasSuffix("-wal") && frames[0] != frames[1]
                    let last = original.digests.keys.max { $0.number < $1.number }
                    try await check(
                        copy, original, "round \(round), \(name) at \(offset), \(length) bytes",
                        unprovable: isUnprovable ? last : nil)
                    try FileManager.default.removeItem(atPath: copy)
                }
            }
        }
    }

    @Test("a name in the schema that has rotted costs nothing", arguments: SchemaName.all)
    private func rottenSchema(name: SchemaName) async throws {
        try await withTemporaryDirectory { parent in
            let original = try await makeOriginal(in: parent, crashed: false)
            let path = original.directory + "/segment-1-0.sqlite"
            var content = try #require(FileManager.default.contents(atPath: path))
            // The schema lies on the first page.
            let place = try #require(content.range(of: Data(name.text.utf8), in: 0..<4096))
            content[place.lowerBound + name.changed] ^= 1
            try content.write(to: URL(fileURLWithPath: path))
            try await check(original.directory, original, "\(name)")
            if name.isOfColumn {
                let spool = try Fixture.open(original.directory, seed: 3)
                #expect(try await spool.losses() == [])
                try spool.close()
            }
        }
    }

    /// A piece of the schema, one letter of which changes.
    private struct SchemaName: CustomTestStringConvertible {
        var text: String
        /// The letter.
        var changed: Int
        var isOfColumn = true
        var testDescription: String { text }

        static let all =
            [
                "row", "origin", "number", "machine", "format", "records", "first_time", "last_time", "accepted_at",
                "parent_origin", "parent_number", "sha256", "checksum", "payload", "state", "at", "attempts", "rows",
            ].map { SchemaName(text: " \($0) ", changed: $0.count) }
            + ["TABLE batch", "TABLE progress", "TABLE extent"].map {
                SchemaName(text: $0, changed: 7, isOfColumn: false)
            }
    }

    @Test("a batch that is damaged under a running spool is named, and those around it are read")
    func whileRunning() async throws {
        try await withTemporaryDirectory { directory in
            var configuration = Fixture.small
            configuration.segmentBytes = 2 << 20
            let spool = try Fixture.open(directory, configuration)
            for index in 0..<200 { _ = try await spool.append(Fixture.rows(700, from: Int32(index)), machine: 1) }
            let path = directory + "/segment-1-0.sqlite"
            let file = try #require(FileHandle(forUpdatingAtPath: path))
            let size = try file.seekToEnd()
            try file.seek(toOffset: size / 2)
            try file.write(contentsOf: Data(repeating: 0xA5, count: 3000))
            try file.close()
            let waiting = try await Fixture.all(spool)
            let losses = try await spool.losses()
            let lost = losses.flatMap(\.batches).reduce(0) { $0 + Int($1.last - $1.first + 1) }
            #expect(lost >= 1 && lost <= 2 && waiting.count + lost == 200, "\(losses)")
            #expect(spool.account.lost == 700 * lost && spool.account.isBalanced)
            #expect(
                try FileManager.default.contentsOfDirectory(atPath: directory + "/damaged").contains {
                    $0.hasPrefix("segment-1-0.sqlite")
                })
            // What is kept for people takes space as everything else does.
            try await spool.tidyUp()
            let bytes = { (folder: String) in
                try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasPrefix("segment-") }
                    .reduce(0) { try $0 + Data(contentsOf: URL(fileURLWithPath: folder + "/" + $1)).count }
            }
            let (kept, evidence) = (try bytes(directory), try bytes(directory + "/damaged"))
            #expect(try await spool.status().usedBytes == Int64(kept + evidence) && evidence > 0)
            try spool.close()
        }
    }

    @Test(
        "a note of what has landed that was changed on disk settles nothing: its batch is sent again",
        arguments: ["state = 2", "row = 4", "at = at + 1", "attempts = attempts + 1", "checksum = checksum + 1"])
    func progressChanged(_ change: String) async throws {
        try await withTemporaryDirectory { directory in
            let spool = try Fixture.open(directory, seed: 1)
            for index in 0..<4 { _ = try await spool.append(Fixture.rows(1, from: Int32(index)), machine: 1) }
            spool.acknowledge(try await Fixture.all(spool).prefix(3).map(\.header))
            try await spool.tidyUp()
            try spool.close()
            let file = try DatabaseQueue(path: directory + "/segment-1-0.sqlite")
            try await file.write { try $0.execute(sql: "UPDATE progress SET \(change) WHERE row = 1") }
            try file.close()
            let again = try Fixture.open(directory, seed: 2)
            #expect(try await Fixture.all(again).map(\.header.id.number) == [1, 4])
            #expect(try await again.losses().isEmpty && again.account.carriedOver == 2)
            try again.close()
        }
    }

    @Test(
        "a file of confirmed batches that rots while it is retained is replaced, and keeps nobody from asking for others"
    )
    func retained() async throws {
        var configuration = Fixture.small
        configuration.segmentBytes = 131_072
        try await Fixture.withSpool(configuration) { spool, directory in
            for index in 0..<80 { _ = try await spool.append(Fixture.rows(700, from: Int32(index)), machine: 1) }
            let batches = try await Fixture.all(spool)
            spool.acknowledge(batches.map(\.header))
            try await spool.tidyUp()
            let expected = batches.map(\.header).filter { $0.position.segment > 1 }
            #expect(expected.count > 40, "the first of many files rots")
            let path = try #require(Fixture.files(directory).first)
            let file = try #require(FileHandle(forUpdatingAtPath: directory + "/" + path))
            let size = try file.seekToEnd()
            try file.seek(toOffset: 4096)
            try file.write(contentsOf: Data(repeating: 0xA5, count: Int(size) - 4096))
            try file.close()
            let found = try await spool.retained()
            #expect(found.filter { $0.position.segment > 1 } == expected)
            #expect(spool.account.isBalanced && spool.account.lost == 0, "all of it had landed")
            // It goes on.
            _ = try await spool.append(Fixture.rows(1), machine: 1)
            #expect(try await spool.retained().count == found.count)
        }
    }

    /// What is on the disk when the sync under the commit of a cut has failed and the process was killed before the file was
    /// replaced: the commit is in the log, or a part of it, and the manifest says that it does not count.
    @Test("a cut that was not accepted leaves the batch whole", arguments: [false, true])
    func unacceptedCut(isCommitted: Bool) async throws {
        try await withTemporaryDirectory { parent in
            let (live, copy) = (parent + "/live", parent + "/copy")
            try FileManager.default.createDirectory(atPath: live, withIntermediateDirectories: false)
            let spool = try Fixture.open(live, seed: 1)
            for first in 0..<3 { _ = try await spool.append(Fixture.rows(40, from: Int32(first)), machine: 1) }
            let before = try await Fixture.all(spool)
            // One that counts, and one that does not.
            _ = try await spool.recut(
                before[0].position, into: [Fixture.rows(20), Fixture.rows(20, from: 21)], machine: 1)
            let accepted = try await Fixture.all(spool)
            _ = try await spool.recut(
                before[1].position, into: [Fixture.rows(20, from: 2), Fixture.rows(20, from: 22)], machine: 1)
            try FileManager.default.copyItem(atPath: live, toPath: copy)
            try spool.close()
            if !isCommitted {
                // The last frame of the log, which closes the commit, has not come as far as the disk.
                let log = copy + "/segment-1-0.sqlite-wal"
                let file = try #require(FileHandle(forUpdatingAtPath: log))
                let size = try file.seekToEnd()
                try file.truncate(atOffset: size - 100)
                try file.close()
            }
            var manifest = try JSONDecoder().decode(
                SpoolManifest.self, from: Data(contentsOf: URL(fileURLWithPath: copy + "/manifest.json")))
            manifest[1]?.isSuspect = true
            manifest[1]?.rows = 5
            try JSONEncoder().encode(manifest).write(to: URL(fileURLWithPath: copy + "/manifest.json"))
            let again = try Fixture.open(copy, seed: 2)
            let (waiting, losses) = (try await Fixture.all(again), try await again.losses())
            #expect(waiting.map(\.header) == accepted.map(\.header))
            #expect(losses == [] && again.account.carriedOver == 120 && again.account.isBalanced)
            _ = try await again.recut(
                before[1].position, into: [Fixture.rows(20, from: 2), Fixture.rows(20, from: 22)], machine: 1)
            #expect(again.account.waiting.records == 120)
            try again.close()
        }
    }

    @Test("what waits in the single file of an earlier version is taken over under its names")
    func legacy() async throws {
        try await withTemporaryDirectory { directory in
            let path = directory + "/spool.sqlite"
            var configuration = Configuration()
            configuration.prepareDatabase { try $0.execute(sql: "PRAGMA journal_mode = WAL") }
            let old = try DatabaseQueue(path: path, configuration: configuration)
            try await old.write { db in
                try db.execute(
                    sql: """
                        CREATE TABLE batch (position INTEGER PRIMARY KEY AUTOINCREMENT, origin INTEGER NOT NULL,
                            number INTEGER NOT NULL, machine INTEGER NOT NULL, format INTEGER NOT NULL,
                            record_count INTEGER NOT NULL, sha256 BLOB NOT NULL, payload BLOB NOT NULL, UNIQUE (origin, number))
                        """)
                for number in 1...1200 {
                    let (format, bytes) = BatchCoding.encode(Fixture.rows(2, from: Int32(number)))
                    let digest = BatchCoding.digest(machine: 3, format: format.rawValue, bytes: bytes)
                    // One of them has rotted.
                    try db.execute(
                        sql:
                            "INSERT INTO batch (origin, number, machine, format, record_count, sha256, payload) VALUES (77, ?, 3, ?, 2, ?, ?)",
                        arguments: [
                            number, format.rawValue, Data(digest),
                            number == 600 ? Data(count: bytes.count) : Data(bytes),
                        ])
                }
            }
            try old.close()
            for seed in UInt64(1)...2 {
                let spool = try Fixture.open(directory, seed: seed)
                let numbers = try await Fixture.all(spool).map(\.header.id)
                #expect(numbers == (1...1200).filter { $0 != 600 }.map { BatchID(origin: 77, number: Int64($0)) })
                #expect(spool.account.carriedOver == 2398 && spool.account.isBalanced)
                #expect(try await spool.losses().flatMap(\.batches) == [BatchRange(origin: 77, first: 600, last: 600)])
                try spool.close()
            }
            #expect(!FileManager.default.fileExists(atPath: path))
        }
    }

    @Test("a file of an earlier version that is no database is kept as evidence, and life goes on")
    func notADatabase() async throws {
        try await withTemporaryDirectory { directory in
            let content = Data("this is a text, and long enough to be read as a header".utf8)
            try content.write(to: URL(fileURLWithPath: directory + "/spool.sqlite"))
            let spool = try Fixture.open(directory)
            #expect(try await spool.losses().count == 1)
            let evidence = try FileManager.default.contentsOfDirectory(atPath: directory + "/damaged")
            #expect(try Data(contentsOf: URL(fileURLWithPath: directory + "/damaged/" + evidence[0])) == content)
            try spool.close()
        }
    }
}

extension StoredBatch {
    /// By a digest of its own making: the product's own check is what is tested.
    fileprivate var isWhatWasAccepted: Bool {
        BatchCoding.digest(machine: header.machine, format: header.format, bytes: payload) == header.digest
    }
}
