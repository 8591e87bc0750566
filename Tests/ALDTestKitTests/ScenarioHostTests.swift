import ALDCore
import Testing

@testable import ALDTestKit

/// A host on a server that is not its own leaves nothing there, whatever cuts it off.
@Suite("The server that scenarios share") struct ScenarioHostTests {
    /// A host that reaches its server through a proxy, and a look at the server past it.
    private struct Place {
        var host: ScenarioHost
        var proxy: FaultProxy
        var server: PostgresConfiguration

        /// Databases that a host has made.
        func left() async throws -> Int {
            try await TestDatabase.number(#"SELECT count(*) FROM pg_database WHERE datname LIKE 'ald\_%'"#, server)
        }

        /// The server does what it is asked, and the word that it has done so is lost with the connection.
        func loseWord() { proxy.set(.cut(at: .postgres(message: UInt8(ascii: "C")), .reset), .downstream) }
    }

    private func withHost(_ body: (Place) async throws -> Void) async throws {
        try await TestDatabase.withPrivateServer { _, lease in
            try await ProxiedDatabase.run(before: lease.configuration) { proxy, proxied in
                let url = try ProxiedDatabase.connectionString(of: proxied) + " sslmode=disable"
                let place = Place(
                    host: ScenarioHost(environment: ["ALD_DATABASE_URL": url]), proxy: proxy,
                    server: lease.configuration)
                // A name that only a host gives: the private server has none of them.
                #expect(try await place.left() == 0)
                let meanwhile = try await place.host.withDatabase(hasSchema: false) { _ in try await place.left() }
                #expect(meanwhile == 1)
                #expect(try await place.left() == 0)
                try await body(place)
            }
        }
    }

    @Test("what was made when the connection broke is removed, though nobody was told that it was made")
    func lostWord() async throws {
        for hasSchema in [false, true] {
            try await withHost { place in
                place.loseWord()
                await #expect(throws: PostgresError.self) {
                    try await place.host.withDatabase(hasSchema: hasSchema) { _ in
                        Issue.record("nobody has said that it is there")
                    }
                }
                place.proxy.heal()
                try await place.host.stop()
                #expect(try await place.left() == 0)
            }
        }
    }

    @Test("whoever is cancelled while the schema is made leaves no half of it")
    func cancelled() async throws {
        try await withHost { place in
            let host = place.host
            let making = Task { try await host.withDatabase { _ in } }
            try await eventually("it is being made") { try await place.left() > 0 }
            making.cancel()
            _ = await making.result
            try await host.stop()
            #expect(try await place.left() == 0)
        }
    }

    @Test("a stop that fails forgets nothing: the next one ends what is left, and one more has nothing to do")
    func stopAgain() async throws {
        try await withHost { place in
            try await place.host.withDatabase { _ in }
            #expect(try await place.left() == 1, "the one that others are copies of")
            place.proxy.down()
            await #expect(throws: PostgresError.self) { try await place.host.stop() }
            #expect(try await place.left() == 1)
            place.proxy.heal()
            try await place.host.stop()
            #expect(try await place.left() == 0)
            try await place.host.stop()
        }
    }

    @Test("a server at an address of this machine is put behind a proxy, with the password that it wants")
    func addressed() async throws {
        try await TestDatabase.withPrivateServer { _, lease in
            try await ProxiedDatabase.run(before: lease.configuration) { _, addressed in
                try await ProxiedDatabase.run(before: addressed.withRole("postgres", password: "secret")) {
                    outer, far in
                    #expect(!"\(far)".contains("secret") && "\(far)".contains("password=***"))
                    _ = try? await TestDatabase.number("SELECT 1", far)
                    #expect(outer.evidence.connections == 1)
                    #expect(throws: Unavailable.self) { try ProxiedDatabase.connectionString(of: far) }
                }
                try await ProxiedDatabase.run(before: addressed) { outer, far in
                    let answer = try await TestDatabase.number("SELECT 1", far)
                    #expect(answer == 1)
                    #expect(outer.evidence.bytes[.upstream, default: 0] > 0)
                }
            }
        }
    }

    @Test("no fault and no load goes to a server on another machine, and it is said what to do")
    func elsewhere() throws {
        let database = try PostgresConfiguration(connectionString: "host=db.example.com user=ald dbname=ald")
        let error = #expect(throws: Unavailable.self) { try ProxiedDatabase.target(of: database) }
        #expect(error?.reason.contains("db.example.com") == true && error?.remedy.contains("ALD_DATABASE_URL") == true)
        let local = try PostgresConfiguration(connectionString: "host=localhost user=ald dbname=ald")
        #expect(try ProxiedDatabase.target(of: local) == .port(5432))
    }
}
