import ArgumentParser
import Foundation

/// A file that a command writes after work that nobody wants to do twice: whether it can be written is known before.
struct OutputFile {
    /// The option that names it, for instance `--output`.
    var option: String
    var path: String

    /// Refuses two options with one file, and one that would replace what is read.
    ///
    /// - Throws: `ValidationError`.
    static func checkDistinct(_ files: [OutputFile], from sources: [String] = []) throws {
        let places = files.map { place($0.path) }
        for (index, file) in files.enumerated() {
            if let twin = files.indices.first(where: { $0 < index && places[$0] == places[index] }) {
                throw ValidationError(
                    "\(files[twin].option) and \(file.option) are the same file, \(file.path); name two")
            }
            if sources.contains(where: { place($0) == places[index] }) {
                throw ValidationError(
                    "\(file.option) would replace \(file.path), which is read; name another file")
            }
        }
    }

    /// Whether it could be written now.
    ///
    /// - Throws: ``Failure`` with what is in the way.
    func checkWritable() throws {
        if path.isEmpty { throw Failure(.unavailable, "\(option) is empty; name a file with it, or leave it out") }
        var status = stat()
        if stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG {
            throw failure("it is no file")
        }
        let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
        // It is written beside itself and then moved to its place: its folder is what counts.
        guard access(folder, W_OK | X_OK) == 0 else { throw failure("\(folder): \(String(cString: strerror(errno)))") }
    }

    /// Replaces the file as a whole, or leaves it as it was.
    ///
    /// - Throws: ``Failure`` with the file and what is wrong.
    func write(_ content: () throws -> Data) throws {
        let data = try content()
        do {
            try data.write(to: URL(fileURLWithPath: path), options: .atomic)
        } catch {
            throw failure(Self.reason(error))
        }
    }

    private func failure(_ reason: String) -> Failure {
        Failure(.unavailable, "\(path) cannot be written: \(reason); name another file with \(option)")
    }

    /// What the system said, without the frame that Foundation puts around it.
    private static func reason(_ error: any Error) -> String {
        let error = error as NSError
        if let cause = error.userInfo[NSUnderlyingErrorKey] as? NSError, cause.domain == NSPOSIXErrorDomain {
            return String(cString: strerror(Int32(truncatingIfNeeded: cause.code)))
        }
        switch CocoaError.Code(rawValue: error.code) {
        case .fileNoSuchFile: return "its folder does not exist"
        case .fileWriteNoPermission: return "no permission"
        case .fileWriteOutOfSpace: return "the disk is full"
        case .fileWriteVolumeReadOnly: return "the disk is read-only"
        default: return error.localizedDescription
        }
    }

    /// The same for each way to write a path, also of a file that does not exist yet.
    private static func place(_ path: String) -> String {
        let url = URL(fileURLWithPath: path).standardizedFileURL
        if FileManager.default.fileExists(atPath: url.path) { return url.resolvingSymlinksInPath().path }
        return url.deletingLastPathComponent().resolvingSymlinksInPath().path + "/" + url.lastPathComponent
    }
}
