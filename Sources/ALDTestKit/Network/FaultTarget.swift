import Foundation

/// Connects a ``FaultProxy`` to the server behind it.
enum FaultTarget {
    /// - Returns: -1 when nobody listens there.
    static func connect(to target: FaultProxy.Target) -> Int32 {
        switch target {
        case .unix(let path): connect(path: path)
        case .port(let port): connect(port: port)
        }
    }

    private static func connect(path: String) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8.prefix(MemoryLayout.size(ofValue: address.sun_path) - 1))
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        return connect(AF_UNIX, address)
    }

    private static func connect(port: Int) -> Int32 {
        guard let port = in_port_t(exactly: port) else { return -1 }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        return connect(AF_INET, address)
    }

    private static func connect(_ family: Int32, _ address: some BitwiseCopyable) -> Int32 {
        #if os(Linux)
            let descriptor = socket(family, Int32(SOCK_STREAM.rawValue), 0)
        #else
            let descriptor = socket(family, SOCK_STREAM, 0)
        #endif
        let result = withUnsafeBytes(of: address) { bytes -> Int32 in
            guard let base = bytes.baseAddress else { return -1 }
            let generic = base.assumingMemoryBound(to: sockaddr.self)
            return Foundation.connect(descriptor, generic, socklen_t(bytes.count))
        }
        if result == 0 { return descriptor }
        close(descriptor)
        return -1
    }
}
