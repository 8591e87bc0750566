import Foundation

/// One terminal of one machine in one directory, by a lock that ends with its process, however that ends.
///
/// The file names the process that has it and the number under which the database knows it. So whoever gets the lock
/// after a `kill -9` knows that this entry of the registry is a dead one and need not wait until its heartbeats are
/// missed. The file stays: were it removed, two processes could lock two files of one name.
public final class TerminalLock: Sendable {
    /// Why a lock was not got.
    public struct Refusal: Error, Hashable, Sendable, CustomStringConvertible {
        public var terminal: Terminal
        public var path: String
        /// The process that has it; `nil` when the file could not be used at all.
        public var owner: String?
        public var reason: String

        public var isHeld: Bool { owner != nil }
        public var description: String { reason }
    }

    public let path: String
    public let terminal: Terminal
    public let machine: Int32
    /// The number of the instance that had the lock before and ended without a word.
    public let predecessor: Int64?
    private let descriptor: Int32

    /// - Parameter directory: where this machine's terminals keep what must survive; it must be there.
    public init(_ terminal: Terminal, machine: Int32, directory: String) throws(Refusal) {
        self.terminal = terminal
        self.machine = machine
        path = Self.path(terminal, machine: machine, directory: directory)
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw Refusal(
                terminal: terminal, path: path,
                reason: "\(path) cannot be opened: \(String(cString: strerror(errno)))")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let owner = Self.lines(of: descriptor).first ?? ""
            Foundation.close(descriptor)
            throw Refusal(
                terminal: terminal, path: path, owner: owner,
                reason: "\(terminal) of machine \(machine) runs already in \(directory): "
                    + (owner.isEmpty ? "another process" : "process \(owner)"))
        }
        let lines = Self.lines(of: descriptor)
        predecessor = lines.count > 1 ? Int64(lines[1]) : nil
        note(instance: predecessor)
    }

    /// The process that holds a terminal of `machine` in `directory`; `nil` when nobody does.
    public static func owner(of terminal: Terminal, machine: Int32, directory: String) -> String? {
        let descriptor = open(path(terminal, machine: machine, directory: directory), O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer {
            flock(descriptor, LOCK_UN)
            Foundation.close(descriptor)
        }
        return flock(descriptor, LOCK_EX | LOCK_NB) == 0 ? nil : lines(of: descriptor).first ?? ""
    }

    private static func path(_ terminal: Terminal, machine: Int32, directory: String) -> String {
        "\(directory)/\(terminal.rawValue)-machine\(machine).lock"
    }

    private static func lines(of descriptor: Int32) -> [String] {
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        guard count > 0 else { return [] }
        return String(decoding: bytes[..<count], as: UTF8.self).split(separator: "\n").map(String.init)
    }

    /// Keeps what the next owner needs to know. A disk that does not take it costs the next start some heartbeats.
    ///
    /// - Parameter instance: `nil` when the registry knows of no instance, or of its orderly end.
    func note(instance: Int64?) {
        let text = Array("\(getpid())\n\(instance.map { "\($0)\n" } ?? "")".utf8)
        guard ftruncate(descriptor, 0) == 0 else { return }
        _ = pwrite(descriptor, text, text.count, 0)
    }

    /// Lets the next process in. By name: closing alone would leave the lock with a program that this process is just
    /// starting, until that has closed its copy.
    public func release() {
        flock(descriptor, LOCK_UN)
        Foundation.close(descriptor)
    }
}
