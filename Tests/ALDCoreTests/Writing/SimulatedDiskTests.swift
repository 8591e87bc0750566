import ALDTestKit
import Testing

@testable import ALDCore

/// The disk of a simulated world answers as a file of SQLite does.
@Suite("Simulated disk") struct SimulatedDiskTests {
    private typealias Fixture = SpoolFixture

    /// What one file answers to one question; damage is an answer, too.
    private enum Answer: Equatable {
        case batches([StoredBatch])
        case headers([BatchHeader])
        case progress([SpoolProgress])
        case rows(Int64)
        case damage(Int64)
    }

    private struct Question {
        var rows: Range<Int64>
        var example: BatchHeader?
        var kinds: Set<BatchKind>
        var most: Int
        var restricts: Bool
    }

    private func answers(of file: any SegmentFile, to question: Question) throws -> [Answer] {
        var headers: [BatchHeader] = []
        try file.forEachHeader(from: question.rows.lowerBound) { header in
            headers.append(header)
            return headers.count < question.most
        }
        let row = question.rows.lowerBound
        return [
            try batches(of: file, to: question), .headers(headers), .rows(try file.extent()),
            .progress(try file.progress(of: row...question.rows.upperBound)),
            .headers(try file.header(at: row).map { [$0] } ?? []), .batches(file.salvage(row).map { [$0] } ?? []),
        ]
    }

    private func batches(of file: any SegmentFile, to question: Question) throws -> Answer {
        var found: [StoredBatch] = []
        do {
            try file.forEachBatch(in: question.rows, like: question.example, excluding: question.kinds) { batch in
                found.append(batch)
                if found.count == question.most { return .stop }
                return question.restricts && found.count == 1 ? .restrict(to: batch.header) : .goOn
            }
            return .batches(found)
        } catch let damage as SegmentDamage {
            return .damage(damage.row)
        }
    }

    @Test("whatever is written and asked, the answers are those of SQLite")
    func answersAlike() async throws {
        let disk = SimulatedDisk()
        try await withTemporaryDirectory { directory in
            var random = SeededGenerator(seed: TestSeed.draw())
            let files: [any SegmentFile] = [
                try SpoolSegment(index: 1, path: directory + "/segment-1-0.sqlite"),
                try disk.segment(index: 1, path: directory + "/segment-1-1.sqlite"),
            ]
            var written: [StoredBatch] = []
            for _ in 0..<60 {
                let batches = (0..<Int.random(in: 0...3, using: &random)).map { _ in
                    // Now and then a row is left out, as after a loss.
                    let row = (written.last?.position.row ?? 0) + (Int.random(in: 0..<30, using: &random) == 0 ? 2 : 1)
                    let batch = EncodedRecords(
                        Fixture.rows(Int.random(in: 1...4, using: &random), from: Int32(row)),
                        machine: Int32.random(in: 1...2, using: &random)
                    ).sealed(
                        BatchID(origin: 7, number: row), at: SpoolPosition(segment: 1, row: row),
                        acceptedAt: Timestamp(microseconds: row), parent: nil)
                    written.append(batch)
                    return batch
                }
                let last = written.last?.position.row ?? 0
                let progress = (0..<Int.random(in: 0...2, using: &random)).map { _ in
                    SpoolProgress(
                        row: Int64.random(in: 1...max(1, last), using: &random), settlement: .acknowledged,
                        at: Timestamp(microseconds: last), attempts: Int64.random(in: 0...3, using: &random))
                }
                for file in files { try file.write(batches, progress: progress) }
                let first = Int64.random(in: 1...max(1, last), using: &random)
                let question = Question(
                    rows: first..<Int64.random(in: first...max(first, last + 1), using: &random),
                    example: Bool.random(using: &random) ? written.randomElement(using: &random)?.header : nil,
                    kinds: Set(written.suffix(Int.random(in: 0...1, using: &random)).map(\.header.kind)),
                    most: Int.random(in: 1...20, using: &random), restricts: Bool.random(using: &random))
                #expect(try answers(of: files[0], to: question) == answers(of: files[1], to: question))
            }
            for file in files { try file.close() }
        }
    }

    private func batch(_ row: Int64) -> StoredBatch {
        EncodedRecords(Fixture.rows(1), machine: 1).sealed(
            BatchID(origin: 1, number: row), at: SpoolPosition(segment: 1, row: row),
            acceptedAt: Timestamp(microseconds: 0), parent: nil)
    }

    @Test("a full disk refuses what does not fit, as a whole, and takes it again when something is gone")
    func full() throws {
        let disk = SimulatedDisk()
        let (path, other) = ("/spool/segment-1-0.sqlite", "/spool/segment-2-0.sqlite")
        let (file, _) = (try disk.segment(index: 1, path: path), try disk.segment(index: 2, path: other))
        try file.write([batch(1)], progress: [])
        #expect(disk.shortages == 0 && disk.freeSpace > 1 << 30)
        let progress = SpoolProgress(
            row: 1, settlement: .acknowledged, at: Timestamp(microseconds: 1), attempts: 1)
        disk.capacity = disk.used - 1
        let image = disk.image
        for (batches, progress) in [([batch(2)], []), ([], [progress])] {
            let refusal = try #require(throws: SpoolError.self) { try file.write(batches, progress: progress) }
            #expect(refusal.code == .full)
        }
        #expect(throws: SpoolError.self) { try disk.segment(index: 3, path: "/spool/segment-3-0.sqlite") }
        #expect(try file.extent() == 1 && file.progress().isEmpty && disk.names(in: "/spool").count == 2)
        #expect(disk.shortages == 3 && disk.freeSpace == 0)
        disk.delete(other)
        #expect(disk.shortages == 4)
        try file.write([batch(2)], progress: [progress])
        #expect(try file.extent() == 2 && file.progress() == [progress])
        disk.restore(image)
        #expect(try file.extent() == 1 && disk.used == disk.capacity + 1)
    }

    @Test("a crash leaves what was committed, and what is deleted is gone")
    func crash() throws {
        let disk = SimulatedDisk()
        let (path, small) = ("/spool/segment-1-0.sqlite", "/spool/manifest.json")
        let file = try disk.segment(index: 1, path: path)
        try file.write([batch(1)], progress: [])
        disk.replace(small, by: [1])
        #expect(disk.names(in: "/spool").sorted() == ["manifest.json", "segment-1-0.sqlite"])
        #expect(disk.names(in: "/spoo") == [])
        let image = disk.image
        try file.write([batch(2)], progress: [])
        disk.replace(small, by: [2])
        #expect(throws: SpoolError.self) { try file.write([batch(2)], progress: []) }
        #expect(try file.extent() == 2 && file.size > 0 && disk.contents(of: small) == [2])
        disk.restore(image)
        let again = try disk.segment(index: 1, path: path)
        #expect(try again.extent() == 1 && again.salvage(2) == nil && again.salvage(1) == batch(1))
        #expect(disk.contents(of: small) == [1])
        disk.delete(path)
        disk.delete(small)
        #expect(again.sizeInPlace == nil && again.size == 0 && disk.names(in: "/spool") == [])
        #expect(disk.contents(of: small) == nil)
    }
}
