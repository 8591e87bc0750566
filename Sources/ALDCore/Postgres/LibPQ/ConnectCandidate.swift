#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// One address to try, with everything libpq needs to go there without asking anybody.
struct ConnectCandidate: Sendable, Equatable {
    let options: [String: String]
    /// `host:port/database`, for messages.
    let place: String
}

/// The hosts of a configuration in the order in which they are to be tried.
///
/// libpq can walk a list by itself, but then one host that does not answer uses up the whole deadline and a name is
/// looked up by the calling thread. So every address becomes a connect of its own.
struct HostList: Sendable, Equatable {
    struct Entry: Sendable, Equatable {
        /// Empty for libpq's default, a path or `@name` for a unix socket, else a name or an address.
        let host: String
        /// Numeric address given by the user; empty if none.
        let address: String
        let port: String

        var isUnixSocket: Bool { host.isEmpty || host.hasPrefix("/") || host.hasPrefix("@") }

        /// Whether the system's resolver must be asked.
        var needsLookup: Bool { address.isEmpty && !isUnixSocket && !isNumeric }

        private var isNumeric: Bool {
            [AF_INET, AF_INET6].contains { family in
                var address = in6_addr()
                return inet_pton(family, host, &address) == 1
            }
        }
    }

    let entries: [Entry]
    private let options: [String: String]

    /// - Parameter options: effective options, see ``ConnectionOptions/effective(_:)``, which has checked that the
    ///   lists have equal lengths.
    init(_ options: [String: String]) {
        func list(_ key: String) -> [String] {
            (options[key] ?? "").split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        }
        let hosts = list("host")
        let addresses = list("hostaddr")
        let ports = list("port")
        self.options = options
        entries = (0..<max(hosts.count, addresses.count)).map { index in
            Entry(
                host: index < hosts.count ? hosts[index] : "",
                address: index < addresses.count ? addresses[index] : "",
                port: index < ports.count ? ports[index] : ports.last ?? "")
        }
    }

    /// - Parameter resolved: the addresses of an entry that needs a look-up.
    func candidates(for entry: Entry, resolved: [String]) -> [ConnectCandidate] {
        let addresses = entry.needsLookup ? resolved : [entry.address]
        return addresses.map { address in
            var options = options
            options["host"] = entry.host.isEmpty ? nil : entry.host
            options["hostaddr"] = address.isEmpty ? nil : address
            options["port"] = entry.port.isEmpty ? nil : entry.port
            let shown = entry.host.isEmpty ? (address.isEmpty ? "local socket" : address) : entry.host
            let port = entry.port.isEmpty ? "5432" : entry.port
            return ConnectCandidate(options: options, place: "\(shown):\(port)/\(options["dbname"] ?? "")")
        }
    }
}

extension ConnectCandidate {
    /// `prefer-standby` is a wish about a list of hosts, so it takes two rounds of single connects.
    static func rounds(_ candidates: [ConnectCandidate]) -> [ConnectCandidate] {
        guard candidates.first?.options["target_session_attrs"] == "prefer-standby" else { return candidates }
        return ["standby", "any"].flatMap { wish in
            candidates.map { candidate in
                var options = candidate.options
                options["target_session_attrs"] = wish
                return ConnectCandidate(options: options, place: candidate.place)
            }
        }
    }
}
