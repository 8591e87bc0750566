import ALDTestKit
import Foundation
import GRDB
import Testing

@testable import ALDCore

@Suite("Spool: cuts in files that fail", .timeLimit(.minutes(2))) struct SpoolCutFailureTests {
    private typealias Fixture = SpoolFixture

    private static let halves = [Fixture.rows(20), Fixture.rows(20, from: 21)]

    /// What is in a file whose commit has failed is not known: the cut may be there, or a part of it, or nothing.
    @Test("a cut that the disk refuses leaves the batch whole, in another file, and is possible there")
    func refused() async throws {
        try await withTemporaryDirectory { directory in
            var spool = try Fixture.open(directory, seed: 1)
            for first in [Int32(1), 2, 3] { _ = try await spool.append(Fixture.rows(40, from: first), machine: 1) }
            try spool.close()
            let file = try DatabaseQueue(path: directory + "/segment-1-0.sqlite")
            try await file.write { db in
                // The file takes everything but the note that a batch was cut.
                try db.execute(
                    sql: """
                        CREATE TRIGGER broken BEFORE INSERT ON progress WHEN NEW.state = 2
                        BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END
                        """)
            }
            try file.close()
            spool = try Fixture.open(directory, seed: 2)
            let batches = try await Fixture.all(spool)
            let error = await #expect(throws: SpoolError.self) {
                try await spool.recut(batches[0].position, into: Self.halves, machine: 1)
            }
            #expect(error?.code == .inputOutput)
            #expect(try await Fixture.all(spool) == batches)
            #expect(spool.account.recut == 0 && spool.account.isBalanced)
            #expect(try Fixture.files(directory).contains("segment-1-1.sqlite"), "it is not trusted any more")
            #expect(try !Fixture.files(directory).contains("segment-1-0.sqlite"))
            let parts = try await spool.recut(batches[0].position, into: Self.halves, machine: 1)
            let cut = batches.dropFirst().map(\.header) + parts
            #expect(try await Fixture.all(spool).map(\.header) == cut)
            try spool.close()
            spool = try Fixture.open(directory, seed: 3)
            #expect(try await Fixture.all(spool).map(\.header) == cut)
            #expect(try await spool.losses().isEmpty && spool.account.carriedOver == 120)
            try spool.close()
        }
    }

    /// Nothing that is written to it from now on would count, and the batch would be gone with its parts.
    @Test("nothing is cut in a damaged file until it is replaced, and then it can be")
    func suspect() async throws {
        var configuration = Fixture.small
        configuration.segmentBytes = 2 << 20
        let time = ManualTime()
        try await Fixture.withSpool(configuration, time: time) { spool, directory in
            for index in 0..<200 { _ = try await spool.append(Fixture.rows(700, from: Int32(index)), machine: 1) }
            let first = try #require(try await spool.waiting(in: .fresh, limits: Spool.Limits(batches: 1)).first)
            let file = try #require(FileHandle(forUpdatingAtPath: directory + "/segment-1-0.sqlite"))
            try file.seek(toOffset: try file.seekToEnd() / 2)
            try file.write(contentsOf: Data(repeating: 0xA5, count: 3000))
            try file.close()
            let obstacle = directory + "/segment-1-1.sqlite"
            try FileManager.default.createDirectory(atPath: obstacle, withIntermediateDirectories: false)
            await #expect(throws: SpoolError.self) { _ = try await Fixture.all(spool) }
            let before = spool.account
            let halves = [Fixture.rows(350, from: 0), Fixture.rows(350, from: 350)]
            let error = await #expect(throws: SpoolError.self) {
                try await spool.recut(first.position, into: halves, machine: 1)
            }
            #expect(error?.code == .inputOutput && spool.account == before)
            try FileManager.default.removeItem(atPath: obstacle)
            time.advance(by: SpoolEngine.upkeepPause)
            try await spool.tidyUp()
            #expect(try await Fixture.all(spool).first == first)
            let parts = try await spool.recut(first.position, into: halves, machine: 1)
            let waiting = try await Fixture.all(spool).map(\.header)
            #expect(waiting.contains(parts[0]) && waiting.contains(parts[1]) && !waiting.contains(first.header))
            #expect(spool.account.waiting.records + spool.account.lost == 200 * 700)
            #expect((1...2).contains(spool.account.lost / 700))
        }
    }

    @Test("a row that is not there is damage, wherever it is missing, and is never passed over")
    func missingRow() async throws {
        try await withTemporaryDirectory { directory in
            for missing in Int64(1)...3 {
                let segment = try SpoolSegment(index: missing, path: directory + "/\(missing).sqlite")
                let batches = (Int64(1)...3).map { row in
                    EncodedRecords(Fixture.rows(1, from: Int32(row)), machine: 1).sealed(
                        BatchID(origin: 1, number: row), at: SpoolPosition(segment: missing, row: row),
                        acceptedAt: Timestamp(microseconds: 0), parent: nil)
                }
                try segment.write(batches.filter { $0.position.row != missing }, progress: [])
                var seen: [Int64] = []
                let damage = #expect(throws: SegmentDamage.self) {
                    try segment.forEachBatch(in: 1..<4, like: nil) { batch in
                        seen.append(batch.position.row)
                        return .goOn
                    }
                }
                #expect(damage?.row == missing && seen == Array(1..<missing))
                // Of one kind alone, the others may be of another.
                seen = []
                try segment.forEachBatch(in: 1..<4, like: batches[0].header) { batch in
                    seen.append(batch.position.row)
                    return .goOn
                }
                #expect(seen == [1, 2, 3].filter { $0 != missing })
                try segment.close()
            }
        }
    }
}
