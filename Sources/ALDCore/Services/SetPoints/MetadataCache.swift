import Foundation
public import Logging
import Synchronization

/// The newest ``MachineMetadata`` of a machine, in memory and in a file.
public final class MetadataCache: Sendable {
    private let file: DurableFile
    private let logger: Logger
    private let state: Mutex<MachineMetadata?>

    /// Reads what was kept. A file that is missing, broken or of another machine is none.
    public init(path: String, machine: Int32, logger: Logger) {
        file = DurableFile(path: path)
        self.logger = logger
        var kept: MachineMetadata?
        do {
            if let content = try file.contents() {
                kept = try JSONDecoder().decode(MachineMetadata.self, from: content)
            }
        } catch {
            logger.warning("the metadata that was kept cannot be read", metadata: ["reason": "\(error)"])
        }
        if kept?.machine != machine || kept?.version != 1 { kept = nil }
        state = Mutex(kept)
    }

    /// `nil` while the database was never reached.
    public var current: MachineMetadata? { state.withLock(\.self) }

    /// - Returns: whether it is another one than before.
    @discardableResult
    package func renew(_ metadata: MachineMetadata) -> Bool {
        let isNew = state.withLock { state in
            defer { state = metadata }
            return state != metadata
        }
        guard isNew else { return false }
        do {
            try file.replace(by: JSONEncoder().encode(metadata))
        } catch {
            logger.warning("metadata cannot be kept for a start without the database", metadata: ["reason": "\(error)"])
        }
        return true
    }
}
