import Foundation

extension ProcessProbe {
    /// States of TCP as the kernel numbers them (`include/net/tcp_states.h`). A socket in `TIME_WAIT` belongs to no process
    /// any more, nor does one in `SYN_RECV` yet.
    public enum SocketState: String, Sendable, CaseIterable {
        case established = "01"
        /// A connect that nobody has answered.
        case synSent = "02"
        case synReceived = "03"
        /// We have closed, and the peer has not acknowledged it.
        case finWait1 = "04"
        /// We have closed, and the peer has not.
        case finWait2 = "05"
        case timeWait = "06"
        case closed = "07"
        /// The peer has closed, and we have not: a leak when it stays.
        case closeWait = "08"
        /// Both have closed, and our last word is not acknowledged.
        case lastAcknowledgement = "09"
        case listening = "0A"
        case closing = "0B"
    }

    /// How many TCP sockets of a process are in each state, states without any left out; `nil` where the kernel does not
    /// tell.
    ///
    /// - Parameter process: `nil` for this one.
    public static func sockets(of process: Int32? = nil) -> [SocketState: Int]? {
        guard let states = states(of: process) else { return nil }
        return states.reduce(into: [:]) { $0[$1, default: 0] += 1 }
    }

    /// TCP sockets of a process that are in this state; `nil` where the kernel does not tell.
    ///
    /// - Parameter process: `nil` for this one.
    public static func sockets(of process: Int32? = nil, in state: SocketState) -> Int? {
        states(of: process)?.count { $0 == state }
    }

    private static func states(of process: Int32?) -> [SocketState]? {
        let folder = process.map { "/proc/\($0)" } ?? "/proc/self"
        guard let entries = try? FileManager.default.contentsOfDirectory(atPath: folder + "/fd") else { return nil }
        let own = Set(
            entries.compactMap { entry -> Substring? in
                let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/fd/\(entry)")
                guard let target, target.hasPrefix("socket:[") else { return nil }
                return target.dropFirst("socket:[".count).dropLast()
            })
        // A kernel without IPv6 has no second table.
        guard let table = whole("\(folder)/net/tcp") else { return nil }
        return [table, whole("\(folder)/net/tcp6") ?? ""].flatMap { table in
            table.split(separator: "\n").dropFirst().compactMap { line -> SocketState? in
                // The state is the fourth field, the number of the socket the tenth.
                let fields = line.split(separator: " ")
                guard fields.count > 9, own.contains(fields[9]) else { return nil }
                return SocketState(rawValue: String(fields[3]))
            }
        }
    }

    /// The kernel hands a long table out piece by piece, and Foundation takes the first piece for all of it.
    private static func whole(_ path: String) -> String? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var content: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = buffer.withUnsafeMutableBytes { read(file, $0.baseAddress, $0.count) }
            guard count > 0 else { return String(decoding: content, as: UTF8.self) }
            content += buffer[..<count]
        }
    }
}
