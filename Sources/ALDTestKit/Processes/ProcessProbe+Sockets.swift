import Foundation

extension ProcessProbe {
    /// States of TCP as the kernel numbers them.
    public enum SocketState: String, Sendable {
        case established = "01"
        /// The peer has closed, and we have not: a leak when it stays.
        case closeWait = "08"
        case listening = "0A"
    }

    /// TCP sockets of a process that are in this state; `nil` where the kernel does not tell.
    ///
    /// - Parameter process: `nil` for this one.
    public static func sockets(of process: Int32? = nil, in state: SocketState) -> Int? {
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
        return [table, whole("\(folder)/net/tcp6") ?? ""].reduce(0) { sum, table in
            let lines = table.split(separator: "\n").dropFirst()
            return sum
                + lines.count { line in
                    // The state is the fourth field, the number of the socket the tenth.
                    let fields = line.split(separator: " ")
                    return fields.count > 9 && fields[3] == state.rawValue && own.contains(fields[9])
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
