import ALDCore
import Foundation

/// The directory that holds what must survive: the spool and the private database. One recorder owns it at a time.
final class DataDirectory: Sendable {
    let path: String
    private let lock: Int32

    var spool: String { path + "/spool" }
    var postgres: String { path + "/postgres" }

    /// Creates the directory if necessary and locks it until ``release()`` or the end of the process.
    ///
    /// - Throws: ``Failure`` when it cannot be created or another process owns it; then the message names the process.
    init(_ path: String) throws(Failure) {
        self.path = URL(fileURLWithPath: path).path
        do {
            try FileManager.default.createDirectory(atPath: self.path + "/spool", withIntermediateDirectories: true)
        } catch {
            // Foundation's own words are numbers; asking the system again gives its reason.
            mkdir(self.path, 0o755)
            throw Failure(
                .configuration,
                "data directory \(self.path): cannot be created: \(String(cString: strerror(errno))); "
                    + "choose another with --data-directory")
        }
        let lockFile = self.path + "/lock"
        lock = open(lockFile, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard lock >= 0 else {
            throw Failure(
                .configuration,
                "data directory \(self.path): is not writable: \(String(cString: strerror(errno))); "
                    + "change its owner or choose another with --data-directory")
        }
        guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
            let owner = Self.content(of: lock)
            close(lock)
            throw Failure(
                .temporary,
                "data directory \(self.path): is in use by \(owner.isEmpty ? "another process" : "process \(owner)"); "
                    + "stop it, or choose another directory with --data-directory")
        }
        let pid = Array("\(getpid())\n".utf8)
        guard ftruncate(lock, 0) == 0, pwrite(lock, pid, pid.count, 0) == pid.count else {
            close(lock)
            throw Failure(
                .unavailable, "data directory \(self.path): cannot be written: \(String(cString: strerror(errno)))")
        }
    }

    /// The process that owns the directory at `path`; `nil` when nobody does.
    static func owner(of path: String) -> String? {
        let descriptor = open(path + "/lock", O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        return flock(descriptor, LOCK_EX | LOCK_NB) == 0 ? nil : content(of: descriptor)
    }

    private static func content(of descriptor: Int32) -> String {
        var bytes = [UInt8](repeating: 0, count: 32)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        guard count > 0 else { return "" }
        return String(decoding: bytes[..<count], as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// Lets the next process in. The lock file stays: removing it would let two processes lock two files of one name.
    func release() {
        close(lock)
    }
}
