import Foundation
import Testing

@testable import ALDTestKit

/// The kernel ends connections by their port, and no other ones.
@Suite("Connections that the kernel ends") struct ConnectionKillTests {
    private typealias Pair = (client: WirePeer, server: WirePeer)

    /// Two connections to different ports of a namespace, both of whose ends are in there.
    private static func withPairs(
        _ body: (NetworkNamespace, _ ports: (Int, Int), _ pairs: (Pair, Pair)) async throws -> Void
    ) async throws {
        try await NetworkNamespace.run { namespace in
            let listeners = try await namespace.inside { (try listener(), try listener()) }
            defer { for one in [listeners.0, listeners.1] { close(one.descriptor) } }
            let pairs = try await namespace.inside { (try await pair(listeners.0), try await pair(listeners.1)) }
            try await body(namespace, (listeners.0.port, listeners.1.port), pairs)
        }
    }

    private static func listener() throws -> ListeningSocket {
        let listener = try ListeningSocket()
        _ = fcntl(listener.descriptor, F_SETFL, fcntl(listener.descriptor, F_GETFL) | O_NONBLOCK)
        return listener
    }

    private static func pair(_ listener: ListeningSocket) async throws -> Pair {
        let client = try WirePeer.connect(to: listener.port)
        return (client, try await WirePeer.accept(listener))
    }

    private static func checkSound(_ pair: Pair) async throws {
        try pair.client.send("ping")
        #expect(try await pair.server.receive(4) == "ping")
        try pair.server.send("pong")
        #expect(try await pair.client.receive(4) == "pong")
    }

    @Test(
        "one end hears that it was aborted, the other of a reset; a connection to another port lives, and it counts once",
        .enabled("needs root and network namespaces") { await NetworkNamespace.isAvailable() },
        arguments: [true, false])
    func killed(isServers: Bool) async throws {
        try await Self.withPairs { namespace, ports, pairs in
            let kill = ConnectionKill(isServers ? .local(ports.0) : .remote(ports.0))
            try await Self.checkSound(pairs.0)
            do {
                let bites = try await namespace.perform(kill)
                #expect(bites == 1)
                #expect(try await pairs.0.server.end() == (isServers ? .aborted : .reset))
                #expect(try await pairs.0.client.end() == (isServers ? .reset : .aborted))
                let further = try await namespace.perform(kill)
                #expect(further == 0, "there is none any more")
            } catch let lacking as Unavailable {
                #expect(lacking.excusesTests)
                try await Self.checkSound(pairs.0)
            }
            try await Self.checkSound(pairs.1)
        }
    }

    @Test(
        "all connections of a port are ended, each counts, and it takes new ones",
        .enabled("needs root and network namespaces") { await NetworkNamespace.isAvailable() })
    func several() async throws {
        try await NetworkNamespace.run { namespace in
            let listener = try await namespace.inside { try Self.listener() }
            defer { close(listener.descriptor) }
            do {
                let pairs = try await namespace.inside {
                    [try await Self.pair(listener), try await Self.pair(listener), try await Self.pair(listener)]
                }
                let bites = try await namespace.perform(ConnectionKill(.local(listener.port)))
                #expect(bites == 3)
                for pair in pairs { #expect(try await pair.client.end() == .reset) }
            } catch let lacking as Unavailable {
                #expect(lacking.excusesTests)
            }
            try await Self.checkSound(try await namespace.inside { try await Self.pair(listener) })
        }
    }

    // MARK: What `ss` has written

    private static let first = "0      0          127.0.0.1:4455    127.0.0.1:46412       "
    private static let second = "0      12         127.0.0.1:4455    127.0.0.1:46414"

    @Test("what is ended and gone counts, also beside what came meanwhile")
    func counted() throws {
        let both = [Self.first, Self.second]
        #expect(try ConnectionKill.bites(before: both, ended: both, after: []) == 2)
        #expect(try ConnectionKill.bites(before: both, ended: [Self.first], after: [Self.second]) == 1)
        #expect(try ConnectionKill.bites(before: [], ended: [], after: [Self.second]) == 0)
        #expect(try ConnectionKill.bites(before: [Self.first], ended: [], after: []) == 0, "it has ended by itself")
        #expect(try ConnectionKill.bites(before: [], ended: [], after: []) == 0)
    }

    @Test("a kernel that ends none is told from one that had none to end", arguments: [true, false])
    func unavailable(claims: Bool) {
        let lacking = #expect(throws: Unavailable.self) {
            // What waits to be sent has changed meanwhile; it is the same connection.
            try ConnectionKill.bites(
                before: [Self.first], ended: claims ? [Self.first] : [],
                after: [Self.first.replacingOccurrences(of: "0 ", with: "7 ")])
        }
        #expect(lacking?.kind == .kernel && lacking?.reason.contains("127.0.0.1:46412") == true)
        #expect(lacking?.remedy.contains("CONFIG_INET_DIAG_DESTROY") == true)
    }

    @Test("who may not end any is told so")
    func forbidden() {
        let lacking = #expect(throws: Unavailable.self) {
            try ConnectionKill.bites(
                before: [Self.first], ended: [], complaints: ["SOCK_DESTROY answers: Operation not permitted"],
                after: [Self.first])
        }
        #expect(lacking?.kind == .privilege && lacking?.reason.contains("not permitted") == true)
    }
}
