#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Files and directories for ``LocalPostgres``, with errors that say what to do.
enum LocalPostgresFiles {
    /// The path from the root, without slashes at its end: `rmdir` and `symlink` understand those differently.
    static func absolute(_ path: String) -> String {
        var path = path
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        if path.hasPrefix("/") { return path }
        guard let buffer = getcwd(nil, 0) else { return path }
        defer { free(buffer) }
        return String(cString: buffer) + "/" + path
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    static func isExecutable(_ path: String) -> Bool { access(path, X_OK) == 0 }

    /// The path with every symbolic link followed, or itself if that fails.
    static func resolved(_ path: String) -> String {
        guard let buffer = realpath(path, nil) else { return path }
        defer { free(buffer) }
        return String(cString: buffer)
    }

    /// The names in a directory, sorted; empty if it cannot be read.
    static func names(in path: String) -> [String] {
        guard let stream = opendir(path) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// The most recently changed file whose name begins so.
    static func newest(in directory: String, prefix: String) -> String? {
        let files = names(in: directory).filter { $0.hasPrefix(prefix) }.map { directory + "/" + $0 }
        return files.max { modificationTime(of: $0) < modificationTime(of: $1) }
    }

    private static func modificationTime(of path: String) -> Int {
        var status = stat()
        guard stat(path, &status) == 0 else { return 0 }
        #if canImport(Darwin)
            return status.st_mtimespec.tv_sec
        #else
            return status.st_mtim.tv_sec
        #endif
    }

    /// Creates a directory and its parents; one that exists is left as it is.
    static func createDirectory(_ path: String, mode: mode_t = 0o755) throws(PostgresError) {
        if exists(path) { return }
        let parent = path.split(separator: "/").dropLast().joined(separator: "/")
        if !parent.isEmpty { try createDirectory("/" + parent) }
        guard mkdir(path, mode) == 0 || errno == EEXIST else { throw failure("create", path) }
    }

    static func remove(_ path: String) throws(PostgresError) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        if status.st_mode & S_IFMT == S_IFDIR {
            for name in names(in: path) { try remove(path + "/" + name) }
            guard rmdir(path) == 0 else { throw failure("remove", path) }
        } else {
            guard unlink(path) == 0 else { throw failure("remove", path) }
        }
    }

    static func failure(_ verb: String, _ path: String) -> PostgresError {
        let reason = String(cString: strerror(errno))
        return PostgresError(
            .localServerDirectoryUnusable, "cannot \(verb) \(path): \(reason)", place: path,
            remedy: "Choose a directory this user can write, or correct its owner and mode.")
    }

    /// A short name that stands for a path: 64-bit FNV-1a in hexadecimal. No secret, only far from collisions.
    static func shortHash(_ path: String) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in path.utf8 {
            hash ^= UInt64(byte)
            hash = hash &* 0x100_0000_01b3
        }
        let text = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - text.count) + text
    }
}
