import GRDB

/// Why records could not be kept on this machine's disk.
public struct SpoolError: Error, Sendable, CustomStringConvertible {
    public enum Code: Sendable {
        /// Another process has the spool open.
        case inUse
        /// The disk, or the quota on it, is full.
        case full
        /// The file cannot be created, opened, read or written.
        case inputOutput
        /// What is stored is not what was accepted.
        case corrupted
        /// The database does not keep the settings that durability needs.
        case notDurable
        /// A record breaks a rule and was not accepted.
        case invalidRecord
        /// More waits for the disk than the queue may hold.
        case overloaded
        /// The spool was closed.
        case closed
        /// The settings contradict each other.
        case misconfigured
    }

    public var code: Code
    /// The spool's file.
    public var file: String
    /// What was attempted and what the storage said.
    public var message: String

    public var description: String { "spool \(file): \(message)\(remedy)" }

    private var remedy: String {
        switch code {
        case .inUse: "; stop the other process or give this one a data directory of its own"
        case .full: "; free space on that disk, nothing accepted so far is lost"
        case .inputOutput: "; check that the directory exists, is writable and on a healthy disk"
        case .corrupted: "; keep the file, it is evidence, and check the disk"
        case .notDurable: "; this build of SQLite cannot be used for the spool"
        case .overloaded: "; the disk is too slow for what is recorded, or hangs"
        case .invalidRecord, .closed, .misconfigured: ""
        }
    }

    package init(_ code: Code, file: String, _ message: String) {
        self.code = code
        self.file = file
        self.message = message
    }

    /// One constructor for everything SQLite can say.
    init(_ error: any Error, file: String, while action: String) {
        self.file = file
        if let error = error as? SpoolError {
            self = error
            return
        }
        let database = error as? DatabaseError
        let primary = database?.resultCode ?? .SQLITE_ERROR
        code =
            switch primary {
            case .SQLITE_BUSY, .SQLITE_LOCKED: .inUse
            case .SQLITE_FULL: .full
            case .SQLITE_CORRUPT, .SQLITE_NOTADB: .corrupted
            default: .inputOutput
            }
        message = "\(action) failed: \(database?.message ?? "\(error)") (\(database?.extendedResultCode.rawValue ?? 1))"
    }
}
