import ALDCore
import Foundation

/// The directory that holds what must survive: the spool, the private database, the recipe journal. Each terminal of a
/// machine runs in it once.
final class DataDirectory: Sendable {
    static let spool = "/spool"
    static let recipeSpool = "/recipe-spool"

    let path: String
    let locks: [TerminalLock]

    /// Of Terminal 1.
    var spool: String { path + Self.spool }
    /// Of Terminal 2. One process owns a spool, and the two may be two processes.
    var recipeSpool: String { path + Self.recipeSpool }
    var postgres: String { path + "/postgres" }
    var metadata: String { path + "/metadata.json" }
    var recipeJournal: String { path + "/recipe-journal.json" }

    /// Creates the directory if necessary and locks the terminals until ``release()`` or the end of the process.
    ///
    /// - Throws: ``Failure`` when it cannot be created or another process is one of the terminals; then the message
    ///   names the process.
    init(_ path: String, terminals: [Terminal], machine: Int32) throws(Failure) {
        self.path = URL(fileURLWithPath: path).path
        do {
            let spools: [Terminal: String] = [.collection: Self.spool, .recipes: Self.recipeSpool]
            for name in [""] + terminals.compactMap({ spools[$0] }) {
                try FileManager.default.createDirectory(atPath: self.path + name, withIntermediateDirectories: true)
            }
        } catch {
            // Foundation's own words are numbers; asking the system again gives its reason.
            mkdir(self.path, 0o755)
            throw Failure(
                .configuration,
                "data directory \(self.path): cannot be created: \(String(cString: strerror(errno))); "
                    + "choose another with --data-directory")
        }
        var locks: [TerminalLock] = []
        do throws(TerminalLock.Refusal) {
            for terminal in terminals {
                locks.append(try TerminalLock(terminal, machine: machine, directory: self.path))
            }
        } catch {
            locks.forEach { $0.release() }
            throw error.isHeld
                ? Failure(.duplicate, "\(error); stop it, or choose another directory with --data-directory")
                : Failure(
                    .configuration,
                    "data directory \(self.path): is not writable: \(error); "
                        + "change its owner or choose another with --data-directory")
        }
        self.locks = locks
    }

    /// The process that is a terminal of `machine` in the directory at `path`; `nil` when nobody is.
    static func owner(of path: String, machine: Int32) -> (terminal: Terminal, process: String)? {
        for terminal in Terminal.allCases {
            if let process = TerminalLock.owner(of: terminal, machine: machine, directory: path) {
                return (terminal, process)
            }
        }
        return nil
    }

    /// Lets the next process in.
    func release() {
        locks.forEach { $0.release() }
    }
}
