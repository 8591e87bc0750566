import ALDCore
import ALDTestKit
import Foundation
import ScenarioCase
import XCTest

/// The directory of the spool fills up, is copied, loses files under the running process, and civil time jumps.
final class WriterDiskTests: SharedServerTestCase {
    func test_diskFullDuringAnOutage_refusesAndGoesOnWhenTheDatabaseIsBack() async throws {
        let database = try await Self.database()
        try await Self.onSmallDisk { disk in
            try await withTemporaryDirectory { directory in
                try await FaultProxy.run(to: directory + "/nobody") { proxy in
                    let options = WriterRig.Options(
                        directory: disk.path, database: ProxiedDatabase.through(proxy, database))
                    try await WriterRig.run(options, promises: Promises()) { rig in
                        for _ in 0..<Gate.rounds(3, nominal: 50) {
                            proxy.retarget(directory + "/nobody")
                            proxy.reset()
                            let refusal = try await Self.fill(rig)
                            XCTAssertEqual(refusal, .full)
                            XCTAssertGreaterThan(rig.writer.statistics.spooled, 0)
                            proxy.retarget(try ProxiedDatabase.socket(of: database))
                            try await rig.drain()
                            try await eventually("records are accepted again") {
                                do {
                                    _ = try await rig.append(100, kind: .history)
                                    return true
                                } catch let error as SpoolError where error.code == .full {
                                    return false
                                }
                            }
                        }
                        try await rig.drain()
                        let audit = try await LandingAudit(of: rig.promises, machine: 1, in: database)
                        XCTAssertEqual(audit.problems, [])
                        XCTAssertEqual(rig.writer.statistics.lost, 0)
                    }
                }
            }
        }
    }

    private static func onSmallDisk(_ body: (SmallDisk) async throws -> Void) async throws {
        try await skippingUnavailable { try await SmallDisk.run(bytes: 6 << 20, body) }
    }

    /// Appends until the spool refuses.
    private static func fill(_ rig: WriterRig) async throws -> SpoolError.Code {
        for _ in 0..<100_000 {
            do throws(SpoolError) {
                try await rig.append(100, kind: .history)
            } catch {
                return error.code
            }
        }
        throw NeverHappened(description: "the disk never filled: \(rig.spool.account)")
    }

    func test_somebodyElseFillsTheDisk_refusesUntilSpaceIsBack() async throws {
        let database = try await Self.database()
        try await Self.onSmallDisk { disk in
            let spool = disk.path + "/spool"
            try FileManager.default.createDirectory(atPath: spool, withIntermediateDirectories: false)
            let options = WriterRig.Options(directory: spool, database: database)
            try await WriterRig.run(options, promises: Promises()) { rig in
                for _ in 0..<3 {
                    try await rig.append(100, kind: .history)
                    try await disk.filled {
                        let refusal = try await Self.fill(rig)
                        XCTAssertEqual(refusal, .full)
                        try await rig.drain()
                    }
                    try await eventually("records are accepted again") {
                        do {
                            _ = try await rig.append(100, kind: .history)
                            return true
                        } catch let error as SpoolError where error.code == .full {
                            return false
                        }
                    }
                }
                try await rig.drain()
                let problems = try await rig.audit().problems
                XCTAssertEqual(problems, [])
            }
        }
    }

    func test_clonedSpool_bothCopiesSendAndNothingIsDoubled() async throws {
        let database = try await Self.database()
        try await withTemporaryDirectory { directory in
            let original = try WriterChain(directory: directory, machine: 1, database: database)
            for round in 0..<Gate.rounds(4, nominal: 50) {
                try await original.die("with a backlog") { $0.count = 40 + round * 30 }
                let place = directory + "/copy-\(round)"
                let clone = try WriterChain(directory: place, machine: 1, database: database)
                try FileManager.default.removeItem(atPath: clone.directory)
                try FileManager.default.copyItem(atPath: original.directory, toPath: clone.directory)
                // Both at once, each with the same backlog.
                async let first: Void = original.drain()
                async let second: Void = clone.drain()
                _ = try await (first, second)
                let audit = try await original.audit()
                XCTAssertEqual(audit.problems, [], "round \(round)")
            }
        }
    }

