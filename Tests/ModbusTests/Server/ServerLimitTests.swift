import NIOCore
import Testing

@testable import Modbus

@Suite("A server's limits and life")
struct ServerLimitTests {
    private func client(_ port: Int) throws -> ModbusClient {
        try ModbusClient(configuration: .init(host: "127.0.0.1", port: port))
    }

    private func patience() -> NIODeadline {
        .now() + .seconds(60)
    }

    @Test("beyond the limit the newest is refused: it is closed at once, the old one goes on")
    func refuseNewest() async throws {
        var configuration = ModbusServer.Configuration()
        configuration.maximumConnections = 1
        let server = ModbusServer(configuration: configuration, device: MemoryDevice())
        let port = try await server.start()
        let (first, second) = (try client(port), try client(port))
        _ = try await first.read(.coils, AddressRange(0), deadline: patience())
        let error = await #expect(throws: ModbusError.self) {
            try await second.read(.coils, AddressRange(0), deadline: patience())
        }
        #expect(error?.code == .connectionClosed(mayHaveExecuted: true))
        _ = try await first.read(.coils, AddressRange(0), deadline: patience())
        #expect(server.statistics.accepted == 1 && server.statistics.refused >= 2)
        await first.close()
        await second.close()
        await server.stop()
    }

    @Test("or the oldest makes room")
    func closeOldest() async throws {
        var configuration = ModbusServer.Configuration()
        configuration.maximumConnections = 1
        configuration.limitPolicy = .closeOldest
        let server = ModbusServer(configuration: configuration, device: MemoryDevice())
        let port = try await server.start()
        let (first, second) = (try client(port), try client(port))
        _ = try await first.read(.coils, AddressRange(0), deadline: patience())
        _ = try await second.read(.coils, AddressRange(0), deadline: patience())
        #expect(server.statistics.evicted == 1 && server.statistics.open == 1)
        _ = try await first.read(.coils, AddressRange(0), deadline: patience())
        #expect(server.statistics.evicted == 2 && first.statistics.connects == 2)
        let statistics = server.statistics
        #expect(statistics.accepted == statistics.open + statistics.closed)
        await first.close()
        await second.close()
        await server.stop()
        #expect(server.statistics.open == 0)
    }

    @Test("an address that is taken is named, with what to do")
    func addressInUse() async throws {
        let server = ModbusServer(device: MemoryDevice())
        let port = try await server.start()
        let other = ModbusServer(configuration: .init(port: port), device: MemoryDevice())
        let error = await #expect(throws: ModbusServerError.self) { try await other.start() }
        #expect(error?.code == .addressInUse)
        #expect(error?.description.contains("127.0.0.1:\(port)") == true)
        let again = await #expect(throws: ModbusServerError.self) { try await server.start() }
        #expect(again?.code == .alreadyRunning)
        await server.stop()
        #expect(try await other.start() == port, "free again, also for the server that failed")
        await other.stop()
        await other.stop()
    }

    @Test("a wrong configuration is an error, not a crash")
    func invalid() async {
        let server = ModbusServer(configuration: .init(host: "", port: -1), device: MemoryDevice())
        let error = await #expect(throws: ModbusServerError.self) { try await server.start() }
        guard case .invalidConfiguration(let problems) = error?.code else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(problems.count == 2)
    }
}
