import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The directory of a spool: names, lock, ballast and small files that are replaced whole.
struct SpoolFiles: Sendable {
    let directory: String
    private let disk: (any SegmentDisk)?
    private let lock: Int32

    var manifest: String { directory + "/manifest.json" }
    var status: String { directory + "/status.json" }
    var ballast: String { directory + "/ballast" }
    /// Where files go that are of no more use but evidence.
    var damaged: String { directory + "/damaged" }
    /// The only file of earlier versions.
    var legacy: String { directory + "/spool.sqlite" }

    static func segmentName(index: Int64, revision: Int) -> String { "segment-\(index)-\(revision).sqlite" }

    func path(_ segment: SpoolManifest.Segment) -> String { directory + "/" + segment.name }

    /// Takes the directory for this process.
    ///
    /// - Parameter disk: where everything but the lock is kept instead of in files.
    /// - Throws: `inUse` when another spool has it.
    init(directory: String, disk: (any SegmentDisk)? = nil) throws(SpoolError) {
        self.directory = directory
        self.disk = disk
        let path = directory + "/LOCK"
        // Not inherited: a server that this process starts must not keep the spool locked after our end.
        lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard lock >= 0 else { throw SpoolError(.inputOutput, file: path, "opening failed: \(Self.lastError)") }
        guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
            let isTaken = errno == EWOULDBLOCK
            let reason = Self.lastError
            Self.closeFile(lock)
            throw SpoolError(
                isTaken ? .inUse : .inputOutput, file: path,
                isTaken ? "another process has this spool open" : "locking failed: \(reason)")
        }
    }

    /// Lets the next one have the directory.
    func release() { FileLock.release(lock) }

    private static func closeFile(_ descriptor: Int32) { close(descriptor) }

    static var lastError: String { String(cString: strerror(errno)) }

    /// The segment files that are there.
    func segments() throws -> [(index: Int64, revision: Int)] {
        let names = try disk?.names(in: directory) ?? FileManager.default.contentsOfDirectory(atPath: directory)
        return names.compactMap(Self.segment(named:))
    }

    /// What ``segmentName(index:revision:)`` was given; `nil` for every other name. By hand: a start goes through thousands.
    static func segment(named name: String) -> (index: Int64, revision: Int)? {
        let (beginning, end) = ("segment-", ".sqlite")
        guard name.hasPrefix(beginning), name.hasSuffix(end) else { return nil }
        let numbers = name.utf8.dropFirst(beginning.utf8.count).dropLast(end.utf8.count)
            .split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
        guard numbers.count == 2, let index = number(numbers[0]), let revision = number(numbers[1]) else { return nil }
        return (Int64(index), revision)
    }

    private static func number(_ digits: some Collection<UInt8>) -> Int? {
        guard (1...9).contains(digits.count) else { return nil }
        var number = 0
        for digit in digits {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
            number = number * 10 + Int(digit - UInt8(ascii: "0"))
        }
        return number
    }

    /// Opens a segment, or makes it.
    func segment(index: Int64, path: String) throws -> any SegmentFile {
        if let disk { return try disk.segment(index: index, path: path) }
        return try SpoolSegment(index: index, path: path)
    }

    // MARK: Small files

    /// - Returns: `nil` when there is no such file.
    func contents(of path: String) throws -> Data? {
        if let disk { return disk.contents(of: path).map { Data($0) } }
        guard Self.identity(of: path) != nil else { return nil }
        return try Data(contentsOf: URL(fileURLWithPath: path))
    }

    /// Replaces `path` by `content`: whoever reads it, also after a power failure, finds the old or the new one whole.
    func replace(_ path: String, by content: Data, durably: Bool) throws(SpoolError) {
        if let disk { return disk.replace(path, by: [UInt8](content)) }
        do throws(DurableFile.Failure) {
            try DurableFile(path: path).replace(by: content, durably: durably)
        } catch {
            throw SpoolError(error)
        }
    }

    /// New and removed names are durable after this.
    func syncDirectory() throws(SpoolError) {
        if disk != nil { return }
        do throws(DurableFile.Failure) {
            try DurableFile.sync(directory: directory)
        } catch {
            throw SpoolError(error)
        }
    }

    // MARK: Space

    /// Bytes that the disk still has for us.
    var freeSpace: Int64 {
        if let disk { return disk.freeSpace }
        var status = statvfs()
        guard statvfs(directory, &status) == 0 else { return .max }
        return Self.bytes(blocks: UInt64(status.f_bavail), size: UInt64(status.f_frsize))
    }

    /// Some file systems of a network do not know how much they have and say all that a number holds.
    static func bytes(blocks: UInt64, size: UInt64) -> Int64 {
        let (bytes, overflow) = blocks.multipliedReportingOverflow(by: size)
        return overflow ? .max : Int64(clamping: bytes)
    }

    /// What a database and its log take, in bytes.
    static func size(ofDatabase path: String) -> Int64 {
        [path, path + "-wal"].reduce(0) { sum, path in
            var status = stat()
            return stat(path, &status) == 0 ? sum + Int64(status.st_size) : sum
        }
    }

    /// What the files take that were set aside, in bytes.
    var damagedBytes: Int64 {
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: damaged)
        } catch {
            // The folder is made when it is needed first.
            return 0
        }
        return names.reduce(0) { sum, name in
            var status = stat()
            return stat(damaged + "/" + name, &status) == 0 ? sum + Int64(status.st_size) : sum
        }
    }

    static func identity(of path: String) -> UInt64? {
        var status = stat()
        return stat(path, &status) == 0 ? UInt64(status.st_ino) : nil
    }

    /// Fills the ballast: space that can be given back when nothing else can be written.
    ///
    /// - Returns: whether it is there.
    func fillBallast(bytes: Int64) -> Bool {
        let file = open(ballast, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { return false }
        defer { Self.closeFile(file) }
        if posix_fallocate(file, 0, off_t(bytes)) == 0 { return true }
        unlink(ballast)
        return false
    }

    func dropBallast() -> Bool { unlink(ballast) == 0 }

    /// Deletes a database that was closed, with its log.
    func deleteDatabase(_ path: String) {
        if let disk { return disk.delete(path) }
        for path in [path, path + "-wal", path + "-shm", path + "-journal"] { unlink(path) }
    }

    /// Moves a database and its log away, to be looked at by people.
    func setAside(_ path: String) -> String {
        // There it is of no use as evidence: nobody looks.
        disk?.delete(path)
        mkdir(damaged, 0o700)
        let name = path.split(separator: "/").last.map(String.init) ?? "database"
        let target = (0...).lazy.map { "\(damaged)/\(name).\($0)" }.first { Self.identity(of: $0) == nil } ?? damaged
        rename(path, target)
        rename(path + "-wal", target + "-wal")
        return target
    }
}

extension SpoolError {
    fileprivate init(_ failure: DurableFile.Failure) {
        self.init(failure.isFull ? .full : .inputOutput, file: failure.path, failure.reason)
    }
}
