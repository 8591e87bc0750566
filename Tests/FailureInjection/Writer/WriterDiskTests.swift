import ALDCore
import ALDTestKit
import Foundation
import XCTest

/// The directory of the spool fills up, is copied, loses files under the running process, and civil time jumps.
final class WriterDiskTests: SharedServerTestCase {
    /// A small file system of its own, gone afterwards.
    private func withSmallDisk(bytes: Int, _ body: (String) async throws -> Void) async throws {
        #if os(Linux)
            try XCTSkipUnless(geteuid() == 0, "mounting a small disk needs root: run as root")
            try await withTemporaryDirectory { directory in
                let mounted = try await ChildProcess.run(
                    "/usr/bin/env", ["mount", "-t", "tmpfs", "-o", "size=\(bytes)", "tmpfs", directory])
                guard mounted.exitCode == 0 else {
                    throw XCTSkip("this system mounts no tmpfs: \(mounted.transcript); use one that lets root mount")
                }
                try await withCleanup {
                    try await body(directory)
                } cleanup: {
                    // At once, even when somebody still has a file in it open.
                    _ = try await ChildProcess.run("/usr/bin/env", ["umount", "-l", directory])
                }
            }
        #else
            throw XCTSkip("small disks are mounted on Linux only: run there")
        #endif
    }

    func test_diskFullDuringAnOutage_refusesAndGoesOnWhenTheDatabaseIsBack() async throws {
        let database = try await Self.database()
        try await withSmallDisk(bytes: 6 << 20) { disk in
            try await withTemporaryDirectory { directory in
                try await FaultProxy.run(to: directory + "/nobody") { proxy in
                    let options = WriterRig.Options(
                        directory: disk, database: try ProxiedDatabase.through(proxy, database))
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
        try await withSmallDisk(bytes: 6 << 20) { disk in
            let spool = disk + "/spool"
            try FileManager.default.createDirectory(atPath: spool, withIntermediateDirectories: false)
            let options = WriterRig.Options(directory: spool, database: database)
            try await WriterRig.run(options, promises: Promises()) { rig in
                for _ in 0..<3 {
                    try await rig.append(100, kind: .history)
                    let filler = disk + "/filler"
                    // As much as there is.
                    _ = try await ChildProcess.run("/usr/bin/env", ["dd", "if=/dev/zero", "of=\(filler)", "bs=4096"])
                    let refusal = try await Self.fill(rig)
                    XCTAssertEqual(refusal, .full)
                    try await rig.drain()
                    try FileManager.default.removeItem(atPath: filler)
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

    func test_fileOfTheSpoolDeletedUnderTheRunningProcess_whatItHeldLands() async throws {
        let database = try await Self.database()
        try await withTemporaryDirectory { directory in
            try await FaultProxy.run(to: directory + "/nobody") { proxy in
                let spool = directory + "/spool"
                try FileManager.default.createDirectory(atPath: spool, withIntermediateDirectories: false)
                let options = WriterRig.Options(
                    directory: spool, database: try ProxiedDatabase.through(proxy, database))
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
