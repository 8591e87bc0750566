import ALDCore
import ALDTestKit
import Foundation
import Logging
import Synchronization
import Testing

@Suite("Log file") struct LogFileTests {
    private let time = ManualTime()

    private func policy(bytes: Int64 = 1000, files: Int = 1000, space: Int64 = 1_000_000) -> LogRotation.Policy {
        var policy = LogRotation.Policy()
        (policy.maximumBytes, policy.keptFiles, policy.keptBytes) = (bytes, files, space)
        return policy
    }

    /// Has `body` write into a file, and waits until everything that was put away is compressed.
    private func writing(
        _ path: String, _ policy: LogRotation.Policy, _ body: (LogFile) throws -> Void
    ) throws {
        let file = try LogFile(path, policy: policy, time: time) { Issue.record("\($0)") }
        defer { file.close() }
        try body(file)
        #expect(file.finishArchives(within: .seconds(60)))
    }

    private func lines(_ path: String) throws -> [String] {
        var lines: [String] = []
        try LogHistory.forEachLine(of: path) { line, _ in lines.append(line) }
        return lines
    }

    private func names(in directory: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: directory).sorted()
    }

    @Test("every line of many threads is in exactly one of many files, whole and in the order of its thread")
    func exactlyOnce() async throws {
        try await withTemporaryDirectory { directory in
            let path = directory + "/ald.log"
            let file = try LogFile(path, policy: policy(), time: time) { Issue.record("\($0)") }
            await withTaskGroup(of: Void.self) { group in
                for thread in 0..<4 {
                    group.addTask { for number in 0..<500 { file.append("\(thread) \(number) what was to be said") } }
                }
            }
            #expect(file.finishArchives(within: .seconds(60)))
            #expect(file.statistics.written == 2000 && file.statistics.lost == 0)
            #expect(try LogHistory.archives(of: path).count == file.statistics.rotations)
            #expect(try LogHistory.archives(of: path).allSatisfy(\.isCompressed) && file.statistics.rotations > 40)
            file.close()
            let found = try lines(path)
            for thread in 0..<4 {
                let own = found.filter { $0.hasPrefix("\(thread) ") }
                #expect(own == (0..<500).map { "\(thread) \($0) what was to be said" })
            }
            #expect(found.count == 2000)
        }
    }

    @Test("days pass in a moment: each has a file of its own, compressed, and the oldest go")
    func days() async throws {
        try await withTemporaryDirectory { directory in
            let path = directory + "/ald.log"
            try writing(path, policy(files: 2)) { file in
                for day in 1...5 {
                    file.append("day \(day)")
                    time.advance(by: .seconds(86_400))
                }
            }
            #expect(
                try names(in: directory)
                    == ["ald.log", "ald.log.2026-01-03.000003.gz", "ald.log.2026-01-04.000004.gz"])
            #expect(try lines(path) == ["day 3", "day 4", "day 5"])
        }
    }

    @Test(
        "started again, it goes on where it was: in the same file, with the next number, and compresses what was left")
    func restart() async throws {
        try await withTemporaryDirectory { directory in
            let path = directory + "/log/ald.log"
            try writing(path, policy()) { $0.append("first") }
            // As a process leaves it that died while it compressed.
            try "older\n".write(toFile: path + ".2026-01-01.000007", atomically: true, encoding: .utf8)
            try "half".write(toFile: path + ".2026-01-01.000007.gz.new", atomically: true, encoding: .utf8)
            try writing(path, policy(bytes: 10)) { file in
                file.append("second")
                file.append("third")
            }
            #expect(
                try LogHistory.archives(of: path).map(\.number) == [7, 8, 9]
                    && LogHistory.archives(of: path).allSatisfy(\.isCompressed))
            #expect(try names(in: directory + "/log").count == 4)
            #expect(try lines(path) == ["older", "first", "second", "third"])
        }
    }

    @Test("a file that was compressed and not yet deleted when the process died is there once")
    func halfDone() async throws {
        try await withTemporaryDirectory { directory in
            let path = directory + "/ald.log"
            try writing(path, policy(bytes: 10)) { file in
                file.append("1234567")
                file.append("89")
            }
            let archive = try #require(try LogHistory.archives(of: path).first)
            try "1234567\n".write(
                toFile: directory + "/" + archive.name.dropLast(3), atomically: true, encoding: .utf8)
            #expect(try lines(path) == ["1234567", "89"])
            try writing(path, policy(bytes: 10)) { _ in }
            #expect(try names(in: directory) == ["ald.log", archive.name])
        }
    }

    @Test("a disk that takes nothing is complained of once a minute; later the log itself says what it lacks")
    func fullDisk() async throws {
        try await withTemporaryDirectory { directory in
            let path = directory + "/ald.log"
            // Every write to this device says that there is no space.
            try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: "/dev/full")
            let complaints = Mutex([String]())
            let file = try LogFile(path, policy: policy(), time: time) { words in
                complaints.withLock { $0.append(words) }
            }
            for number in 0..<10 { file.append("\(number)") }
            #expect(complaints.withLock(\.count) == 1 && file.statistics.lost == 10 && file.statistics.written == 0)
            #expect(complaints.withLock(\.self)[0].contains("No space left on device"))
            time.advance(by: .seconds(61))
            file.append("10")
            #expect(complaints.withLock(\.count) == 2)
            file.close()
        }
    }

    @Test("a device is written to and never put away, and two processes may have it")
    func device() async throws {
        try await withTemporaryDirectory { directory in
            // A link, so that nothing happens to the device itself when this fails.
            let path = directory + "/ald.log"
            try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: "/dev/null")
            try writing(path, policy(bytes: 10)) { file in
                try writing(path, policy(bytes: 10)) { $0.append("another") }
                for _ in 0..<5 { file.append("more than ten bytes") }
                time.advance(by: .seconds(86_400))
                file.append("the next day")
                #expect(file.statistics.written == 6 && file.statistics.rotations == 0)
            }
            #expect(try names(in: directory) == ["ald.log"])
            #expect(try FileManager.default.destinationOfSymbolicLink(atPath: path) == "/dev/null")
        }
    }

    @Test("a pipe that nobody reads is refused at once")
    func pipe() async throws {
        try await withTemporaryDirectory { directory in
            #expect(mkfifo(directory + "/ald.log", 0o600) == 0)
            #expect(throws: LogFile.Refusal.self) { try LogFile(directory + "/ald.log", time: time) }
        }
    }

    @Test("what somebody has moved away is left to him, and what he has put in its place is gone on with")
    func takenAway() async throws {
        try await withTemporaryDirectory { directory in
            let path = directory + "/ald.log"
            try writing(path, policy(bytes: 20)) { file in
                file.append("one")
                try FileManager.default.moveItem(atPath: path, toPath: directory + "/his")
                file.append("two")
                try FileManager.default.removeItem(atPath: path)
                try "a line of his\n".write(toFile: path, atomically: true, encoding: .utf8)
                file.append("three")
                file.append("four")
                #expect(file.statistics.written == 4 && file.statistics.rotations == 1)
            }
            #expect(try String(contentsOfFile: directory + "/his", encoding: .utf8) == "one\n")
            #expect(try lines(path) == ["a line of his", "three", "four"])
        }
    }

    @Test("half a line that a killed process has left does not become part of the next one")
    func tornEnd() async throws {
        try await withTemporaryDirectory { directory in
            let path = directory + "/ald.log"
            try "whole\nhal".write(toFile: path, atomically: true, encoding: .utf8)
            try writing(path, policy()) { $0.append("next") }
            try writing(path, policy()) { $0.append("last") }
            #expect(try lines(path) == ["whole", "hal", "next", "last"])
        }
    }

    @Test("a link to a file stays one, and what was put away lies beside the file; who may read it stays as it was")
    func linkAndMode() async throws {
        try await withTemporaryDirectory { directory in
            let (link, path) = (directory + "/ald.log", directory + "/data/real.log")
            try FileManager.default.createDirectory(atPath: directory + "/data", withIntermediateDirectories: true)
            #expect(FileManager.default.createFile(atPath: path, contents: nil, attributes: [.posixPermissions: 0o600]))
            try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: path)
            try writing(link, policy(bytes: 10)) { file in
                file.append("first")
                file.append("second")
            }
            #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == path)
            #expect(try names(in: directory) == ["ald.log", "data"])
            let files = try names(in: directory + "/data")
            #expect(files == ["real.log", "real.log.2026-01-01.000001.gz"])
            for name in files {
                let attributes = try FileManager.default.attributesOfItem(atPath: directory + "/data/" + name)
                #expect(attributes[.posixPermissions] as? Int == 0o600, "\(name)")
            }
        }
    }

    @Test("a folder that cannot be written when a file is to be put away costs no line")
    func lockedFolder() async throws {
        // Nothing is forbidden to root; there a folder in the archive's place does it.
        try await withTemporaryDirectory { directory in
            let path = directory + "/ald.log"
            try FileManager.default.createDirectory(
                atPath: path + ".2026-01-01.000001", withIntermediateDirectories: true)
            let complaints = Mutex([String]())
            let file = try LogFile(path, policy: policy(bytes: 10, files: 9), time: time) { words in
                complaints.withLock { $0.append(words) }
            }
            for number in 0..<10 { file.append("line \(number)") }
            file.close()
            #expect(file.statistics.lost == 0 && file.statistics.written == 10)
            #expect(complaints.withLock(\.count) >= 1)
        }
    }

    @Test("two processes never write one file; one that is nobody's any more is taken over")
    func locked() async throws {
        try await withTemporaryDirectory { directory in
            let path = directory + "/ald.log"
            let first = try LogFile(path, time: time)
            let refusal = try #require(throws: LogFile.Refusal.self) { try LogFile(path, time: time) }
            #expect("\(refusal)".contains("another process writes it"))
            first.append("one")
            first.close()
            first.append("never")
            try writing(path, policy()) { $0.append("two") }
            #expect(try lines(path) == ["one", "two"])
        }
    }

    @Test("a record is one line: time, level, message, what belongs to it")
    func handler() async throws {
        try await withTemporaryDirectory { directory in
            let path = directory + "/ald.log"
            try writing(path, policy()) { file in
                var logger = Logger(label: "x") { _ in FileLogHandler(file, time: time) }
                logger[metadataKey: "service"] = "collect"
                logger.warning("two\nlines\r\nor three", metadata: ["attempt": "2"])
                logger.debug("not this")
            }
            let words = #"two\nlines\r\nor three attempt=2 service=collect"#
            #expect(try lines(path) == ["2026-01-01T00:00:00.000000Z warning " + words])
        }
    }
}
