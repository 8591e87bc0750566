import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import Modbus

private func range(_ start: UInt16, _ count: Int) throws -> AddressRange {
    try #require(AddressRange(start: start, count: count))
}

/// Far enough away that only a hang reaches it.
private func patience() -> NIODeadline {
    .now() + .seconds(60)
}

private func withServer(
    _ device: any ModbusDevice = MemoryDevice(), _ change: (inout ModbusServer.Configuration) -> Void = { _ in },
    _ body: (ModbusServer, ModbusClient) async throws -> Void
) async throws {
    var configuration = ModbusServer.Configuration()
    change(&configuration)
    let server = ModbusServer(configuration: configuration, device: device)
    let port = try await server.start()
    let client = try ModbusClient(configuration: .init(host: "127.0.0.1", port: port))
    do {
        try await body(server, client)
    } catch {
        Issue.record(error)
    }
    await client.close()
    await server.stop()
}

@Suite("Client and server over real sockets")
struct LoopbackTests {
    @Test("all eight functions, round trip")
    func roundTrip() async throws {
        try await withServer { server, client in
            #expect(client.state == .down(reason: ModbusError(.notConnected)))
            try await client.write(coil: 3, true, deadline: patience())
            try await client.write(coils: 10, [true, false, true], deadline: patience())
            try await client.write(register: 5, 0xBEEF, deadline: patience())
            try await client.write(registers: 6, [1, 2, 3], deadline: patience())
            let coils = try await client.read(.coils, range(3, 10), deadline: patience())
            #expect(coils.bits == [true, false, false, false, false, false, false, true, false, true])
            let inputs = try await client.read(.discreteInputs, range(0, 7), deadline: patience())
            #expect(inputs.bits == [true, false, false, true, false, false, true])
            let holding = try await client.read(.holdingRegisters, range(5, 4), deadline: patience())
            #expect(holding.registers == [0xBEEF, 1, 2, 3])
            let input = try await client.read(.inputRegisters, range(100, 125), deadline: patience())
            #expect(input.registers == (100..<225).map { UInt16($0) })
            #expect(client.state == .up)
            #expect(client.statistics.succeeded == 8 && server.statistics.requests == 8)
            #expect(client.statistics.connects == 1)
        }
    }

    @Test("a plan comes back whole, with an exception for the request the device refused")
    func plan() async throws {
        try await withServer { _, client in
            let plan = try ReadPlanner().plan([
                ReadSpan(.inputRegisters, range(10, 2)), ReadSpan(.inputRegisters, range(200, 2)),
                ReadSpan(.discreteInputs, range(3, 1)), ReadSpan(.coils, range(5000, 1)),
            ])
            #expect(plan.requests.count == 4)
            let result = await client.run(plan, deadline: patience())
            #expect(try result.values(.inputRegisters, range(200, 2))?.get() == .registers([200, 201]))
            #expect(try result.bit(.discreteInputs, at: 3)?.get() == true)
            guard case .failure(let error) = result.bit(.coils, at: 5000) else {
                Issue.record("a coil that does not exist has a value")
                return
            }
            #expect(error.code == .exception(.illegalDataAddress, .readCoils) && error.isAnswer)
            #expect(client.state == .up)
        }
    }

    @Test("many callers at once, each with its own answer")
    func concurrentCallers() async throws {
        try await withServer { server, client in
            await withTaskGroup(of: Void.self) { group in
                for address in UInt16(0)..<200 {
                    group.addTask {
                        let data = try? await client.read(
                            .inputRegisters, AddressRange(address), deadline: patience())
                        #expect(data == .registers([address]))
                    }
                }
            }
            #expect(server.statistics.accepted == 1)
        }
    }

