import Foundation

/// The folder that a log file lies in, with what was put away of it. What there is to do is read from the disk each
/// time, so that a crash at any place leaves nothing that the next process does not find.
struct LogFolder: Sendable {
    let directory: String
    /// The file's name.
    let log: String

    init(of path: String) {
        let url = URL(fileURLWithPath: path)
        (directory, log) = (url.deletingLastPathComponent().path, url.lastPathComponent)
    }

    func path(_ name: String) -> String { directory + "/" + name }

    /// Oldest first.
    func archives() throws -> [LogArchive] {
        try FileManager.default.contentsOfDirectory(atPath: directory).compactMap { name in
            var status = stat()
            // Whoever deletes one meanwhile has made it none.
            guard name.hasPrefix(log), lstat(path(name), &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
                return nil
            }
            return LogArchive(name: name, of: log, bytes: Int64(status.st_size))
        }.sorted { ($0.number, $0.isCompressed ? 1 : 0) < ($1.number, $1.isCompressed ? 1 : 0) }
    }

    /// Deletes what is too many or too much.
    ///
    /// - Returns: how many files that were.
    @discardableResult func prune(_ policy: LogRotation.Policy) throws -> Int {
        let surplus = LogRotation.surplus(try archives(), policy)
        for archive in surplus { unlink(path(archive.name)) }
        return surplus.count
    }

    /// Compresses what is not yet, deletes what is too much, and tidies up after a process that died while it did that.
    ///
    /// - Returns: false when it was cancelled.
    func tidy(_ policy: LogRotation.Policy, isCancelled: () -> Bool) throws -> Bool {
        for name in try FileManager.default.contentsOfDirectory(atPath: directory)
        where name.hasSuffix(LogArchive.unfinished)
            && LogArchive(name: String(name.dropLast(LogArchive.unfinished.count)), of: log, bytes: 0) != nil
        {
            unlink(path(name))
        }
        let compressed = Set(try archives().filter(\.isCompressed).map(\.name))
        var failure: (any Error)?
        for archive in try archives() where !archive.isCompressed {
            try prune(policy)
            let source = path(archive.name)
            guard access(source, F_OK) == 0 else { continue }
            if !compressed.contains(archive.name + LogArchive.compressed) {
                do throws(GzipFile.Failure) {
                    let isDone = try GzipFile.compress(
                        source, to: source + LogArchive.compressed, through: source + LogArchive.unfinished,
                        isCancelled: isCancelled)
                    guard isDone else { return false }
                } catch {
                    // The others are none the worse for it.
                    failure = failure ?? error
                    continue
                }
            }
            // Only now: whatever happens in between, one of the two is whole.
            unlink(source)
        }
        try prune(policy)
        if let failure { throw failure }
        return true
    }
}
