#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The system's resolver, as numbers.
enum NameResolution {
    typealias LookUp = @Sendable (String) -> Result<[String], Failure>

    struct Failure: Error {
        let error: PostgresError
        /// The resolver is sure that there is no such name; otherwise it could not ask.
        let isFinal: Bool
    }

    /// The numeric addresses of `name`, in the resolver's order of preference, or what it said instead.
    /// Blocks, possibly for minutes.
    static func addresses(of name: String) -> Result<[String], Failure> {
        var hints = addrinfo()
        #if canImport(Glibc)
            hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        #else
            hints.ai_socktype = SOCK_STREAM
        #endif
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(name, nil, &hints, &list)
        guard status == 0 else {
            let error = PostgresError(
                .nameResolutionFailed,
                "the host name \"\(name)\" cannot be resolved: \(String(cString: gai_strerror(status)))",
                place: name, remedy: "Check the name, /etc/hosts and the name servers.")
            return .failure(Failure(error: error, isFinal: status == EAI_NONAME))
        }
        defer { freeaddrinfo(list) }
        var result: [String] = []
        var next = list
        while let entry = next?.pointee {
            next = entry.ai_next
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            let written = getnameinfo(
                entry.ai_addr, entry.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
            guard written == 0 else { continue }
            let address = String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            if !result.contains(address) { result.append(address) }
        }
        return .success(result)
    }
}