    /// Batches with bad records are cut, and each copy cuts those that it comes to first.
    func test_clonedSpoolWithBadRecords_bothCopiesCutAndNothingIsDoubled() async throws {
        let database = try await Self.database()
        let promises = Promises()
        try await withTemporaryDirectory { directory in
            for round in 0..<Gate.rounds(4, nominal: 50) {
                let place = directory + "/original-\(round)"
                try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: false)
                var options = WriterRig.Options(directory: place, database: database)
                options.poisonEvery = 50
                options.copiedRows = round.isMultiple(of: 2) ? 20 : PostgresSink.copiedRows
                try await Self.fill(options, promises)
                var copy = options
                copy.directory = directory + "/copy-\(round)"
                try FileManager.default.copyItem(atPath: place, toPath: copy.directory)
                let clone = copy
                let original = options
                async let first: Void = WriterRig.run(original, promises: promises) { try await $0.drain() }
                async let second: Void = WriterRig.run(clone, promises: promises) { try await $0.drain() }
                _ = try await (first, second)
                let audit = try await LandingAudit(of: promises, machine: 1, poisonEvery: 50, in: database)
                XCTAssertEqual(audit.problems, [], "round \(round)")
            }
        }
    }

    /// Whoever has closed a name dies; the copy goes on with what was decided, and so does the next process.
    func test_clonedSpoolWithBadRecords_oneDiesWhileItCuts() async throws {
        let database = try await Self.database()
        try await withTemporaryDirectory { directory in
            let original = try WriterChain(directory: directory, machine: 1, database: database, poisonEvery: 50)
            let points: [FailPoint] = [.voidAfter, .recutAfter, .sendAfter, .acknowledged]
            for (round, point) in points.enumerated() {
                var options = WriterRig.Options(directory: original.directory, database: database)
                options.poisonEvery = 50
                try await Self.fill(options, original.promises)
                let place = directory + "/copy-\(round)"
                let clone = try WriterChain(directory: place, machine: 1, database: database, poisonEvery: 50)
                try FileManager.default.removeItem(atPath: clone.directory)
                try FileManager.default.copyItem(atPath: original.directory, toPath: clone.directory)
                try await original.die("\(point)") {
                    ($0.appends, $0.failPoint, $0.count) = (0, point, point == .acknowledged ? 8 : 2)
                }
                try await clone.drain()
                var audit = try await original.audit()
                XCTAssertEqual(audit.problems, [], "\(point): the copy has brought all")
                try await original.drain()
                audit = try await original.audit()
                XCTAssertEqual(audit.problems, [], "\(point)")
            }
        }
    }

    /// A spool with many small batches, some of them with a bad record, that nobody sends.
    private static func fill(_ options: WriterRig.Options, _ promises: Promises) async throws {
        var configuration = options.spool
        configuration.mergedRecords = 1
        let spool = try Spool(
            directory: options.directory, configuration: configuration, logger: TestDatabase.quiet)
        for _ in 0..<40 {
            let numbers = promises.take(9)
            let records = NumberedRecords.records(
                numbers, NumberedRecords.kind(numbers), poisonEvery: options.poisonEvery)
            _ = try await spool.append(records, machine: options.machine)
            promises.accept(numbers)
        }
        try spool.close()
    }

    func test_fileOfTheSpoolDeletedUnderTheRunningProcess_whatItHeldLands() async throws {
        let database = try await Self.database()
        try await withTemporaryDirectory { directory in
            try await FaultProxy.run(to: directory + "/nobody") { proxy in
                let spool = directory + "/spool"
                try FileManager.default.createDirectory(atPath: spool, withIntermediateDirectories: false)
                let options = WriterRig.Options(
                    directory: spool, database: ProxiedDatabase.through(proxy, database))
                try await WriterRig.run(options, promises: Promises()) { rig in
                    for _ in 0..<3 {
                        for _ in 0..<30 { try await rig.append(20) }
                        let files = try FileManager.default.contentsOfDirectory(atPath: spool)
                        for file in files where file.hasPrefix("segment-") {
                            try FileManager.default.removeItem(atPath: spool + "/" + file)
                        }
                        // The segment in reserve is gone, too: at most one call is told that nothing was stored.
                        var refused = 0
                        for _ in 0..<30 {
                            do throws(SpoolError) {
                                try await rig.append(20)
                            } catch {
                                XCTAssertEqual(error.code, .inputOutput)
                                refused += 1
                            }
                        }
                        XCTAssertLessThanOrEqual(refused, 1)
                    }
                    proxy.retarget(try ProxiedDatabase.socket(of: database))
                    try await rig.drain()
                    let audit = try await LandingAudit(of: rig.promises, machine: 1, in: database)
                    XCTAssertEqual(audit.problems, [])
                    XCTAssertEqual(rig.writer.statistics.lost, 0)
                }
            }
        }
    }

    func test_civilTimeJumps_nothingIsLostOrDoubled() async throws {
        let database = try await Self.database()
        try await withTemporaryDirectory { directory in
            let time = SteppedTime()
            var options = WriterRig.Options(directory: directory, database: database)
            options.time = time
            let promises = Promises()
            let days = [0.04, -0.04, 1, -1, 400, -400, 20_000, -25_000, 0]
            for restarted in [false, true] {
                for day in days {
                    time.step(to: .seconds(day * 86_400))
                    try await WriterRig.run(options, promises: promises) { rig in
                        try await rig.withLoad {
                            try await rig.landMore()
                            time.step(to: .seconds(-day * 86_400))
                            try await rig.landMore()
                        }
                        if restarted { try await rig.drain() }
                    }
                }
            }
            time.step(to: .zero)
            try await WriterRig.run(options, promises: promises) { rig in
                try await rig.drain()
                let problems = try await rig.audit().problems
                XCTAssertEqual(problems, [])
            }
        }
    }
}
