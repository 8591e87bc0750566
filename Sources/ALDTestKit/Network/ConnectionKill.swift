/// Established TCP connections of a ``NetworkNamespace`` that the kernel is to end by itself, as `ss -K` has it do
/// (`SOCK_DESTROY` of its socket diagnosis). A value without I/O.
///
/// Whose socket is ended hears that the connection was aborted (`ECONNABORTED`), the other end hears a reset. No packet
/// and no program has to go wrong for it, and whoever is connected to another port notices nothing.
public struct ConnectionKill: Hashable, Sendable {
    /// Which end of a connection a port belongs to. A connection within one namespace has both its sockets there, so each
    /// side has its own case.
    public enum Port: Hashable, Sendable {
        /// That of the socket itself: with a server's port what the server has accepted.
        case local(Int)
        /// That of its peer: with a server's port the sockets of its clients.
        case remote(Int)

        fileprivate var condition: String {
            switch self {
            case .local(let port): "sport = :\(port)"
            case .remote(let port): "dport = :\(port)"
            }
        }
    }

    public var port: Port

    public init(_ port: Port) { self.port = port }

    /// Lists the connections, one a line, and nothing else.
    var listing: [String] { ["ss", "-H", "-t", "-n", "state", "established", port.condition] }
    /// Ends the connections and lists those that the kernel says it has ended.
    var command: [String] { ["ss", "-K"] + listing.dropFirst() }

    /// - Parameters:
    ///   - before, ended, after: what ``listing`` has written, then ``command``, then ``listing`` again.
    ///   - complaints: what ``command`` has written as errors. It ends with 0 all the same.
    /// - Returns: how many connections were ended: bites.
    /// - Throws: ``Unavailable`` when some were there, are there still, and none was ended: where a kernel cannot do it,
    ///   `ss` says nothing; and when it complains.
    static func bites(
        before: [String], ended: [String], complaints: [String] = [], after: [String]
    ) throws(Unavailable) -> Int {
        guard complaints.isEmpty else {
            let words = complaints.joined(separator: "; ")
            guard words.contains("not permitted") else {
                throw Unavailable(.kernel, "`ss -K`: \(words)", remedy: Self.remedy)
            }
            throw Unavailable(
                .privilege, "`ss -K`: \(words)",
                remedy: "run as root; a container needs the right to (CAP_NET_ADMIN)")
        }
        let left = connections(after)
        // Where there is no socket diagnosis at all, `ss` lists them from elsewhere and ends none.
        let gone = connections(ended).subtracting(left)
        guard gone.isEmpty, let spared = connections(before).intersection(left).min() else { return gone.count }
        throw Unavailable(
            .kernel, "this kernel ends no connections: \(spared) lives on", remedy: remedy)
    }

    private static let remedy = "use one with CONFIG_INET_DIAG_DESTROY; a FaultProxy resets without"

    /// Local and remote address of each. Before them stand the lengths of its two queues.
    private static func connections(_ lines: [String]) -> Set<String> {
        let addresses = lines.map { $0.split(separator: " ").dropFirst(2).prefix(2).joined(separator: " – ") }
        return Set(addresses.filter { !$0.isEmpty })
    }
}

extension NetworkNamespace {
    /// Has the kernel end connections now.
    ///
    /// - Returns: how many were ended: bites.
    /// - Throws: ``Unavailable`` where the kernel cannot do it or does not allow it, or `ss` is not installed;
    ///   ``NeverHappened`` with what `ss` has written when it fails.
    public func perform(_ kill: ConnectionKill) async throws -> Int {
        let before = try await execute(kill.listing)
        let ended = try await execute(kill.command)
        let after = try await execute(kill.listing)
        return try ConnectionKill.bites(
            before: before.output, ended: ended.output, complaints: ended.errors, after: after.output)
    }
}
