import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A small file that is replaced whole: whoever reads it, also after a power failure, finds the old or the new content.
struct DurableFile: Sendable {
    let path: String

    /// What the operating system said.
    struct Failure: Error, Hashable, Sendable, CustomStringConvertible {
        var path: String
        var action: String
        var code: Int32

        var reason: String { "\(action) failed: \(String(cString: strerror(code)))" }
        var isFull: Bool { code == ENOSPC || code == EDQUOT }
        var description: String { "\(path): \(reason)" }
    }

    private var directory: String { (path as NSString).deletingLastPathComponent }

    /// - Returns: `nil` when there is no such file.
    func contents() throws(Failure) -> Data? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            if errno == ENOENT { return nil }
            throw failure("opening")
        }
        defer { Self.closeFile(file) }
        var content = Data()
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = buffer.withUnsafeMutableBytes { read(file, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure("reading") }
            if count == 0 { return content }
            content.append(contentsOf: buffer[..<count])
        }
    }

    /// - Parameter durably: whether it is to survive a power failure once this has returned.
    func replace(by content: Data, durably: Bool = true) throws(Failure) {
        let temporary = path + ".new"
        let file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw failure("creating") }
        defer { Self.closeFile(file) }
        var written = 0
        while written < content.count {
            let count = content.withUnsafeBytes {
                write(file, $0.baseAddress?.advanced(by: written), content.count - written)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure("writing") }
            written += count
        }
        if durably { guard fsync(file) == 0 else { throw failure("syncing") } }
        guard rename(temporary, path) == 0 else { throw failure("replacing") }
        if durably { try Self.sync(directory: directory) }
    }

    /// Removes it durably; one that is not there is no failure.
    func remove() throws(Failure) {
        guard unlink(path) == 0 || errno == ENOENT else { throw failure("removing") }
        try Self.sync(directory: directory)
    }

    /// New and removed names are durable after this.
    static func sync(directory: String) throws(Failure) {
        let file = open(directory.isEmpty ? "." : directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard file >= 0 else { throw Failure(path: directory, action: "opening", code: errno) }
        defer { closeFile(file) }
        guard fsync(file) == 0 else { throw Failure(path: directory, action: "syncing", code: errno) }
    }

    private static func closeFile(_ descriptor: Int32) { close(descriptor) }

    private func failure(_ action: String) -> Failure { Failure(path: path, action: action, code: errno) }
}
