import ALDCore
import Modbus

/// How a scenario reaches the simulated machine.
enum ControllerWay: String, CaseIterable, Sendable {
    /// In this process.
    case direct
    /// The same device behind Modbus TCP, with the limits that controllers have.
    case wired

    /// Runs `body` with a simulated machine. What it is handed connects one more client, which ends with the scenario.
    func with<Result>(
        _ map: RegisterMap, seed: UInt64, connections: Int = 16,
        _ body: (ControllerBench) async throws -> Result
    ) async throws -> Result {
        let device = SimulatedPLC(map, seed: seed)
        guard self == .wired else { return try await body(ControllerBench(device: device, server: nil, port: 0)) }
        var configuration = ModbusServer.Configuration()
        configuration.maximumConnections = connections
        let server = ModbusServer(configuration: configuration, device: device, logger: TestDatabase.quiet)
        let port = try await server.start()
        return try await withCleanup {
            try await body(ControllerBench(device: device, server: server, port: port))
        } cleanup: {
            await server.stop()
        }
    }
}

/// A simulated machine and the way to it.
struct ControllerBench: Sendable {
    let device: SimulatedPLC
    let server: ModbusServer?
    let port: Int

    /// Runs `body` with a client of its own.
    func withClient<Result>(_ body: (any PLC) async throws -> Result) async throws -> Result {
        guard server != nil else { return try await body(device) }
        let client = try ModbusClient(
            configuration: ModbusClient.Configuration(host: "127.0.0.1", port: port), logger: TestDatabase.quiet)
        return try await withCleanup {
            try await body(try ModbusPLC(device.registerMap, client: client))
        } cleanup: {
            await client.close()
        }
    }
}