    @Test("the server is stopped and started again: the client is usable without help")
    func restart() async throws {
        let device = MemoryDevice()
        // On an address of its own: on that of all tests somebody else may be given the port between the two starts.
        #if os(Linux)
            let host = "127.88.0.1"
        #else
            let host = "127.0.0.1"
        #endif
        let first = ModbusServer(configuration: .init(host: host), device: device)
        let port = try await first.start()
        let client = try ModbusClient(configuration: .init(host: host, port: port))
        _ = try await client.read(.coils, range(0, 1), deadline: patience())
        await first.stop()
        #expect(first.statistics.open == 0 && first.port == nil)

        await #expect(throws: ModbusError.self) {
            try await client.read(.coils, range(0, 1), deadline: .now() + .milliseconds(50))
        }
        // Asked while the server is away, answered once it is back.
        async let waiting = client.read(.coils, range(0, 1), deadline: patience())
        let second = ModbusServer(configuration: .init(host: host, port: port), device: device)
        try await second.start()
        #expect(try await waiting == .bits([false]))
        #expect(client.statistics.reconnects == 1 && client.state == .up)
        await client.close()
        await second.stop()
        try await second.start()
        await second.stop()
    }

    @Test("a server that accepts and never answers: an error at the deadline, then a new connection")
    func silentServer() async throws {
        let group = MultiThreadedEventLoopGroup.singleton
        let silent = try await ServerBootstrap(group: group).bind(host: "127.0.0.1", port: 0).get()
        var configuration = ModbusClient.Configuration(
            host: "127.0.0.1", port: try #require(silent.localAddress?.port))
        configuration.progressTimeout = .milliseconds(100)
        let client = try ModbusClient(configuration: configuration)
        let deadline = NIODeadline.now() + .milliseconds(60)
        let error = await #expect(throws: ModbusError.self) {
            try await client.read(.coils, AddressRange(0), deadline: deadline)
        }
        guard case .timedOut = error?.code else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(NIODeadline.now() >= deadline, "not before its time either")
        let write = await #expect(throws: ModbusError.self) {
            try await client.write(coil: 0, true, deadline: patience())
        }
        #expect(write?.code == .unknownOutcome(.connectionLost), "the progress timeout ended the connection")
        #expect(client.statistics.progressTimeouts >= 1)
        await client.close()
        try await silent.close()
    }

    @Test("nobody listens: the error names the refusal, and nothing was sent")
    func refused() async throws {
        let server = ModbusServer(device: MemoryDevice())
        let port = try await server.start()
        await server.stop()
        let client = try ModbusClient(configuration: .init(host: "127.0.0.1", port: port))
        let error = await #expect(throws: ModbusError.self) {
            try await client.write(coil: 0, true, deadline: .now() + .seconds(1))
        }
        guard case .connectionFailed(.refused, let reason) = error?.code else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(reason == "Connection refused")
        #expect(client.statistics.requests == 0)
        await client.close()
    }

    @Test("a cancelled task ends at once, and the client goes on")
    func cancellation() async throws {
        let group = MultiThreadedEventLoopGroup.singleton
        let silent = try await ServerBootstrap(group: group).bind(host: "127.0.0.1", port: 0).get()
        let client = try ModbusClient(
            configuration: .init(host: "127.0.0.1", port: try #require(silent.localAddress?.port)))
        await withTaskGroup(of: ModbusError.Code?.self) { group in
            for _ in 0..<50 {
                group.addTask {
                    do throws(ModbusError) {
                        _ = try await client.read(.coils, AddressRange(0), deadline: patience())
                        return nil
                    } catch {
                        return error.code
                    }
                }
            }
            group.cancelAll()
            for await code in group { #expect(code == .cancelled) }
        }
        #expect(client.statistics.pending == 0)
        await client.close()
        try await silent.close()
    }

    @Test("a closed client says so; closing twice is fine")
    func closed() async throws {
        try await withServer { _, client in
            _ = try await client.read(.coils, AddressRange(0), deadline: patience())
            await client.close()
            await client.close()
            let error = await #expect(throws: ModbusError.self) {
                try await client.read(.coils, AddressRange(0), deadline: patience())
            }
            #expect(error?.code == .shuttingDown)
        }
    }

    @Test("who watches sees every state, in order")
    func states() async throws {
        let seen = Mutex<[ConnectionState]>([])
        let server = ModbusServer(device: MemoryDevice())
        let port = try await server.start()
        let client = try ModbusClient(
            configuration: .init(host: "127.0.0.1", port: port),
            onStateChange: { state in seen.withLock { $0.append(state) } })
        _ = try await client.read(.coils, AddressRange(0), deadline: patience())
        await client.close()
        await server.stop()
        let states = seen.withLock { $0 }
        #expect(states.count == 3 && states.prefix(2) == [.connecting, .up])
        guard case .down(let reason) = states.last else {
            Issue.record("\(states)")
            return
        }
        #expect(reason.code == .shuttingDown)
    }
}
