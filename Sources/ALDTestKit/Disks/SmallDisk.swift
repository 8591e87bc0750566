import ALDCore
import Foundation

/// A file system of a few megabytes, made for one test: it fills up as a disk does, and nothing else on the machine
/// notices. It lies in memory (tmpfs), so what is on it is gone with it.
public struct SmallDisk: Sendable {
    /// Where it is mounted.
    public let path: String
    /// What fits on it, with what the file system needs for itself.
    public let bytes: Int

    /// Runs `body` with a disk of this size, which is unmounted afterwards, whatever happened and whoever still has a
    /// file on it open.
    ///
    /// - Throws: ``Unavailable`` where this process cannot mount one, and what `body` throws.
    public static func run<Result>(
        bytes: Int, _ body: (SmallDisk) async throws -> Result
    ) async throws -> Result {
        try Unavailable.requireRoot("mounting a small disk")
        return try await withTemporaryDirectory { directory in
            let mounted = try await ChildProcess.run(
                "/usr/bin/env", ["mount", "-t", "tmpfs", "-o", "size=\(bytes)", "tmpfs", directory])
            guard mounted.exitCode == 0 else {
                throw Unavailable(
                    .privilege, "this system mounts no tmpfs: \(mounted.transcript)",
                    remedy: "use one that lets root mount; a container needs the right to (CAP_SYS_ADMIN)")
            }
            return try await withCleanup {
                try await body(SmallDisk(path: directory, bytes: bytes))
            } cleanup: {
                let unmounted = try await ChildProcess.run("/usr/bin/env", ["umount", "-l", directory])
                guard unmounted.exitCode == 0 else {
                    throw NeverHappened(description: "\(directory) is still mounted: \(unmounted.transcript)")
                }
            }
        }
    }

    /// Bytes that an unprivileged process may still write.
    public var freeBytes: Int {
        get throws {
            var status = statvfs()
            guard statvfs(path, &status) == 0 else {
                throw NeverHappened(description: "\(path): \(String(cString: strerror(errno)))")
            }
            return Int(status.f_bavail) * Int(status.f_frsize)
        }
    }

    /// Takes all the space that there is, as somebody else on the same disk might, while `body` runs.
    public func filled<Result>(_ body: () async throws -> Result) async throws -> Result {
        let filler = path + "/filler"
        let file = open(filler, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else {
            throw NeverHappened(description: "\(filler): \(String(cString: strerror(errno)))")
        }
        defer { close(file) }
        let block = [UInt8](repeating: 0, count: 4096)
        while write(file, block, block.count) == block.count {}
        let reason = errno
        return try await withCleanup {
            guard reason == ENOSPC else {
                throw NeverHappened(description: "\(filler): \(String(cString: strerror(reason)))")
            }
            return try await body()
        } cleanup: {
            try FileManager.default.removeItem(atPath: filler)
        }
    }
}
