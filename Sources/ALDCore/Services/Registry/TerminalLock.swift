import Foundation

#if canImport(Glibc)
    import Glibc
#endif

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
    /// The numbers under which whoever had the lock before may still be entered: it ended without a word.
    public let predecessors: [Int64]
    private let descriptor: Int32
    /// The oldest are forgotten first; what is forgotten is given up after three missed heartbeats.
    private static let mostNoted = 20

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
        Self.mark(descriptor, F_WRLCK)
        predecessors = Self.lines(of: descriptor).dropFirst().compactMap { Int64($0) }
        note(instances: predecessors)
    }

    /// The process that holds a terminal of `machine` in `directory`; `nil` when nobody does. Takes nothing: who starts
    /// in this moment is not in anybody's way.
    public static func owner(of terminal: Terminal, machine: Int32, directory: String) -> String? {
        let descriptor = open(path(terminal, machine: machine, directory: directory), O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { Foundation.close(descriptor) }
        return isMarked(descriptor) ? lines(of: descriptor).first ?? "" : nil
    }

    // `flock` decides who has the file, but can only be asked by trying. So who has it holds a record lock on the open
    // file as well, which others can see without trying. It ends with the open file, as the other one does.
    #if canImport(Glibc)
        // From <linux/fcntl.h>; the C library shows them to GNU programs only.
        private static let setMark: Int32 = 37
        private static let getMark: Int32 = 36

        private static func mark(_ descriptor: Int32, _ kind: Int32) {
            var mark = record(kind)
            _ = fcntl(descriptor, setMark, &mark)
        }

        private static func isMarked(_ descriptor: Int32) -> Bool {
            var mark = record(F_WRLCK)
            return fcntl(descriptor, getMark, &mark) == 0 && mark.l_type != Int16(F_UNLCK)
        }

        private static func record(_ kind: Int32) -> Glibc.flock {
            Glibc.flock(l_type: Int16(kind), l_whence: Int16(SEEK_SET), l_start: 0, l_len: 0, l_pid: 0)
        }
    #else
        private static func mark(_ descriptor: Int32, _ kind: Int32) {}

        private static func isMarked(_ descriptor: Int32) -> Bool {
            defer { flock(descriptor, LOCK_UN) }
            return flock(descriptor, LOCK_EX | LOCK_NB) != 0
        }
    #endif

    private static func path(_ terminal: Terminal, machine: Int32, directory: String) -> String {
        "\(directory)/\(terminal.rawValue)-machine\(machine).lock"
    }

    private static func lines(of descriptor: Int32) -> [String] {
        var bytes = [UInt8](repeating: 0, count: 512)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        guard count > 0 else { return [] }
        return String(decoding: bytes[..<count], as: UTF8.self).split(separator: "\n").map(String.init)
    }

    /// Keeps what the next owner needs to know. A disk that does not take it costs the next start some heartbeats.
    ///
    /// - Parameter instances: under which the registry may know this process; none after its orderly end.
    func note(instances: [Int64]) {
        let text = Array(([Int64(getpid())] + instances.suffix(Self.mostNoted)).map { "\($0)\n" }.joined().utf8)
        guard ftruncate(descriptor, 0) == 0 else { return }
        _ = pwrite(descriptor, text, text.count, 0)
    }

    /// Lets the next process in.
    public func release() {
        Self.mark(descriptor, F_UNLCK)
        FileLock.release(descriptor)
    }
}
