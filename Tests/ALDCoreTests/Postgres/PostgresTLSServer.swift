import ALDTestKit
import Foundation
import Testing

@testable import ALDCore

/// A private server that speaks TLS on a loopback address of its own, with certificates made for it.
struct PostgresTLSServer: Sendable {
    @TaskLocal static var current: PostgresTLSServer?

    /// The name in the server's certificate. Nothing resolves it; tests give the address, too.
    static let name = "db.test"

    let address: String
    /// Where the certificates are: `ca.crt`, `other.crt` (of an authority that signed nothing), `client.crt`/`.key`.
    let directory: String

    /// A connection string for the role; `extra` comes last and wins.
    func string(_ role: String, _ extra: String = "") -> String {
        "host=\(Self.name) hostaddr=\(address) user=\(role) dbname=ald \(extra)"
    }

    func file(_ name: String) -> String { directory + "/" + name }

    static func run(_ body: @Sendable (PostgresTLSServer) async throws -> Void) async throws {
        try await TestDatabase.withPrivateServer { server, lease in
            let data = try #require(lease.directory) + "/data"
            // All of 127/8 is this machine, so nobody else is on port 5432 of this address.
            var random = SystemRandomNumberGenerator()
            let parts = (0..<3).map { _ in String(UInt8.random(in: 1...250, using: &random)) }
            let address = "127." + parts.joined(separator: ".")
            try await withTemporaryDirectory { directory in
                try await makeCertificates(in: directory)
                try install(directory, into: data)
                try configure(data, address: address)
                try await TestDatabase.withConnection(lease.configuration) { connection, deadline in
                    try await connection.execute(script: roles, deadline: deadline)
                }
                try await server.stop()
                _ = try await server.start()
                try await body(PostgresTLSServer(address: address, directory: directory))
            }
        }
    }

    private static let roles = """
        CREATE ROLE certuser LOGIN; CREATE ROLE passuser LOGIN PASSWORD 'r1ght:w0rd'; CREATE ROLE plainuser LOGIN;
        CREATE ROLE reader LOGIN; ALTER ROLE reader SET default_transaction_read_only = on
        """

    private static func configure(_ data: String, address: String) throws {
        let settings = """

            listen_addresses = '\(address)'
            ssl = on
            ssl_ca_file = 'ca.crt'

            """
        let file = try #require(FileHandle(forWritingAtPath: data + "/postgresql.conf"))
        try file.seekToEnd()
        try file.write(contentsOf: Data(settings.utf8))
        try file.close()
        try """
        local all all trust
        hostssl all certuser all cert
        hostssl all passuser all scram-sha-256
        hostssl all ald,reader all trust
        hostnossl all plainuser all trust

        """.write(toFile: data + "/pg_hba.conf", atomically: false, encoding: .utf8)
    }

    // MARK: Certificates

    private static func makeCertificates(in directory: String) async throws {
        for authority in ["ca", "other"] {
            try await openssl(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=\(authority)"
                    + " -keyout \(authority).key -out \(authority).crt", in: directory)
        }
        try "subjectAltName=DNS:\(name)\n".write(toFile: directory + "/san", atomically: false, encoding: .utf8)
        for (file, subject) in [("server", name), ("client", "certuser")] {
            try await openssl(
                "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=\(subject)"
                    + " -keyout \(file).key -out \(file).csr", in: directory)
            try await openssl(
                "x509 -req -in \(file).csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile san -out \(file).crt",
                in: directory)
        }
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: directory + "/client.key")
    }

    private static func openssl(_ arguments: String, in directory: String) async throws {
        let files: Set = ["key", "crt", "csr", "san"]
        let words = arguments.split(separator: " ").map(String.init).map { word in
            let isFile = files.contains(word.split(separator: ".").last.map(String.init) ?? "") && !word.hasPrefix("-")
            return isFile ? directory + "/" + word : word
        }
        let result = try await ChildProcess.run("/usr/bin/env", ["openssl"] + words)
        try #require(result.exitCode == 0, "\(result.transcript)")
    }

    /// The server wants to own its key, and nobody else may read it.
    private static func install(_ directory: String, into data: String) throws {
        let owner = try FileManager.default.attributesOfItem(atPath: data)
        for name in ["server.crt", "server.key", "ca.crt"] {
            let target = data + "/" + name
            try FileManager.default.copyItem(atPath: directory + "/" + name, toPath: target)
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: target)
            let user = try #require(owner[.ownerAccountID] as? NSNumber)
            let group = try #require(owner[.groupOwnerAccountID] as? NSNumber)
            try #require(chown(target, user.uint32Value, group.uint32Value) == 0)
        }
    }
}

/// Starts the server before the first test of a suite and stops it after the last one.
struct TLSServerTrait: SuiteTrait, TestTrait, TestScoping {
    let isRecursive = false

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        try await PostgresTLSServer.run { server in
            try await PostgresTLSServer.$current.withValue(server, operation: function)
        }
    }
}

extension Trait where Self == TLSServerTrait {
    static var tlsServer: Self { TLSServerTrait() }
}
