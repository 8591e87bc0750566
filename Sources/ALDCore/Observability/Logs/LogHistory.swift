import Foundation

/// Reads a log back: what was put away, compressed or not, and what is being written, in the order in which it was.
public enum LogHistory {
    /// Hands over every line, the oldest first.
    ///
    /// - Parameters:
    ///   - path: of the file that is written.
    ///   - body: gets the line, and the file that it is in unless it is the one that is written.
    /// - Throws: what `body` throws, and what the disk or a damaged archive says.
    public static func forEachLine(of path: String, _ body: (String, LogArchive?) throws -> Void) throws {
        let folder = LogFolder(of: path)
        let archives = try folder.archives()
        let compressed = Set(archives.filter(\.isCompressed).map(\.number))
        // While one is compressed it is there twice.
        for archive in archives where archive.isCompressed || !compressed.contains(archive.number) {
            try forEachLine(ofFile: folder.path(archive.name)) { try body($0, archive) }
        }
        try forEachLine(ofFile: path) { try body($0, nil) }
    }

    /// What was put away, the oldest first.
    public static func archives(of path: String) throws -> [LogArchive] { try LogFolder(of: path).archives() }

    private static func forEachLine(ofFile path: String, _ body: (String) throws -> Void) throws {
        var line: [UInt8] = []
        try GzipFile.forEachPiece(path) { bytes in
            var rest = bytes
            while let start = rest.baseAddress, let end = memchr(start, 0x0A, rest.count) {
                let length = start.distance(to: UnsafeRawPointer(end))
                line.append(contentsOf: UnsafeRawBufferPointer(rebasing: rest[..<length]))
                try body(String(decoding: line, as: UTF8.self))
                line.removeAll(keepingCapacity: true)
                rest = UnsafeRawBufferPointer(rebasing: rest[(length + 1)...])
            }
            line.append(contentsOf: rest)
        }
        if !line.isEmpty { try body(String(decoding: line, as: UTF8.self)) }
    }
}
