import ALDCore
import Foundation

/// A fault that is on.
public struct ImposedFault: Sendable {
    fileprivate let namespace: NetworkNamespace
    fileprivate let table: String

    /// How many packets it has hit so far, each way.
    public func packets() async throws -> [FaultProxy.Direction: Int] {
        let listed = try await namespace.execute(["nft", "--json", "list", "counters", "table", "inet", table])
        let counters = try JSONDecoder().decode(NetfilterList.self, from: Data(listed.output.joined().utf8)).counters
        return Dictionary(
            uniqueKeysWithValues: FaultProxy.Direction.allCases.map { ($0, counters[PacketFault.counter($0)] ?? 0) })
    }

    /// How many packets it has hit so far.
    public func bites() async throws -> Int { try await packets().values.reduce(0, +) }
}

extension NetworkNamespace {
    /// Has `body` run under a fault. It ends with `body`, whatever happened.
    ///
    /// - Throws: ``Unavailable`` where nftables is missing, and what `body` throws.
    public func under<Result>(
        _ fault: PacketFault, _ body: (ImposedFault) async throws -> Result
    ) async throws -> Result {
        let imposed = ImposedFault(
            namespace: self, table: "fault" + String(UInt32.random(in: 0...UInt32.max), radix: 36))
        let added = try await Self.program(prefix + ["nft", fault.commands(table: imposed.table)])
        guard added.exitCode == 0 else {
            throw Unavailable(
                .kernel, "this kernel's nftables does not take \(fault.effect): \(added.transcript)",
                remedy: "use one with numgen, reject and connlimit")
        }
        return try await withCleanup {
            try await body(imposed)
        } cleanup: {
            try await execute(["nft", "delete table inet \(imposed.table)"])
        }
    }

    /// Has `body` run while the loopback interface is in trouble. What it is given asks how many packets have been
    /// affected so far.
    ///
    /// - Throws: ``Unavailable`` where the kernel has no such discipline, and what `body` throws.
    public func under<Result>(
        _ fault: LinkFault, _ body: (_ bites: @Sendable () async throws -> Int) async throws -> Result
    ) async throws -> Result {
        let added = try await Self.program(
            prefix + ["tc", "qdisc", "add", "dev", "lo", "root"] + fault.discipline)
        guard added.exitCode == 0 else {
            throw Unavailable(
                .kernel, "this kernel has no \(fault.discipline[0]): \(added.transcript)",
                remedy: "use a kernel with it; ``LongLine`` delays without, ``FaultProxy`` limits")
        }
        return try await withCleanup {
            try await body {
                let shown = try await execute(["tc", "-statistics", "-json", "qdisc", "show", "dev", "lo"])
                let all = try JSONDecoder().decode([LinkDiscipline].self, from: Data(shown.output.joined().utf8))
                guard let found = all.first(where: { $0.kind == fault.discipline[0] }) else { return 0 }
                // A limit bites what it holds back, a delay everything.
                return if case .bandwidth = fault { found.overlimits + found.drops } else { found.packets }
            }
        } cleanup: {
            try await execute(["tc", "qdisc", "delete", "dev", "lo", "root"])
        }
    }
}

/// What `nft --json list counters` writes.
private struct NetfilterList: Decodable {
    struct Counter: Decodable {
        var name: String
        var packets: Int
    }

    struct Entry: Decodable {
        var counter: Counter?
    }

    var nftables: [Entry]

    var counters: [String: Int] {
        Dictionary(nftables.compactMap(\.counter).map { ($0.name, $0.packets) }, uniquingKeysWith: +)
    }
}

/// What `tc -statistics -json qdisc show` writes.
private struct LinkDiscipline: Decodable {
    var kind: String
    var packets: Int
    var drops: Int
    var overlimits: Int
}
