import ALDTestKit
import Foundation
import Testing

@testable import ALDCore

#if canImport(Glibc)
    import Glibc
#endif

extension PostgresConnection {
    /// Options that the kernel has for this connection's socket.
    fileprivate func socketOption(_ level: Int32, _ name: Int32) -> Int32? {
        var value: Int32 = -1
        var size = socklen_t(MemoryLayout<Int32>.size)
        guard let handle, getsockopt(handle.socket, level, name, &value, &size) == 0 else { return nil }
        return value
    }
}

/// What libpq's users expect of their connection strings, over TCP.
@Suite(.tlsServer, .serialized) struct PostgresTLSTests {
    private func server() throws -> PostgresTLSServer { try #require(PostgresTLSServer.current) }

    private func connect(_ string: String) async throws -> PostgresConnection {
        try await PostgresConnection.connect(
            PostgresConfiguration(connectionString: string), deadline: .patience, logger: TestPlace.logger)
    }

    private func refusal(_ string: String) async throws -> PostgresError {
        try await failure { _ = try await connect(string) }
    }

    private func isEncrypted(_ connection: PostgresConnection) async throws -> Bool {
        let result = try await connection.query(
            "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", deadline: .patience)
        return try #require(result.first).decode("ssl", as: Bool.self)
    }

    @Test(arguments: ["", "sslmode=allow", "sslmode=require"]) func encryptedWhereTheServerWantsIt(
        mode: String
    ) async throws {
        let connection = try await connect(try server().string("ald", mode))
        #expect(try await isEncrypted(connection))
        await connection.close()
    }

    @Test(arguments: ["sslmode=disable", "sslmode=prefer", ""]) func plainWhereTheServerWantsThat(
        mode: String
    ) async throws {
        let connection = try await connect(try server().string("plainuser", mode))
        #expect(try await !isEncrypted(connection))
        await connection.close()
    }

    @Test func modesThatExcludeEachOtherAreRefusedWithTheServersCode() async throws {
        for (role, mode) in [("ald", "disable"), ("plainuser", "require")] {
            let error = try await refusal(try server().string(role, "sslmode=\(mode)"))
            #expect(error.code == .authenticationFailed)
            #expect(error.sqlState == .invalidAuthorization)
        }
    }

    @Test func theCertificateIsVerifiedOnDemand() async throws {
        let server = try server()
        for mode in ["verify-ca", "verify-full"] {
            let connection = try await connect(
                server.string("ald", "sslmode=\(mode) sslrootcert=\(server.file("ca.crt"))"))
            #expect(try await isEncrypted(connection))
            await connection.close()
            let stranger = try await refusal(
                server.string("ald", "sslmode=\(mode) sslrootcert=\(server.file("other.crt"))"))
            #expect(stranger.code == .configurationInvalid, "\(stranger)")
            let missing = try await refusal(
                server.string("ald", "sslmode=\(mode) sslrootcert=\(server.file("nowhere.crt"))"))
            #expect(missing.code == .configurationInvalid, "\(missing)")
        }
        let wrongName = try await refusal(
            server.string("ald", "host=other.test sslmode=verify-full sslrootcert=\(server.file("ca.crt"))"))
        #expect(wrongName.code == .configurationInvalid, "\(wrongName)")
        #expect(wrongName.message.contains("other.test"))
        let authorityOnly = try await connect(
            server.string("ald", "host=other.test sslmode=verify-ca sslrootcert=\(server.file("ca.crt"))"))
        await authorityOnly.close()
    }

    @Test func aClientCertificateLogsIn() async throws {
        let server = try server()
        let files = "sslmode=require sslcert=\(server.file("client.crt")) sslkey=\(server.file("client.key"))"
        let connection = try await connect(server.string("certuser", files))
        #expect(try await isEncrypted(connection))
        await connection.close()
        let without = try await refusal(server.string("certuser", "sslmode=require"))
        #expect(without.code == .authenticationFailed)
        #expect(without.sqlState == .invalidAuthorization)
        let forAnother = try await refusal(server.string("passuser", files))
        #expect(forAnother.code == .authenticationFailed)
    }

    @Test func aPasswordFileIsRead() async throws {
        let server = try server()
        let path = server.file("passwords")
        try "\(PostgresTLSServer.name):5432:ald:passuser:r1ght\\:w0rd\n".write(
            toFile: path, atomically: false, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
        let connection = try await connect(server.string("passuser", "passfile=\(path)"))
        #expect(await connection.isClean)
        await connection.close()
        let without = try await refusal(server.string("passuser", "passfile=\(server.file("nowhere"))"))
        #expect(without.code == .authenticationFailed)
        let wrong = try await refusal(server.string("passuser", "password=wr0ng-w0rd"))
        #expect(wrong.sqlState == .invalidPassword)
        #expect(!"\(wrong)".contains("wr0ng"))
    }

    @Test func copiesWorkBehindTLS() async throws {
        let connection = try await connect(try server().string("ald", "sslmode=require"))
        try await connection.execute(script: "CREATE TEMP TABLE c (a int4 CHECK (a >= 0))", deadline: .patience)
        try await connection.copyIn("COPY c FROM STDIN (FORMAT binary)", deadline: .patience) { writer in
            try await writer.write(0..<200_000) { index, row in row.append(Int32(index)) }
        }
        let sum = try await connection.copyOut(
            "COPY c TO STDOUT (FORMAT binary)", columns: [.int4], deadline: .patience
        ) { rows in
            try await rows.reduce(0) { sum, row in sum + (try row.decode(0, as: Int.self)) }
        }
        #expect(sum == 199_999 * 100_000)
        let error = try await failure {
            try await connection.copyIn("COPY c FROM STDIN (FORMAT binary)", deadline: .patience) { writer in
                for index in 0..<100_000_000 { try await writer.write { $0.append(Int32(index == 5 ? -1 : 1)) } }
            }
        }
        #expect(error.sqlState == .checkViolation)
        #expect(await connection.isClean)
        await connection.close()
    }

    // MARK: Which server

    @Test(arguments: [
        ("ald", "any", true), ("ald", "read-write", true), ("ald", "primary", true), ("ald", "prefer-standby", true),
        ("ald", "read-only", false), ("ald", "standby", false), ("reader", "read-write", false),
        ("reader", "read-only", true), ("reader", "primary", true),
    ])
    func theSessionIsWhatWasAskedFor(role: String, attributes: String, isFine: Bool) async throws {
        let string = try server().string(role, "target_session_attrs=\(attributes)")
        guard !isFine else { return await (try connect(string)).close() }
        let error = try await refusal(string)
        #expect(error.code == .notPrimary, "\(error)")
        #expect(error.effect == .notSent)
    }

    @Test func aListOfHostsIsTriedInOrder() async throws {
        let server = try server()
        let nobody = try SilentListener(accepts: false)
        defer { nobody.close() }
        let connection = try await connect(
            "host=first.test,\(PostgresTLSServer.name) hostaddr=127.0.0.1,\(server.address) port=\(nobody.port),5432"
                + " user=ald dbname=ald")
        #expect(await connection.place == "\(PostgresTLSServer.name):5432/ald")
        await connection.close()
        let uri = try await connect(
            "postgresql://ald@127.0.0.1:\(nobody.port),\(server.address):5432/ald?target_session_attrs=read-write")
        #expect(await uri.place == "\(server.address):5432/ald")
        await uri.close()
    }

    /// The name servers answer once and never again: the address that was true then is used, and the certificate is
    /// verified against the name all the same. When they come back and know no such name, that is believed.
    @Test func aNameThatWasResolvedOnceIsRemembered() async throws {
        let server = try server()
        let record = LogRecord()
        let hang = DispatchSemaphore(value: 0)
        defer { hang.signal() }
        func login(_ authority: String, _ lookUp: @escaping NameResolution.LookUp) async throws -> PostgresConnection {
            let configuration = try PostgresConfiguration(
                connectionString: "host=\(PostgresTLSServer.name) user=ald dbname=ald sslmode=verify-full"
                    + " sslrootcert=\(server.file(authority))")
            return try await PostgresConnection.connect(
                configuration, deadline: .soon(.seconds(10)), logger: record.logger(), lookUp: lookUp)
        }
        let away = PostgresError(.nameResolutionFailed, "no name server answers")
        let first = try await login("ca.crt") { _ in .success([server.address]) }
        await first.close()
        #expect(!record.text.contains("last known"))
        for lookUp: NameResolution.LookUp in [
            { _ in .failure(NameResolution.Failure(error: away, isFinal: false)) },
            { _ in
                hang.wait()
                hang.signal()
                return .success([])
            },
        ] {
            let connection = try await login("ca.crt", lookUp)
            #expect(try await isEncrypted(connection))
            await connection.close()
        }
        #expect(record.text.contains("last known addresses are used") && record.text.contains(server.address))
        let stranger = try await failure {
            _ = try await login("other.crt") { _ in .failure(NameResolution.Failure(error: away, isFinal: false)) }
        }
        #expect(stranger.code == .configurationInvalid, "\(stranger)")
        for isFinal in [true, false] {
            let error = try await failure {
                _ = try await login("ca.crt") { _ in .failure(NameResolution.Failure(error: away, isFinal: isFinal)) }
            }
            #expect(error.code == .nameResolutionFailed, "\(error)")
        }
    }

    #if os(Linux)
        @Test func aVanishedPeerIsNoticedByDefault() async throws {
            let connection = try await connect(try server().string("ald"))
            #expect(await connection.socketOption(SOL_SOCKET, SO_KEEPALIVE) == 1)
            let tcp = Int32(IPPROTO_TCP)
            #expect(await connection.socketOption(tcp, TCP_KEEPIDLE) == 30)
            #expect(await connection.socketOption(tcp, TCP_KEEPINTVL) == 10)
            #expect(await connection.socketOption(tcp, TCP_KEEPCNT) == 3)
            #expect(await connection.socketOption(tcp, TCP_USER_TIMEOUT) == 30_000)
            await connection.close()
            let chosen = try await connect(
                try server().string("ald", "keepalives_idle=7 tcp_user_timeout=5000"))
            #expect(await chosen.socketOption(tcp, TCP_KEEPIDLE) == 7)
            #expect(await chosen.socketOption(tcp, TCP_USER_TIMEOUT) == 5000)
            await chosen.close()
        }
    #endif
}
