import ALDTestKit
import Foundation
import Testing

@testable import ALDCore

/// `ald spool status`, as people and monitoring run it.
@Suite("ald spool", .timeLimit(.minutes(2))) struct SpoolCommandTests {
    private static func ald(_ arguments: [String]) async throws -> ChildResult {
        try await ChildProcess.run(try Executables.ald(), ["spool", "status"] + arguments)
    }

    private static func line(_ label: String, _ result: ChildResult) -> String? {
        result.output.first { $0.hasPrefix(label) }.map {
            String($0.dropFirst(12))
        }
    }

    private static func withDataDirectory(_ body: (_ data: String, _ spool: String) async throws -> Void) async throws {
        try await withTemporaryDirectory { directory in
            try FileManager.default.createDirectory(
                atPath: directory + "/spool", withIntermediateDirectories: false)
            try await body(directory, directory + "/spool")
        }
    }

    @Test("while somebody records, what waits is shown, and who owns it")
    func running() async throws {
        try await Self.withDataDirectory { data, directory in
            let spool = try SpoolFixture.open(directory)
            _ = try await spool.append(SpoolFixture.rows(1200), machine: 1)
            _ = try await spool.append(SpoolFixture.rows(1), machine: 1)
            try spool.close()
            let result = try await Self.ald(["--data-directory", data])
            #expect(result.exitCode == 0 && result.errors.isEmpty, "\(result.transcript)")
            #expect(Self.line("waiting", result)?.hasPrefix("1,201 records in 2 batches, 26") == true)
            #expect(Self.line("owner", result) == "process \(getpid()), has closed the spool")
            #expect(Self.line("losses", result) == "none")
            let again = try SpoolFixture.open(directory, seed: 2)
            let open = try await Self.ald([directory, "--json"])
            try again.close()
            let report = try #require(
                try JSONSerialization.jsonObject(with: Data(open.output.joined(separator: "\n").utf8)) as? [String: Any]
            )
            #expect(open.exitCode == 0 && report["waiting_records"] as? Int == 1201)
            #expect(report["is_closed"] as? Bool == false && report["is_owner_alive"] as? Bool == true)
            #expect((report["concerns"] as? [String])?.isEmpty == true)
        }
    }

    @Test("a recorder that was killed is told from one that has closed its spool")
    func ownerGone() async throws {
        try await Self.withDataDirectory { data, directory in
            let killed = try await ChildProcess.run(try Executables.ald(), ["exercise-spool", directory]) { child in
                try await eventually("records are accepted") { child.output.count > 10 }
                child.send(SIGKILL)
            }
            #expect(killed.signal == SIGKILL)
            let result = try await Self.ald(["--data-directory", data])
            #expect(result.exitCode == 1)
            #expect(Self.line("owner", result)?.hasSuffix(", GONE") == true)
            #expect(Self.line("ATTENTION", result)?.contains("is gone and has not closed the spool") == true)
        }
    }

    @Test("an owner that lives and writes no more is told, and so is a lost batch")
    func staleWithLosses() async throws {
        try await Self.withDataDirectory { data, directory in
            let spool = try SpoolFixture.open(directory)
            _ = try await spool.append(SpoolFixture.rows(3), machine: 1)
            var status = try await spool.status()
            try spool.close()
            status.writtenAt -= 3_600_000_000
            status.isClosed = false
            status.losses = [
                SpoolLoss(
                    file: "segment-1-0.sqlite", reason: "the file is missing",
                    batches: [BatchRange(origin: 42, first: 3, last: 5)], foundAt: status.writtenAt)
            ]
            try JSONEncoder().encode(status).write(to: URL(fileURLWithPath: directory + "/status.json"))
            let result = try await Self.ald(["--data-directory", data])
            #expect(result.exitCode == 1)
            #expect(Self.line("ATTENTION", result)?.hasPrefix("the owner has written nothing for 36") == true)
            #expect(Self.line("losses", result) == "segment-1-0.sqlite: the file is missing; lost: batches 2a/3-5")
        }
    }

    @Test("a directory without a spool is no spool that is well")
    func missing() async throws {
        try await withTemporaryDirectory { directory in
            let result = try await Self.ald(["--data-directory", directory])
            #expect(result.exitCode == 69 && result.transcript.contains("no recorder has kept a spool here"))
        }
    }

    @Test("concerns follow from the status, the clock and whether the owner lives", arguments: [true, false])
    func concerns(isAlive: Bool) throws {
        let now = Timestamp(microseconds: 1_000_000_000)
        var status = SpoolStatus(
            origin: "1", level: .green, waitingBatches: 0, waitingRecords: 0, waitingBytes: 0, oldestAcceptedAt: nil,
            segments: 1, retainedSegments: 0, usedBytes: 0, availableBytes: 1, autonomyHours: nil, losses: [],
            writtenAt: now.microseconds, processIdentifier: 77, isClosed: true)
        #expect(status.concerns(now: now, isOwnerAlive: isAlive) == [])
        status.isClosed = false
        #expect(status.concerns(now: now, isOwnerAlive: isAlive) == (isAlive ? [] : [.ownerGone(process: 77)]))
        status.writtenAt -= 10_000_000
        #expect(status.concerns(now: now, isOwnerAlive: isAlive) == (isAlive ? [] : [.ownerGone(process: 77)]))
        status.writtenAt -= 1
        let stale = SpoolStatus.Concern.stale(for: .microseconds(10_000_001))
        #expect(status.concerns(now: now, isOwnerAlive: isAlive) == [isAlive ? stale : .ownerGone(process: 77)])
        // The file is damaged, or was written by something else.
        status.writtenAt = .min
        #expect(status.concerns(now: now, isOwnerAlive: isAlive).count == 1)
        status.isClosed = true
        status.level = .orange
        #expect(status.concerns(now: now, isOwnerAlive: isAlive) == [.filling(.orange)])
    }
}
