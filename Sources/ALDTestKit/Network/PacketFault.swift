/// Trouble with the packets of some TCP ports within a ``NetworkNamespace``.
///
/// All of it is done by nftables where packets arrive (the input hook): whoever has sent one does not learn what became
/// of it, as on a bad line. Each packet that was dropped or refused is counted.
///
/// | Fault | Mechanism |
/// |---|---|
/// | ``Effect/loss(_:)`` | `numgen random … drop`: by the kernel's chance, which no seed replays |
/// | ``Effect/silence`` | `drop`: the peer is there and never heard of |
/// | ``Effect/refusal`` | `reject with tcp reset`: as if nobody listened |
/// | ``Effect/noNewConnections`` | `drop` of SYN without ACK: what is connected lives on |
/// | ``Effect/connectionLimit(_:)`` | `ct count over n reject`: as a controller with few connections |
///
/// How long packets take and how many fit is ``LinkFault``'s; what is connected is ended by ``ConnectionKill``.
public struct PacketFault: Hashable, Sendable {
    public enum Effect: Hashable, Sendable {
        /// Each packet gets lost with this probability, 0…1, in steps of a millionth.
        case loss(Double)
        case silence
        case refusal
        case noNewConnections
        /// At most so many connections at a time; further ones are refused.
        case connectionLimit(Int)
    }

    public var effect: Effect
    /// Of the servers.
    public var ports: Set<Int>
    /// Which way packets have to go. Only those to the server are refused: the answer to one has to come through.
    public var directions: Set<FaultProxy.Direction>

    public init(
        _ effect: Effect, ports: Set<Int>,
        directions: Set<FaultProxy.Direction> = Set(FaultProxy.Direction.allCases)
    ) {
        (self.effect, self.ports, self.directions) = (effect, ports, directions)
    }

    /// The commands that make a table of this name, with a counter for each direction.
    func commands(table: String) -> String {
        var commands = ["add table inet \(table)"]
        for direction in FaultProxy.Direction.allCases {
            commands.append("add counter inet \(table) \(Self.counter(direction))")
        }
        commands.append("add chain inet \(table) arriving { type filter hook input priority filter ; }")
        for direction in FaultProxy.Direction.allCases where affected.contains(direction) {
            let field = direction == .upstream ? "dport" : "sport"
            let list = ports.sorted().map(String.init).joined(separator: ", ")
            commands.append(
                "add rule inet \(table) arriving tcp \(field) { \(list) }\(condition) "
                    + "counter name \(Self.counter(direction)) \(verdict)")
        }
        return commands.joined(separator: "; ")
    }

    static func counter(_ direction: FaultProxy.Direction) -> String {
        switch direction {
        case .upstream: "upstream"
        case .downstream: "downstream"
        }
    }

    private var affected: Set<FaultProxy.Direction> {
        switch effect {
        case .loss, .silence: directions
        case .refusal, .noNewConnections, .connectionLimit: directions.intersection([.upstream])
        }
    }

    private var condition: String {
        let isNew = " tcp flags & (syn | ack) == syn"
        return switch effect {
        case .loss(1...): ""
        case .loss(let probability): " numgen random mod 1000000 < \(Int((probability * 1e6).rounded()))"
        case .silence, .refusal: ""
        case .noNewConnections: isNew
        case .connectionLimit(let count): "\(isNew) ct count over \(count)"
        }
    }

    private var verdict: String {
        switch effect {
        case .loss, .silence, .noNewConnections: "drop"
        case .refusal, .connectionLimit: "reject with tcp reset"
        }
    }
}
