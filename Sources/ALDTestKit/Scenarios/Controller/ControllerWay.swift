import ALDCore
import Logging
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

    var way: ControllerWay { server == nil ? .direct : .wired }

    /// Runs `body` with a client of its own.
    ///
    /// - Parameters:
    ///   - map: what the client reads. Defaults to all that the machine has, and is that in this process.
    ///   - isAbsent: the machine is not where it is looked for.
    func withClient<Result>(
        of map: RegisterMap? = nil, isAbsent: Bool = false, logger: Logger = TestDatabase.quiet,
        _ body: (any PLC) async throws -> Result
    ) async throws -> Result {
        guard way == .wired else { return try await body(isAbsent ? AbsentMachine(device.registerMap) : device) }
        // Nobody listens at port 1.
        var reach = ModbusClient.Configuration(host: "127.0.0.1", port: isAbsent ? 1 : port)
        reach.backoffCap = .seconds(1)
        let client = try ModbusClient(configuration: reach, logger: logger)
        return try await withCleanup {
            try await body(try ModbusPLC(map ?? device.registerMap, client: client))
        } cleanup: {
            await client.close()
        }
    }
}

/// In this process there is no address at which a machine could be missing: one that answers nothing stands for it.
private struct AbsentMachine: PLC {
    let registerMap: RegisterMap

    init(_ registerMap: RegisterMap) { self.registerMap = registerMap }

    private static let reason = PLCError.unreachable("the simulated machine is switched off")

    func scan(deadline: MonotonicInstant) async throws(PLCError) -> Scan { throw Self.reason }

    func readSetPoint(of id: ParameterID, deadline: MonotonicInstant) async throws(PLCError) -> Double {
        throw Self.reason
    }

    func write(_ value: Double, to id: ParameterID, deadline: MonotonicInstant) async throws(PLCError) {
        throw Self.reason
    }
}
