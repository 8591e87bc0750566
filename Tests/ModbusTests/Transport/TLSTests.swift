import ALDTestKit
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization
import Testing

@testable import Modbus

/// Far enough away that only a hang reaches it.
private func patience() -> NIODeadline {
    .now() + .seconds(60)
}

private func makeClient(_ tls: ModbusTLS.Client, port: Int, host: String = "127.0.0.1") throws -> ModbusClient {
    var configuration = ModbusClient.Configuration(host: host, port: port)
    configuration.tls = tls
    // The machine that runs the tests may be busy.
    configuration.connectTimeout = .seconds(30)
    return try ModbusClient(configuration: configuration)
}

private func makeServer(
    _ identity: String = "server", clients: ModbusTLS.Server.Clients = .mustBeSigned(by: TLSFiles.authority),
    device: any ModbusDevice = MemoryDevice(), authorization: ModbusAuthorization? = nil
) -> ModbusServer {
    var configuration = ModbusServer.Configuration()
    configuration.tls = ModbusTLS.Server(identity: TLSFiles.identity(identity), clients: clients)
    configuration.tls?.handshakeTimeout = .seconds(30)
    return ModbusServer(configuration: configuration, device: device, authorization: authorization)
}

/// Why a write to `server` failed before it was sent; nil when it did not, or was sent.
private func refusal(
    of tls: ModbusTLS.Client, by server: ModbusServer, host: String = "127.0.0.1"
) async throws -> String? {
    let client = try makeClient(tls, port: try await server.start(), host: host)
    let attempt = Task { try await client.write(coil: 0, true, deadline: patience()) }
    var reason: String?
    try await eventually("the first attempt has failed") {
        guard case .down(let error) = client.state, case .connectionFailed(.refused, let words) = error.code else {
            return false
        }
        reason = words
        return true
    }
    attempt.cancel()
    _ = await attempt.result
    let sent = client.statistics.requests
    await client.close()
    await server.stop()
    return sent == 0 ? reason : nil
}

@Suite("Modbus/TCP Security", .timeLimit(.minutes(2)))
struct TLSTests {
    private let operatorOnly = ModbusTLS.Client(trust: TLSFiles.authority, identity: TLSFiles.identity("operator"))

    @Test("both sides verified: requests and answers as without TLS, by address and by name")
    func roundTrip() async throws {
        let server = makeServer()
        let port = try await server.start()
        for host in ["127.0.0.1", "localhost"] {
            let client = try makeClient(operatorOnly, port: port, host: host)
            try await client.write(registers: 5, [1, 2, 3], deadline: patience())
            let range = try #require(AddressRange(start: 0, count: 125))
            let data = try await client.read(.holdingRegisters, range, deadline: patience())
            #expect(data.registers.prefix(9) == [0, 0, 0, 0, 0, 1, 2, 3, 0])
            #expect(client.statistics.connects == 1)
            await client.close()
        }
        #expect(server.statistics.handshakesFailed == 0)
        await server.stop()
    }

