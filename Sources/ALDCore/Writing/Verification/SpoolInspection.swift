import Foundation

/// What a spool says about its batches, found without changing anything in its directory.
///
/// Its databases are copied and the copies are opened: SQLite cannot read them where they are without leaving files
/// behind. The directory is locked meanwhile, so a recorder that starts in this moment has to try again.
public struct SpoolInspection: Sendable {
    public struct Item: Hashable, Sendable {
        public var header: BatchHeader
        /// False: the database has confirmed it, and it is only kept in case it forgets.
        public var isWaiting: Bool
    }

    /// The batches that were found; `nil` when a process has the spool open, so that only its own words are known.
    public var items: [Item]?
    /// What the owner wrote last, if anything.
    public var status: SpoolStatus?
    /// Batches that are known to be unreadable.
    public var losses: [SpoolLoss]
    /// What could not be read, and why.
    public var problems: [String] = []
    /// The copies that hold what the database has confirmed, by the number of their segment.
    var copies: [Int64: String] = [:]

    /// Looks into `directory`. Blocks for as long as copying takes.
    ///
    /// - Parameter temporary: an empty directory of the caller's, with room for what the spool keeps although it was
    ///   confirmed. Copies stay in it for ``Verifier/compare(_:with:deadline:)``; the caller deletes it afterwards.
    /// - Returns: `nil` when there is no spool.
    /// - Throws: when the directory cannot be read.
    public static func inspect(
        directory: String, temporary: String
    ) throws(SpoolError) -> SpoolInspection? {
        let names = [directory + "/manifest.json", directory + "/status.json"]
        guard names.contains(where: { FileManager.default.fileExists(atPath: $0) }) else { return nil }
        let status = FileManager.default.fileExists(atPath: names[1]) ? try SpoolStatus.read(directory: directory) : nil
        let files: SpoolFiles
        do throws(SpoolError) {
            files = try SpoolFiles(directory: directory)
        } catch {
            guard error.code == .inUse, let status else { throw error }
            return SpoolInspection(items: nil, status: status, losses: status.losses)
        }
        defer { files.release() }
        do {
            return try read(files, status, temporary: temporary)
        } catch {
            throw SpoolError(error, file: directory, while: "looking into the spool")
        }
    }

    private static func read(
        _ files: SpoolFiles, _ status: SpoolStatus?, temporary: String
    ) throws -> SpoolInspection {
        let content = try Data(contentsOf: URL(fileURLWithPath: files.manifest))
        let manifest = try SpoolManifest(stored: content)
        var inspection = SpoolInspection(items: [], status: status, losses: manifest.losses)
        if SpoolFiles.identity(of: files.legacy) != nil {
            inspection.problems.append(
                "\(files.legacy) is of an earlier version; start the recorder, which takes it over")
        }
        let plan = manifest.plan(files: try files.segments())
        for segment in plan.missing {
            inspection.losses.append(
                SpoolLoss(file: segment.name, reason: "the file is missing", batches: segment.content, foundAt: 0))
        }
        for segment in plan.open {
            do {
                let found = try items(of: segment, files, temporary: temporary)
                inspection.items?.append(contentsOf: found)
                let copy = temporary + "/" + segment.name
                if found.contains(where: { !$0.isWaiting }) {
                    inspection.copies[segment.index] = copy
                } else {
                    files.deleteDatabase(copy)
                }
            } catch {
                inspection.problems.append(
                    "\(segment.name) cannot be read (\(error)); start the recorder, which saves what can be saved")
            }
        }
        return inspection
    }

    private static func items(
        of entry: SpoolManifest.Segment, _ files: SpoolFiles, temporary: String
    ) throws -> [Item] {
        let copy = temporary + "/" + entry.name
        for ending in ["", "-wal"] where SpoolFiles.identity(of: files.path(entry) + ending) != nil {
            try FileManager.default.copyItem(atPath: files.path(entry) + ending, toPath: copy + ending)
        }
        let segment = try SpoolSegment(index: entry.index, path: copy)
        let settlements = Dictionary(try segment.progress().map { ($0.row, $0.settlement) }) { $1 }
        // Behind the last accepted row of a file whose disk has failed, nothing was accepted.
        let accepted = entry.isSuspect ? entry.rows ?? .max : .max
        var items: [Item] = []
        try segment.forEachHeader { header in
            guard header.position.row <= accepted else { return false }
            switch settlements[header.position.row] ?? .waiting {
            case .waiting: items.append(Item(header: header, isWaiting: true))
            case .acknowledged: items.append(Item(header: header, isWaiting: false))
            case .recut, .lost: break
            }
            return true
        }
        try segment.close()
        return items
    }
}
