import Foundation
import Synchronization

/// A log in a file of its own that is put away by size and by day, compressed, and deleted when it is old.
///
/// A line is in the hands of the operating system when ``append(_:)`` returns, whole, and in one file only: a process
/// that is killed loses none. A disk that takes nothing costs the lines of that time and nothing else; the first of them
/// and then one a minute is complained of, and the next line that gets through says how many were lost.
public final class LogFile: Sendable {
    /// Why the file could not be opened.
    public struct Refusal: Error, Hashable, Sendable, CustomStringConvertible {
        public var path: String
        public var reason: String

        public var description: String { "log file \(path): \(reason)" }
    }

    public struct Statistics: Hashable, Sendable {
        /// Lines that are in a file.
        public var written = 0
        /// Lines that the disk did not take.
        public var lost = 0
        /// How often the file was put away.
        public var rotations = 0
    }

    private struct State {
        /// -1 while there is no file.
        var descriptor: Int32
        var rotation: LogRotation
        var statistics = Statistics()
        /// Since the last line that was written, and why.
        var missing = 0
        var reason = ""
        var isClosed = false
        var complaints = ReportThrottle<String>()
    }

    /// Tells whoever started this process.
    public static let sayOnStandardError: @Sendable (String) -> Void = { words in
        FileHandle.standardError.write(Data("\(words)\n".utf8))
    }

    public let path: String
    private let folder: LogFolder
    private let policy: LogRotation.Policy
    private let time: any TimeSource
    private let complain: @Sendable (String) -> Void
    private let archiver: LogArchiver
    private let state: Mutex<State>

