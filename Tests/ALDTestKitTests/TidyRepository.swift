import Foundation

/// The files of the repository, read once.
struct TidyRepository {
    /// The names at its top level.
    let topLevel: [String]
    /// All Swift files of Sources, Tests and Benchmarks, taken apart.
    let swift: [TidyFile]
    /// Every other text file that people write: scripts, pages, workflows, manifests.
    let texts: [(path: String, text: String)]

    /// The repository that the given file of a test target belongs to.
    init(containing file: String = #filePath) throws {
        let root = URL(fileURLWithPath: file).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let manager = FileManager.default
        topLevel = try manager.contentsOfDirectory(atPath: root.path).sorted()
        var swift: [TidyFile] = []
        var texts: [(path: String, text: String)] = []
        let written = topLevel.filter { !Self.generated($0) }
        for path in written.flatMap({ Self.files(at: $0, of: root) }).sorted() {
            // What is not UTF-8 is no text: a picture, a recorded frame.
            guard let text = try? String(contentsOf: root.appendingPathComponent(path), encoding: .utf8) else {
                continue
            }
            if path.hasSuffix(".swift"), path.contains("/") {
                swift.append(TidyFile(path: path, text: text))
            } else {
                texts.append((path, text))
            }
        }
        self.swift = swift
        self.texts = texts
    }

    /// Folders and files that tools write and git ignores.
    static func generated(_ name: String) -> Bool {
        [".git", ".ald", ".swiftpm", "Package.resolved"].contains(name) || name.hasPrefix(".build")
    }

    private static func files(at path: String, of root: URL) -> [String] {
        let url = root.appendingPathComponent(path)
        guard FileManager.default.isFolder(url.path) else { return [path] }
        let inside = FileManager.default.enumerator(atPath: url.path)?.compactMap { $0 as? String } ?? []
        return inside.flatMap { name in
            FileManager.default.isFolder("\(url.path)/\(name)") || name.contains("__pycache__")
                ? [] : ["\(path)/\(name)"]
        }
    }
}

extension FileManager {
    fileprivate func isFolder(_ path: String) -> Bool {
        var isFolder: ObjCBool = false
        return fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
    }
}
