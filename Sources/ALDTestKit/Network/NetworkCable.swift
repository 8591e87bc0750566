import Foundation

/// A cable (veth pair) from the machine's own network into a ``NetworkNamespace``, for a client that is the test itself.
/// It is gone with the namespace.
public struct NetworkCable: Sendable {
    /// The address at the end in the namespace.
    public let inside: String
    /// The address at this end.
    public let outside: String
    private let namespace: NetworkNamespace

    /// Lays a cable.
    public init(into namespace: NetworkNamespace) async throws {
        // A small network of four addresses, out of a block that is reserved for tests of benchmarks (RFC 2544).
        let network = Int.random(in: 0..<(1 << 15)) * 4
        let base = "198.\(18 + (network >> 16)).\((network >> 8) & 255)."
        (inside, outside) = (base + "\((network & 255) + 2)", base + "\((network & 255) + 1)")
        self.namespace = namespace
        // The kernel takes names of 15 characters at most.
        let name = "ald" + String(UInt32.random(in: 0...UInt32.max), radix: 36)
        let (here, there) = (name + "h", name + "t")
        try await Self.ip(["link", "add", here, "type", "veth", "peer", "name", there, "netns", namespace.name])
        try await Self.ip(["address", "add", outside + "/30", "dev", here])
        try await Self.ip(["link", "set", here, "up"])
        try await namespace.execute(["ip", "address", "add", inside + "/30", "dev", there])
        try await namespace.execute(["ip", "link", "set", there, "up"])
    }

    /// Whatever is sent from the namespace disappears without a word (a black hole among its routes), or does not any
    /// more.
    public func swallowAnswers(_ doesSwallow: Bool) async throws {
        try await namespace.execute(
            ["ip", "route", doesSwallow ? "add" : "delete", "blackhole", outside + "/32"])
    }

    private static func ip(_ arguments: [String]) async throws {
        let result = try await NetworkNamespace.program(["ip"] + arguments)
        guard result.exitCode == 0 else {
            throw NeverHappened(description: "ip \(arguments.joined(separator: " ")): \(result.transcript)")
        }
    }
}