    /// Opens the file, makes it and its folder where there is none, and goes on at its end.
    ///
    /// - Parameters:
    ///   - time: its civil time says which day it is.
    ///   - complain: told of trouble with the disk; must not write here. Defaults to standard error.
    /// - Throws: ``Refusal`` when it cannot be opened or another process writes it, ``ConfigurationProblems``.
    public init(
        _ path: String, policy: LogRotation.Policy = .init(), time: any TimeSource = SystemTime(),
        complain: @escaping @Sendable (String) -> Void = LogFile.sayOnStandardError
    ) throws {
        try policy.validate()
        (self.path, self.policy, self.time, self.complain) = (path, policy, time, complain)
        folder = LogFolder(of: path)
        archiver = LogArchiver(folder, policy, complain: complain)
        do {
            try FileManager.default.createDirectory(atPath: folder.directory, withIntermediateDirectories: true)
        } catch {
            throw Refusal(path: path, reason: "its folder cannot be made: \(error.localizedDescription)")
        }
        let descriptor: Int32
        do throws(DurableFile.Failure) { descriptor = try Self.open(path) } catch {
            throw Refusal(path: path, reason: error.reason)
        }
        // By whoever opened it, so that it is theirs until they close it, however they end.
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            Foundation.close(descriptor)
            throw Refusal(path: path, reason: "another process writes it; give each a file of its own")
        }
        var status = stat()
        fstat(descriptor, &status)
        let archives: [LogArchive]
        do { archives = try folder.archives() } catch {
            Foundation.close(descriptor)
            throw Refusal(path: path, reason: "its folder cannot be read: \(error.localizedDescription)")
        }
        let modified = Timestamp(microseconds: Int64(status.modified.tv_sec) * 1_000_000)
        state = Mutex(
            State(
                descriptor: descriptor,
                rotation: LogRotation(
                    policy, log: folder.log, bytes: Int64(status.st_size), lastWritten: modified, archives: archives)))
        archiver.ask()
    }

    private static func open(_ path: String) throws(DurableFile.Failure) -> Int32 {
        let descriptor = Foundation.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw DurableFile.Failure(path: path, action: "opening", code: errno) }
        return descriptor
    }

    public var statistics: Statistics { state.withLock(\.statistics) }

    /// Writes one line; ends of lines inside of it become `\n`, so that it stays one.
    public func append(_ line: String) {
        let now = time.wallClock
        let bytes = Self.bytes(line)
        let complaint = state.withLock { state -> String? in
            guard !state.isClosed else { return nil }
            do throws(DurableFile.Failure) {
                makeRoom(for: bytes.count, &state, now)
                if state.descriptor < 0 {
                    state.descriptor = try Self.open(path)
                    flock(state.descriptor, LOCK_EX | LOCK_NB)
                }
                if state.missing > 0 {
                    let words = "\(now) warning \(state.missing) lines of this log were lost: \(state.reason)"
                    try write(Self.bytes(words), &state, now)
                    state.missing = 0
                }
                try write(bytes, &state, now)
                state.statistics.written += 1
                return nil
            } catch {
                state.statistics.lost += 1
                state.missing += 1
                state.reason = error.reason
                return dueComplaint("lines are lost: \(error)", &state)
            }
        }
        if let complaint { complain(complaint) }
    }

    private static func bytes(_ line: String) -> [UInt8] {
        var bytes = Array(line.utf8)
        let isOne = bytes.withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress else { return true }
            return memchr(start, 0x0A, bytes.count) == nil && memchr(start, 0x0D, bytes.count) == nil
        }
        if !isOne { bytes = Array(line.replacing("\n", with: "\\n").replacing("\r", with: "\\r").utf8) }
        bytes.append(0x0A)
        return bytes
    }

    private func dueComplaint(_ words: String, _ state: inout State) -> String? {
        state.complaints.isDue("disk", now: time.now) ? "log file \(words)" : nil
    }

    // MARK: Under the lock

    /// Puts the file away when it is full or its day is over. One that cannot be goes on.
    private func makeRoom(for length: Int, _ state: inout State, _ now: Timestamp) {
        guard case .putAway(let archive) = state.rotation.next(lineOf: length, now: now), state.descriptor >= 0 else {
            return
        }
        guard rename(path, folder.path(archive.name)) == 0 else {
            let failure = DurableFile.Failure(path: path, action: "putting away", code: errno)
            if let words = dueComplaint("goes on beyond its size or day: \(failure)", &state) { complain(words) }
            return
        }
        Foundation.close(state.descriptor)
        state.descriptor = -1
        state.rotation.wasPutAway()
        state.statistics.rotations += 1
        // At once, so that the disk is not filled by what is waiting to be compressed.
        do { try folder.prune(policy) } catch { complain("old files of \(path) are not deleted: \(error)") }
        archiver.ask()
    }

    /// A line is in the file as a whole or not at all.
    private func write(_ bytes: [UInt8], _ state: inout State, _ now: Timestamp) throws(DurableFile.Failure) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Foundation.write(state.descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                let failure = DurableFile.Failure(path: path, action: "writing", code: errno)
                takeBack(bytes.count - rest.count, state.descriptor)
                throw failure
            }
            rest = rest.dropFirst(count)
        }
        state.rotation.wasWritten(bytes.count, now: now)
    }

    /// What was written of a line that did not fit.
    private func takeBack(_ count: Int, _ descriptor: Int32) {
        guard count > 0 else { return }
        let end = lseek(descriptor, 0, SEEK_END)
        if end >= count { ftruncate(descriptor, end - off_t(count)) }
    }

    // MARK: Ending

    /// Waits until everything that was put away is compressed.
    ///
    /// - Returns: whether that was so within `limit`.
    @discardableResult public func finishArchives(within limit: Duration) -> Bool { archiver.finish(within: limit) }

    /// Closes the file; what is logged from now on is forgotten. What is not compressed yet is, by the next process.
    public func close() {
        archiver.stop()
        state.withLock { state in
            state.isClosed = true
            if state.descriptor >= 0 { Foundation.close(state.descriptor) }
            state.descriptor = -1
        }
    }
}

extension stat {
    /// When it was written last.
    fileprivate var modified: timespec {
        #if os(Linux)
            st_mtim
        #else
            st_mtimespec
        #endif
    }
}
