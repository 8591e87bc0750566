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
        /// A device, or what reads at the other end of a pipe, is nothing that could be put away.
        var isRegular: Bool
        /// As whoever made the file wants those after it to be.
        var mode: mode_t
        /// It ends in a line without its end, as a process leaves it that was killed while it wrote.
        var endsTorn: Bool
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
    /// The same, without symbolic links: what is put away lies beside the file and not beside a link to it.
    private let place: String
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
        do {
            try FileManager.default.createDirectory(
                atPath: LogFolder(of: path).directory, withIntermediateDirectories: true)
        } catch {
            throw Refusal(path: path, reason: "its folder cannot be made: \(error.localizedDescription)")
        }
        let descriptor: Int32
        do throws(DurableFile.Failure) { descriptor = try Self.open(path, mode: 0o644) } catch {
            let isTaken = error.code == EWOULDBLOCK
            throw Refusal(
                path: path, reason: isTaken ? "another process writes it; give each a file of its own" : error.reason)
        }
        let status = Self.status(of: descriptor)
        place = status.isRegular ? Self.withoutLinks(path) : path
        folder = LogFolder(of: place)
        archiver = LogArchiver(folder, policy, complain: complain)
        do {
            let archives = try folder.archives()
            state = Mutex(
                State(
                    descriptor: descriptor, isRegular: status.isRegular, mode: status.st_mode & 0o777,
                    endsTorn: status.isRegular && Self.endsTorn(place, bytes: status.st_size),
                    rotation: LogRotation(
                        policy, log: folder.log, bytes: Int64(status.st_size), lastWritten: status.modified,
                        archives: archives)))
        } catch {
            FileLock.release(descriptor)
            throw Refusal(path: path, reason: "its folder cannot be read: \(error.localizedDescription)")
        }
        archiver.ask()
    }

    /// Opens it, and locks it for as long as it is open: it is its process's, however that ends.
    private static func open(_ path: String, mode: mode_t) throws(DurableFile.Failure) -> Int32 {
        func failure(_ action: String) -> DurableFile.Failure {
            DurableFile.Failure(path: path, action: action, code: errno)
        }
        // A pipe that nobody reads is refused instead of waited for.
        let descriptor = Foundation.open(path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw failure("opening") }
        guard status(of: descriptor).isRegular else { return descriptor }
        // Some file systems have no locks; there it is up to whoever names the files.
        let isTaken = flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK
        // Whoever had it may have put it away meanwhile.
        if !isTaken, isAt(path, descriptor) { return descriptor }
        FileLock.release(descriptor)
        throw DurableFile.Failure(path: path, action: "locking", code: EWOULDBLOCK)
    }

    private static func status(of descriptor: Int32) -> stat {
        var status = stat()
        fstat(descriptor, &status)
        return status
    }

    /// Whether the open file is the one of this name. Somebody may have moved or deleted it.
    private static func isAt(_ path: String, _ descriptor: Int32) -> Bool {
        var named = stat()
        guard stat(path, &named) == 0 else { return false }
        let open = status(of: descriptor)
        return named.st_ino == open.st_ino && named.st_dev == open.st_dev
    }

    private static func withoutLinks(_ path: String) -> String {
        guard let real = realpath(path, nil) else { return path }
        defer { free(real) }
        return String(cString: real)
    }

    private static func endsTorn(_ path: String, bytes: off_t) -> Bool {
        guard bytes > 0 else { return false }
        let file = Foundation.open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return false }
        defer { Foundation.close(file) }
        var last = UInt8(0)
        return pread(file, &last, 1, bytes - 1) == 1 && last != 0x0A
    }

    public var statistics: Statistics { state.withLock(\.statistics) }

    /// Writes one line; ends of lines inside of it become `\n`, so that it stays one.
    public func append(_ line: String) {
        let now = time.wallClock
        let bytes = Self.bytes(line)
        let complaints = state.withLock { state -> [String] in
            var complaints: [String] = []
            guard !state.isClosed else { return [] }
            do throws(DurableFile.Failure) {
                makeRoom(for: bytes.count, &state, now, &complaints)
                if state.descriptor < 0 { try reopen(&state) }
                if state.missing > 0 {
                    let words = "\(now) warning \(state.missing) lines of this log were lost: \(state.reason)"
                    try write(Self.bytes(words), &state, now)
                    state.missing = 0
                }
                try write(bytes, &state, now)
                state.statistics.written += 1
            } catch {
                state.statistics.lost += 1
                state.missing += 1
                state.reason = error.reason
                addComplaint("lines are lost: \(error)", &state, &complaints)
            }
            return complaints
        }
        // Whoever else logs need not wait until somebody listens.
        for words in complaints { complain(words) }
    }

    private static func bytes(_ line: String) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(line.utf8.count + 1)
        // By bytes: a carriage return and a line feed are one character.
        for byte in line.utf8 {
            switch byte {
            case 0x0A: bytes += [0x5C, 0x6E]
            case 0x0D: bytes += [0x5C, 0x72]
            default: bytes.append(byte)
            }
        }
        bytes.append(0x0A)
        return bytes
    }

    private func addComplaint(_ words: String, _ state: inout State, _ complaints: inout [String]) {
        if state.complaints.isDue("disk", now: time.now) { complaints.append("log file \(words)") }
    }

    // MARK: Under the lock

    /// Puts the file away when it is full or its day is over. One that cannot be goes on; one that somebody has taken away
    /// is left to him.
    private func makeRoom(for length: Int, _ state: inout State, _ now: Timestamp, _ complaints: inout [String]) {
        guard state.isRegular, state.descriptor >= 0 else { return }
        guard Self.isAt(place, state.descriptor) else { return leave(&state) }
        guard case .putAway(let archive) = state.rotation.next(lineOf: length, now: now) else { return }
        guard rename(place, folder.path(archive.name)) == 0 else {
            let failure = DurableFile.Failure(path: path, action: "putting away", code: errno)
            return addComplaint("goes on beyond its size or day: \(failure)", &state, &complaints)
        }
        state.statistics.rotations += 1
        leave(&state)
        archiver.ask()
    }

    private func leave(_ state: inout State) {
        FileLock.release(state.descriptor)
        state.descriptor = -1
        state.rotation.wasPutAway()
    }

    private func reopen(_ state: inout State) throws(DurableFile.Failure) {
        state.descriptor = try Self.open(place, mode: state.mode)
        let status = Self.status(of: state.descriptor)
        state.isRegular = status.isRegular
        state.endsTorn = status.isRegular && Self.endsTorn(place, bytes: status.st_size)
        if status.st_size > 0 {
            // Somebody has put another one in its place.
            state.rotation.found(bytes: Int64(status.st_size), lastWritten: status.modified)
        } else if status.isRegular {
            // The mask of this process may take away what was given by hand.
            fchmod(state.descriptor, state.mode)
        }
    }

    /// A line is in the file as a whole or not at all.
    private func write(_ line: [UInt8], _ state: inout State, _ now: Timestamp) throws(DurableFile.Failure) {
        let bytes = state.endsTorn ? [0x0A] + line : line
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Foundation.write(state.descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                let failure = DurableFile.Failure(path: path, action: "writing", code: errno)
                if rest.count < bytes.count {
                    state.endsTorn = !Self.takeBack(bytes.count - rest.count, state.descriptor) || state.endsTorn
                }
                throw failure
            }
            rest = rest.dropFirst(count)
        }
        state.endsTorn = false
        state.rotation.wasWritten(bytes.count, now: now)
    }

    /// - Returns: whether what was written of a line that did not fit is gone.
    private static func takeBack(_ count: Int, _ descriptor: Int32) -> Bool {
        let end = lseek(descriptor, 0, SEEK_END)
        return end >= count && ftruncate(descriptor, end - off_t(count)) == 0
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
            if state.descriptor >= 0 { FileLock.release(state.descriptor) }
            state.descriptor = -1
        }
    }
}

extension stat {
    fileprivate var isRegular: Bool { st_mode & S_IFMT == S_IFREG }

    /// When it was written last.
    fileprivate var modified: Timestamp {
        #if os(Linux)
            Timestamp(microseconds: Int64(st_mtim.tv_sec) * 1_000_000)
        #else
            Timestamp(microseconds: Int64(st_mtimespec.tv_sec) * 1_000_000)
        #endif
    }
}