    @Test("the certificate's role decides what a client may do; a refusal is exception 01 and nothing is executed")
    func roles() async throws {
        let device = MemoryDevice()
        let seen = Mutex<[ModbusRole?]>([])
        let server = makeServer(device: device) { role, request, unit in
            seen.withLock { $0.append(role) }
            return !request.isWrite || (role == ModbusRole("Operator") && unit == 1)
        }
        let port = try await server.start()
        let nobody = try makeClient(.init(trust: TLSFiles.authority, identity: TLSFiles.identity("nobody")), port: port)
        _ = try await nobody.read(.coils, AddressRange(0), deadline: patience())
        let error = await #expect(throws: ModbusError.self) {
            try await nobody.write(coil: 0, true, deadline: patience())
        }
        #expect(error?.code == .exception(.illegalFunction, .writeSingleCoil))
        #expect(device.writes == 0)
        let operatorClient = try makeClient(operatorOnly, port: port)
        try await operatorClient.write(coil: 0, true, deadline: patience())
        await #expect(throws: ModbusError.self) {
            try await operatorClient.write(coil: 0, true, unit: 2, deadline: patience())
        }
        #expect(device.writes == 1)
        #expect(seen.withLock { $0 } == [nil, nil, ModbusRole("Operator"), ModbusRole("Operator")])
        await nobody.close()
        await operatorClient.close()
        await server.stop()
    }

    @Test("a client without TLS is a client without role")
    func plainRole() async throws {
        let server = ModbusServer(device: MemoryDevice()) { role, _, _ in role != nil }
        let client = try ModbusClient(configuration: .init(host: "127.0.0.1", port: try await server.start()))
        let error = await #expect(throws: ModbusError.self) {
            try await client.read(.coils, AddressRange(0), deadline: patience())
        }
        #expect(error?.code == .exception(.illegalFunction, .readCoils))
        await client.close()
        await server.stop()
    }

    @Test("a server nobody here trusts: nothing is sent, and the reason says what to configure")
    func unknownAuthority() async throws {
        let tls = ModbusTLS.Client(trust: TLSFiles.stranger, identity: TLSFiles.identity("operator"))
        let reason = try await refusal(of: tls, by: makeServer())
        #expect(reason?.contains("not signed by an authority that is trusted here") == true, "\(reason ?? "sent")")
    }

    @Test("trust in the system's authorities is no trust in ours")
    func systemTrust() async throws {
        let reason = try await refusal(of: ModbusTLS.Client(identity: TLSFiles.identity("operator")), by: makeServer())
        #expect(reason?.contains("not signed by an authority") == true, "\(reason ?? "sent")")
    }

    @Test("an expired certificate is called expired")
    func expired() async throws {
        let reason = try await refusal(of: operatorOnly, by: makeServer("expired"))
        #expect(reason?.contains("expired") == true, "\(reason ?? "sent")")
    }

    @Test("a certificate for another host is refused, by address and by name, and taken when its name is configured")
    func wrongName() async throws {
        for host in ["127.0.0.1", "localhost"] {
            let reason = try await refusal(of: operatorOnly, by: makeServer("elsewhere"), host: host)
            #expect(reason?.contains("tls.serverName") == true, "\(reason ?? "sent")")
        }
        var named = operatorOnly
        named.serverName = "plc.example"
        var unnamed = operatorOnly
        unnamed.verification = .chainWithoutName
        var blind = ModbusTLS.Client(trust: TLSFiles.stranger, identity: TLSFiles.identity("operator"))
        blind.verification = .insecurelyAcceptAnyPeer
        let server = makeServer("elsewhere")
        let port = try await server.start()
        for tls in [named, unnamed, blind] {
            let client = try makeClient(tls, port: port)
            _ = try await client.read(.coils, AddressRange(0), deadline: patience())
            await client.close()
        }
        await server.stop()
    }

    @Test("a server that has nothing newer than TLS 1.1 is refused, and so is such a client")
    func oldVersions() async throws {
        func old(_ configuration: TLSConfiguration) throws -> NIOSSLContext {
            var configuration = configuration
            configuration.minimumTLSVersion = .tlsv1
            configuration.maximumTLSVersion = .tlsv11
            configuration.certificateVerification = .none
            return try NIOSSLContext(configuration: configuration)
        }
        let identity = try (
            NIOSSLCertificate.fromPEMFile(TLSFiles.path("server.pem")).map { NIOSSLCertificateSource.certificate($0) },
            NIOSSLPrivateKey(file: TLSFiles.path("server.key"), format: .pem)
        )
        let served = try old(
            .makeServerConfiguration(certificateChain: identity.0, privateKey: .privateKey(identity.1)))
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: served))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let client = try makeClient(operatorOnly, port: try #require(listener.localAddress?.port))
        let attempt = Task { try await client.write(coil: 0, true, deadline: patience()) }
        try await eventually("the client has refused") {
            if case .down(let error) = client.state {
                error.message.contains("no TLS version in common")
            } else {
                false
            }
        }
        attempt.cancel()
        _ = await attempt.result
        #expect(client.statistics.connects == 0)
        await client.close()
        try await listener.close()

        let server = makeServer(clients: .insecurelyNotAsked)
        let used = try old(.makeClientConfiguration())
        let peer = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        NIOSSLClientHandler(context: used, serverHostname: nil))
                }
            }
            .connect(host: "127.0.0.1", port: try await server.start()).get()
        try await eventually("the server has refused") { server.statistics.handshakesFailed == 1 }
        try? await peer.close()
        await server.stop()
    }

    @Test("a server that does not speak TLS: the reason says so")
    func plainServer() async throws {
        let reason = try await refusal(of: operatorOnly, by: ModbusServer(device: MemoryDevice()))
        #expect(reason?.contains("may not speak TLS") == true, "\(reason ?? "sent")")
    }

    @Test(
        "a client without a certificate, with a stranger's, or with a role of the wrong kind reaches no device",
        arguments: [nil, "intruder", "ia5"])
    func refusedClients(name: String?) async throws {
        let device = MemoryDevice()
        let server = makeServer(device: device)
        let tls = ModbusTLS.Client(trust: TLSFiles.authority, identity: name.map(TLSFiles.identity))
        let client = try makeClient(tls, port: try await server.start())
        let attempt = Task { try await client.read(.coils, AddressRange(0), deadline: patience()) }
        try await eventually("the server has refused it") { server.statistics.handshakesFailed > 0 }
        try await eventually("the client knows") {
            if case .down(let error) = client.state, error.code != .notConnected { true } else { false }
        }
        attempt.cancel()
        await #expect(throws: ModbusError.self) { try await attempt.value }
        #expect(server.statistics.requests == 0 && client.statistics.replies == 0)
        await client.close()
        await server.stop()
    }

    @Test("a server that may be open to anybody is, when it says so")
    func notAsked() async throws {
        let server = makeServer(clients: .insecurelyNotAsked)
        let client = try makeClient(.init(trust: TLSFiles.authority), port: try await server.start())
        _ = try await client.read(.coils, AddressRange(0), deadline: patience())
        await client.close()
        await server.stop()
    }

    @Test("a peer that accepts and never answers the handshake: both sides give up")
    func silentPeers() async throws {
        let silent = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0).get()
        var configuration = ModbusClient.Configuration(
            host: "127.0.0.1", port: try #require(silent.localAddress?.port))
        configuration.tls = operatorOnly
        configuration.connectTimeout = .milliseconds(50)
        let hopeful = try ModbusClient(configuration: configuration)
        let attempt = Task { try await hopeful.write(coil: 0, true, deadline: patience()) }
        try await eventually("the client has given up waiting for the handshake") {
            if case .down(let error) = hopeful.state { error.message.contains("handshake in time") } else { false }
        }
        attempt.cancel()
        _ = await attempt.result
        #expect(hopeful.statistics.requests == 0)
        await hopeful.close()
        try await silent.close()

        var own = ModbusServer.Configuration()
        own.tls = ModbusTLS.Server(identity: TLSFiles.identity("server"), clients: .insecurelyNotAsked)
        own.tls?.handshakeTimeout = .milliseconds(20)
        let server = ModbusServer(configuration: own, device: MemoryDevice())
        let mute = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: try await server.start()).get()
        try await mute.closeFuture.get()
        #expect(server.statistics.handshakesFailed == 1)
        try await eventually("its place is free again") { server.statistics.open == 0 }
        await server.stop()
    }

    @Test("a lost connection is made again, with TLS, and the client needs no help")
    func restart() async throws {
        let first = makeServer()
        let port = try await first.start()
        let client = try makeClient(operatorOnly, port: port)
        _ = try await client.read(.coils, AddressRange(0), deadline: patience())
        await first.stop()
        var configuration = first.configuration
        configuration.port = port
        let second = ModbusServer(configuration: configuration, device: MemoryDevice())
        try await second.start()
        _ = try await client.read(.coils, AddressRange(0), deadline: patience())
        #expect(client.statistics.reconnects == 1)
        await client.close()
        await second.stop()
    }

    @Test("files that are missing or hold something else are named, with what to do")
    func files() async throws {
        func problem(_ change: (inout ModbusTLS.Server) -> Void) async -> String {
            var configuration = ModbusServer.Configuration()
            var tls = ModbusTLS.Server(identity: TLSFiles.identity("server"), clients: .insecurelyNotAsked)
            change(&tls)
            configuration.tls = tls
            let error = await #expect(throws: ModbusServerError.self) {
                try await ModbusServer(configuration: configuration, device: MemoryDevice()).start()
            }
            return error?.description ?? ""
        }
        let missing = await problem { $0.identity.chain = .file("/nowhere/server.pem") }
        #expect(missing.contains("/nowhere/server.pem cannot be read: No such file"))
        let text = await problem { $0.identity.chain = .pem("no certificate") }
        #expect(text.contains("BEGIN CERTIFICATE"))
        let noKey = await problem { $0.identity.key = .file(TLSFiles.path("server.pem")) }
        #expect(noKey.contains("must be a private key"))
        let mismatch = await problem { $0.identity.key = .file(TLSFiles.path("operator.key")) }
        #expect(mismatch.contains("cannot be used together"), "\(mismatch)")
        let roots = await problem { $0.clients = .mustBeSigned(by: .authorities(.file("/nowhere/ca.pem"))) }
        #expect(roots.contains("/nowhere/ca.pem"))
        let secret = await problem { $0.identity.key = .file(TLSFiles.path("encrypted.key"), password: "hunter2") }
        #expect(secret.contains("password") && !secret.contains("hunter2"))
    }

    @Test("an encrypted key with its password works; a client whose files are missing says which")
    func clientFiles() async throws {
        let server = makeServer()
        let port = try await server.start()
        let encrypted = ModbusTLS.Identity(
            chain: .file(TLSFiles.path("operator.pem")),
            key: .file(TLSFiles.path("encrypted.key"), password: "secret"))
        let client = try makeClient(.init(trust: TLSFiles.authority, identity: encrypted), port: port)
        _ = try await client.read(.coils, AddressRange(0), deadline: patience())
        await client.close()
        await server.stop()
        let missing = ModbusTLS.Client(trust: .authorities(.file("/nowhere/ca.pem")))
        let reason = try await refusal(of: missing, by: makeServer())
        #expect(reason?.contains("/nowhere/ca.pem cannot be read") == true, "\(reason ?? "sent")")
    }

    @Test("no key and no password shows when a configuration is printed, dumped or described")
    func secrets() {
        var configuration = ModbusClient.Configuration(host: "plc")
        configuration.tls = ModbusTLS.Client(
            identity: .init(chain: .file("a.pem"), key: .pem("KEYBYTES", password: "hunter2")))
        var texts = ["\(configuration)", String(reflecting: configuration)]
        var dumped = ""
        dump(configuration, to: &dumped)
        texts.append(dumped)
        for text in texts {
            #expect(!text.contains("KEYBYTES") && !text.contains("hunter2"), "\(text)")
            #expect(text.contains("private key given as text"))
        }
    }

    @Test("a configuration that cannot work says so before anything is opened")
    func validation() {
        var configuration = ModbusClient.Configuration(host: "plc", port: ModbusTLS.port)
        configuration.tls = ModbusTLS.Client(trust: .authorities(.file("")))
        configuration.tls?.serverName = "192.0.2.1"
        configuration.tls?.verification = .chainWithoutName
        #expect(configuration.validate().count == 3)
        var server = ModbusServer.Configuration()
        server.tls = ModbusTLS.Server(
            identity: .init(chain: .file(""), key: .file("")), clients: .mustBeSigned(by: .authorities(.file(""))))
        server.tls?.handshakeTimeout = .zero
        #expect(server.validate().count == 4)
    }
}
