import CZlib
import Foundation

/// Files in gzip's format.
enum GzipFile {
    /// What the operating system or zlib said.
    struct Failure: Error, Hashable, Sendable, CustomStringConvertible {
        var path: String
        var action: String
        var reason: String

        var description: String { "\(path): \(action) failed: \(reason)" }

        init(_ path: String, _ action: String, _ reason: String? = nil) {
            self.path = path
            self.action = action
            self.reason = reason ?? String(cString: strerror(errno))
        }
    }

    private static let chunk = 1 << 17

    /// Writes what is in `source` to `target`, which is there as a whole or not at all, also after a power failure.
    ///
    /// - Parameter isCancelled: asked between two pieces.
    /// - Returns: false when it was cancelled; nothing is left of it then.
    static func compress(
        _ source: String, to target: String, through unfinished: String, isCancelled: () -> Bool
    ) throws(Failure) -> Bool {
        var isDone = false
        defer { if !isDone { unlink(unfinished) } }
        let input = open(source, O_RDONLY | O_CLOEXEC)
        guard input >= 0 else { throw Failure(source, "opening") }
        defer { close(input) }
        // "e" keeps it from programs that this process starts.
        guard let output = ald_gzopen(unfinished, "wbe6") else { throw Failure(unfinished, "creating") }
        do throws(Failure) {
            guard try pump(input, source, into: output, unfinished, isCancelled) else {
                gzclose(output)
                return false
            }
        } catch {
            gzclose(output)
            throw error
        }
        guard gzclose(output) == Z_OK else { throw Failure(unfinished, "writing") }
        // Whoever may not read the log may not read what was put away of it either.
        var status = stat()
        if fstat(input, &status) == 0 { chmod(unfinished, status.st_mode & 0o777) }
        try synchronise(unfinished)
        guard rename(unfinished, target) == 0 else { throw Failure(unfinished, "renaming") }
        isDone = true
        return true
    }

    private static func pump(
        _ input: Int32, _ source: String, into output: gzFile, _ target: String, _ isCancelled: () -> Bool
    ) throws(Failure) -> Bool {
        var buffer = [UInt8](repeating: 0, count: chunk)
        while !isCancelled() {
            let count = buffer.withUnsafeMutableBytes { read(input, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Failure(source, "reading") }
            if count == 0 { return true }
            let written = buffer.withUnsafeBytes { gzwrite(output, $0.baseAddress, UInt32(count)) }
            guard written == Int32(count) else { throw Failure(target, "writing") }
        }
        return false
    }

    private static func synchronise(_ path: String) throws(Failure) {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw Failure(path, "opening") }
        defer { close(file) }
        guard fsync(file) == 0 else { throw Failure(path, "synchronising") }
    }

    /// Hands over what is in the file, piece by piece, whether it is compressed or not.
    static func forEachPiece(_ path: String, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        guard let file = ald_gzopen(path, "rbe") else { throw Failure(path, "opening") }
        defer { gzclose(file) }
        var buffer = [UInt8](repeating: 0, count: chunk)
        while true {
            let count = buffer.withUnsafeMutableBytes { gzread(file, $0.baseAddress, UInt32($0.count)) }
            if count == 0 {
                // A file whose end is missing ends here, too.
                var code: Int32 = Z_OK
                let words = gzerror(file, &code).map { String(cString: $0) }
                guard code == Z_OK || code == Z_STREAM_END else { throw Failure(path, "reading", words) }
                return
            }
            guard count > 0 else {
                var code: Int32 = Z_OK
                throw Failure(path, "reading", gzerror(file, &code).map { String(cString: $0) })
            }
            try buffer.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[..<Int(count)])) }
        }
    }
}
