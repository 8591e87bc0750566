import ALDTestKit
import Foundation
import GRDB
import Testing

@testable import ALDCore

@Suite("Spool: segments, limits and the disk", .timeLimit(.minutes(3))) struct SpoolSegmentsTests {
    private typealias Fixture = SpoolFixture

    @Test("a spool that has no idle moment deletes what was retained for long enough all the same")
    func neverIdle() async throws {
        var configuration = Fixture.tiny
        configuration.retainedWindow = .seconds(10)
        let time = ManualTime()
        var random = SeededGenerator(seed: 1)
        try await withTemporaryDirectory { directory in
            let spool = try Spool(
                directory: directory, configuration: configuration, random: &random,
                turns: .simulated { moment, turn in if moment == .soon { turn() } }, time: time, logger: Fixture.quiet)
            var most = 0
            for index in 0..<200 {
                _ = try await spool.append(Fixture.rows(500, from: Int32(index)), machine: 1)
                spool.acknowledge(try await Fixture.all(spool).map(\.header))
                time.advance(by: .seconds(1))
                most = max(most, try Fixture.files(directory).count)
            }
            #expect(most < 15, "\(most) files")
            try spool.close()
        }
    }

    @Test("segments follow each other by size, and each is deleted when it is confirmed and out of the window")
    func rolling() async throws {
        var configuration = Fixture.tiny
        configuration.retainedWindow = .seconds(3600)
        let time = ManualTime()
        try await Fixture.withSpool(configuration, time: time) { spool, directory in
            for index in 0..<40 { _ = try await spool.append(Fixture.rows(500, from: Int32(index)), machine: 1) }
            let files = try Fixture.files(directory).count
            #expect(files > 5)
            let batches = try await Fixture.all(spool)
            #expect(batches.map(\.header.id.number) == Array(1...40))
            spool.acknowledge(batches[0..<20].map(\.header))
            try await spool.tidyUp()
            #expect(try Fixture.files(directory).count == files)
            time.advance(by: .seconds(3599))
            spool.acknowledge([])
            try await spool.tidyUp()
            #expect(try Fixture.files(directory).count >= files)
            time.advance(by: .seconds(1))
            try await spool.tidyUp()
            #expect(try Fixture.files(directory).count >= files, "the database has not been heard of since")
            spool.acknowledge([])
            try await spool.tidyUp()
            let left = try await spool.retained()
            let waiting = try await Fixture.all(spool)
            #expect(waiting.count == 20 && left.count < 20)
            #expect(Set(left.map(\.position.segment)).isSubset(of: waiting.map(\.position.segment)))
            #expect(try await spool.recount() == spool.contents)
        }
    }

    @Test("a segment that is an hour old is closed")
    func age() async throws {
        let time = ManualTime()
        try await Fixture.withSpool(time: time) { spool, directory in
            let first = try await spool.append(Fixture.rows(1), machine: 1)
            time.advance(by: .seconds(3600))
            let second = try await spool.append(Fixture.rows(1), machine: 1)
            let batches = try await Fixture.all(spool)
            #expect(batches.map(\.header.id) == [first, second])
            #expect(batches[0].position.segment < batches[1].position.segment)
        }
    }

    @Test("at the quota nothing is accepted, nothing is lost, and retained segments give way first")
    func quota() async throws {
        var configuration = Fixture.tiny
        configuration.maximumBytes = 1 << 20
        try await Fixture.withSpool(configuration) { spool, directory in
            var accepted = 0
            func fill() async -> SpoolError? {
                for _ in 0..<500 {
                    do throws(SpoolError) {
                        _ = try await spool.append(Fixture.rows(100, from: Int32(accepted)), machine: 1)
                        accepted += 1
                    } catch { return error }
                }
                return nil
            }
            let refusal = await fill()
            #expect(refusal?.code == .full && "\(refusal.map { "\($0)" } ?? "")".contains("1048576"))
            #expect(accepted > 50 && spool.contents.batches == accepted)
            #expect(try await spool.status().level >= .orange)
            let before = accepted
            // Confirmed, and inside the window: room for new ones all the same.
            spool.acknowledge(try await Fixture.all(spool).prefix(accepted / 2).map(\.header))
            let second = await fill()
            #expect(second?.code == .full && accepted > before + before / 4)
            #expect(spool.contents.batches == accepted - before / 2)
            #expect(try await Fixture.all(spool).count == spool.contents.batches)
        }
    }

    @Test("more than the queue holds is refused and told")
    func overload() async throws {
        var configuration = Fixture.small
        configuration.queueAppends = 2
        try await Fixture.withSpool(configuration) { spool, _ in
            let outcomes = await withTaskGroup(of: SpoolError.Code?.self) { group in
                for _ in 0..<500 {
                    group.addTask {
                        do throws(SpoolError) {
                            _ = try await spool.append(Fixture.rows(1), machine: 1)
                            return nil
                        } catch { return error.code }
                    }
                }
                return await group.reduce(into: [SpoolError.Code?]()) { $0.append($1) }
            }
            #expect(outcomes.allSatisfy { $0 == nil || $0 == .overloaded })
            #expect(spool.contents.batches == outcomes.count { $0 == nil })
        }
    }

    @Test("a deleted file is noticed at the start and its batches are named")
    func missingFile() async throws {
        try await withTemporaryDirectory { directory in
            var spool = try Fixture.open(directory, seed: 1, Fixture.tiny)
            for index in 0..<20 { _ = try await spool.append(Fixture.rows(500, from: Int32(index)), machine: 1) }
            let victim = try #require(try await Fixture.all(spool).first { $0.header.id.number == 10 }).position.segment
            let inside = try await Fixture.all(spool).filter { $0.position.segment == victim }.map(\.header.id.number)
            let origin = spool.origin
            try spool.close()
            try FileManager.default.removeItem(atPath: "\(directory)/segment-\(victim)-0.sqlite")
            spool = try Fixture.open(directory, seed: 2, Fixture.tiny)
            let losses = try await spool.losses()
            #expect(losses.count == 1 && losses[0].reason.contains("missing"))
            #expect(losses[0].batches == [BatchRange(origin: origin, first: inside[0], last: inside[inside.count - 1])])
            let left = try await Fixture.all(spool).map(\.header.id.number)
            #expect(Set(left).union(inside) == Set(1...20) && left.count + inside.count == 20)
            try spool.close()
            // The alarm stays, and is not raised again.
            spool = try Fixture.open(directory, seed: 3, Fixture.tiny)
            #expect(try await spool.losses().count == 1)
            try spool.close()
        }
    }

    @Test("a file that is deleted while it is written costs nothing: everything moves to another one")
    func deletedWhileWritten() async throws {
        try await withTemporaryDirectory { directory in
            var spool = try Fixture.open(directory, seed: 1)
            for index in 0..<5 { _ = try await spool.append(Fixture.rows(3, from: Int32(index)), machine: 1) }
            for name in try FileManager.default.contentsOfDirectory(atPath: directory)
            where name.hasPrefix("segment-1-") {
                try FileManager.default.removeItem(atPath: directory + "/" + name)
            }
            for index in 5..<10 { _ = try await spool.append(Fixture.rows(3, from: Int32(index)), machine: 1) }
            #expect(spool.contents.batches == 10)
            try spool.close()
            spool = try Fixture.open(directory, seed: 2)
            #expect(try await Fixture.all(spool).map(\.header.id.number).sorted() == Array(1...10))
            #expect(try await spool.losses().isEmpty)
            try spool.close()
        }
    }

    @Test("two copies of a spool never give one name to different data")
    func cloned() async throws {
        try await withTemporaryDirectory { directory in
            let (one, two) = (directory + "/one", directory + "/two")
            try FileManager.default.createDirectory(atPath: one, withIntermediateDirectories: false)
            var spool = try Fixture.open(one, seed: 1)
            _ = try await spool.append(Fixture.rows(1), machine: 1)
            try spool.close()
            try FileManager.default.copyItem(atPath: one, toPath: two)
            var digests: [BatchID: [UInt8]] = [:]
            for (place, seed) in [(one, UInt64(2)), (two, 3)] {
                spool = try Fixture.open(place, seed: seed)
                _ = try await spool.append(Fixture.rows(Int(seed)), machine: 1)
                for batch in try await Fixture.all(spool) {
                    #expect(digests[batch.header.id] ?? batch.header.digest == batch.header.digest)
                    digests[batch.header.id] = batch.header.digest
                }
                try spool.close()
            }
            #expect(digests.count == 3)
        }
    }

    @Test("another process reads the status beside the locked files")
    func status() async throws {
        try await Fixture.withSpool { spool, directory in
            _ = try await spool.append(Fixture.rows(3), machine: 1)
            let status = try await spool.status()
            #expect(status.waitingRecords == 3 && status.waitingBatches == 1 && status.level == .green)
            #expect(status.oldestAcceptedAt != nil && status.segments >= 1 && status.availableBytes > 0)
            try spool.close()
            let written = try SpoolStatus.read(directory: directory)
            #expect(written.waitingRecords == 3 && written.isClosed && written.origin == status.origin)
        }
    }

    @Test("segments that could never hold anything are refused, with what one takes that is empty")
    func tooSmall() async throws {
        for spareBytes in [0, 1, 5000, 65_536, 1 << 20] {
            var configuration = SpoolFixture.small
            configuration.spareBytes = spareBytes
            configuration.segmentBytes = configuration.emptySegmentBytes
            do {
                try configuration.validate()
                Issue.record("accepted")
            } catch {
                #expect("\(error)".contains("segmentBytes") && "\(error)".contains("an empty segment takes"))
            }
            configuration.segmentBytes += 1
            try configuration.validate()
            try await withTemporaryDirectory { directory in
                let segment = try SpoolSegment(index: 1, path: directory + "/segment-1-0.sqlite")
                if spareBytes > 0 { try segment.reserve(bytes: spareBytes) }
                #expect(segment.size <= configuration.emptySegmentBytes, "\(spareBytes)")
                #expect(segment.size * 2 > configuration.emptySegmentBytes, "\(spareBytes)")
                try segment.close()
            }
        }
    }
}
