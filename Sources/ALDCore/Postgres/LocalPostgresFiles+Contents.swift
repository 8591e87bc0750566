#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

extension LocalPostgresFiles {
    /// Which part of a long file is wanted.
    enum Part {
        case beginning
        case end
    }

    /// Bytes of a file that are read at most.
    static let maximumContents = 65_536

    /// The text of a file that the server's user may have put there to harm us; `nil` if it cannot be read.
    ///
    /// Neither a symbolic link nor anything but a regular file is read, and nothing blocks. As root, the file must
    /// belong to root or to a user as whom servers run: a link in a directory above could lead to anybody's.
    static func contents(of path: String, part: Part = .beginning) -> String? {
        let file = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG, isTrusted(status.st_uid) else {
            return nil
        }
        let start = part == .end ? max(0, Int(status.st_size) - maximumContents) : 0
        var bytes = [UInt8](repeating: 0, count: maximumContents)
        var length = 0
        while length < bytes.count {
            let count = bytes.withUnsafeMutableBytes { buffer in
                pread(file, buffer.baseAddress?.advanced(by: length), buffer.count - length, off_t(start + length))
            }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { return nil }
            if count == 0 { break }
            length += count
        }
        return String(decoding: bytes[..<length], as: UTF8.self)
    }

    private static func isTrusted(_ owner: uid_t) -> Bool {
        geteuid() != 0 || owner == 0 || LocalPostgresAccount.serverUsers.contains { $0.userID == owner }
    }
}
