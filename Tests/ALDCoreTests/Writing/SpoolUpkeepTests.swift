import ALDTestKit
import Foundation
import Synchronization
import Testing

@testable import ALDCore

@Suite("Spool: upkeep", .timeLimit(.minutes(3))) struct SpoolUpkeepTests {
    private typealias Fixture = SpoolFixture

    private func manifest(_ directory: String) throws -> SpoolManifest {
        try SpoolManifest(stored: Data(contentsOf: URL(fileURLWithPath: directory + "/manifest.json")))
    }

    /// Accepts, confirms all but the last batch, and lets the window pass.
    private func settle(_ spool: Spool, batches: Int, _ time: ManualTime, window: Duration) async throws {
        for index in 0..<batches { _ = try await spool.append(Fixture.rows(500, from: Int32(index)), machine: 1) }
        spool.acknowledge(try await Fixture.all(spool).dropLast().map(\.header))
        try await spool.tidyUp()
        time.advance(by: window)
        spool.acknowledge([])
    }

    @Test("a file goes only when the manifest names it no more: whatever happens in between is no alarm")
    func releaseOrder() async throws {
        try await withTemporaryDirectory { directory in
            var configuration = Fixture.tiny
            configuration.retainedWindow = .seconds(100)
            let seen = Mutex<[(named: Bool, there: Bool)]>([])
            configuration.failPoints = FailPoints { point in
                guard point == .releaseNoted else { return }
                let isThere = SpoolFiles.identity(of: directory + "/segment-1-0.sqlite") != nil
                do {
                    let content = try Data(contentsOf: URL(fileURLWithPath: directory + "/manifest.json"))
                    let isNamed = try SpoolManifest(stored: content)[1] != nil
                    seen.withLock { $0.append((isNamed, isThere)) }
                } catch { Issue.record(error) }
            }
            let time = ManualTime()
            let spool = try Fixture.open(directory, configuration, time: time)
            try await settle(spool, batches: 20, time, window: .seconds(100))
            try await spool.tidyUp()
            let all = seen.withLock { $0 }
            let first = try #require(all.first)
            #expect(!first.named && first.there)
            try spool.close()
        }
    }

    @Test("a file that went while the manifest could not be written is forgotten as soon as it can be")
    func releaseNotedLater() async throws {
        try await withTemporaryDirectory { directory in
            let obstacle = directory + "/manifest.json.new"
            var configuration = Fixture.tiny
            configuration.retainedWindow = .seconds(100)
            configuration.failPoints = FailPoints { point in
                // As if the file that goes had made the room that was missing.
                if point == .releaseDone { rmdir(obstacle) }
            }
            let time = ManualTime()
            let spool = try Fixture.open(directory, configuration, time: time)
            try await settle(spool, batches: 20, time, window: .seconds(100))
            try FileManager.default.createDirectory(atPath: obstacle, withIntermediateDirectories: false)
            try await spool.tidyUp()
            #expect(SpoolFiles.identity(of: directory + "/segment-1-0.sqlite") == nil)
            #expect(try manifest(directory)[1] == nil)
            try spool.close()
        }
    }

    @Test("confirmed batches take no more than they may, inside the window too")
    func retainedBytes() async throws {
        var configuration = Fixture.tiny
        configuration.retainedBytes = 150_000
        let time = ManualTime()
        try await Fixture.withSpool(configuration, time: time) { spool, directory in
            try await settle(spool, batches: 40, time, window: .zero)
            try await spool.tidyUp()
            // That with the batch that waits, one in reserve, and one or two of the others.
            #expect((2...5).contains(try Fixture.files(directory).count))
            #expect(try await Fixture.all(spool).count == 1)
        }
    }

    @Test("the window goes on over a restart")
    func windowOverRestart() async throws {
        try await withTemporaryDirectory { directory in
            var configuration = Fixture.tiny
            configuration.retainedWindow = .seconds(3600)
            let time = ManualTime()
            var spool = try Fixture.open(directory, configuration, time: time)
            try await settle(spool, batches: 20, time, window: .seconds(3000))
            try spool.close()
            spool = try Fixture.open(directory, seed: 2, configuration, time: time)
            time.advance(by: .seconds(600))
            try await spool.tidyUp()
            #expect(try await spool.retained().count == 19, "nobody knows yet whether the database still has them")
            spool.acknowledge([], comparedAt: nil)
            try await spool.tidyUp()
            #expect(try await spool.retained().count == 19)
            spool.acknowledge([])
            try await spool.tidyUp()
            let waiting = try #require(try await Fixture.all(spool).first).position.segment
            #expect(try await spool.retained().allSatisfy { $0.position.segment == waiting })
            try spool.close()
        }
    }

    @Test("at the quota the only file gives way when all of it has landed")
    func onlyFile() async throws {
        var configuration = Fixture.small
        (configuration.maximumBytes, configuration.segmentBytes) = (1 << 20, 1 << 20)
        try await Fixture.withSpool(configuration) { spool, directory in
            for round in 0..<3 {
                var refusal: SpoolError?
                var accepted = 0
                while refusal == nil, accepted < 500 {
                    do throws(SpoolError) {
                        _ = try await spool.append(Fixture.rows(500, from: Int32(accepted)), machine: 1)
                        accepted += 1
                    } catch { refusal = error }
                }
                #expect(refusal?.code == .full && accepted > 20, "round \(round): \(accepted)")
                spool.acknowledge(try await Fixture.all(spool).map(\.header))
            }
        }
    }

    @Test("nothing is reserved that the quota does not allow")
    func noSpare() async throws {
        for (maximumBytes, files) in [(271_000, 1), (3_000_000, 2)] as [(Int64, Int)] {
            var configuration = Fixture.small
            configuration.spareBytes = 65_536
            (configuration.maximumBytes, configuration.segmentBytes) = (maximumBytes, 270_000)
            try await Fixture.withSpool(configuration) { spool, directory in
                _ = try await spool.append(Fixture.rows(1), machine: 1)
                try await spool.tidyUp()
                #expect(try Fixture.files(directory).count == files)
            }
        }
    }

    @Test("what was confirmed is in the files when so much is, and when nobody waits", arguments: [false, true])
    func confirmationsAreSaved(inIdleMoment: Bool) async throws {
        try await withTemporaryDirectory { parent in
            let (live, copy) = (parent + "/live", parent + "/copy")
            try FileManager.default.createDirectory(atPath: live, withIntermediateDirectories: false)
            var configuration = Fixture.small
            configuration.unsavedAcknowledgements = 3
            var random = SeededGenerator(seed: 1)
            // Idle moments come only when they are asked for.
            let turns = SpoolTurns.simulated { moment, turn in if moment == .soon { turn() } }
            let spool = try Spool(
                directory: live, configuration: configuration, random: &random, turns: turns, time: SystemTime(),
                logger: Fixture.quiet)
            for index in 0..<5 { _ = try await spool.append(Fixture.rows(1, from: Int32(index)), machine: 1) }
            let batches = try await Fixture.all(spool)
            spool.acknowledge(batches.prefix(inIdleMoment ? 1 : 3).map(\.header))
            if inIdleMoment { try await spool.tidyUp() } else { _ = try await spool.status() }
            try FileManager.default.copyItem(atPath: live, toPath: copy)
            try spool.close()
            let again = try Fixture.open(copy, seed: 2)
            #expect(again.account.carriedOver == (inIdleMoment ? 4 : 2))
            try again.close()
        }
    }

    @Test("an original that was replaced is set aside when the process has died before it could be")
    func superseded() async throws {
        try await withTemporaryDirectory { directory in
            var spool = try Fixture.open(directory, seed: 1)
            for index in 0..<3 { _ = try await spool.append(Fixture.rows(1, from: Int32(index)), machine: 1) }
            let batches = try await Fixture.all(spool)
            try spool.close()
            let (old, new) = (directory + "/segment-1-0.sqlite", directory + "/segment-1-1.sqlite")
            try FileManager.default.copyItem(atPath: old, toPath: new)
            var changed = try manifest(directory)
            changed[1]?.revision = 1
            try changed.stored().write(to: URL(fileURLWithPath: directory + "/manifest.json"))
            spool = try Fixture.open(directory, seed: 2)
            #expect(try await Fixture.all(spool) == batches)
            #expect(!FileManager.default.fileExists(atPath: old))
            #expect(FileManager.default.fileExists(atPath: directory + "/damaged/segment-1-0.sqlite.0"))
            try spool.close()
        }
    }
}
