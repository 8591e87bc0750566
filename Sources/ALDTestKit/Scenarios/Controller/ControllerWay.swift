import ALDCore
import Logging
import Modbus

/// How soon a served machine answers. Controllers are said to take 10 to 100 ms, and 10 to 100 reads and 10 to 50 writes
/// a second; this is the quick end of that.
///
/// Their line, some 10 kbit/s, is left out: the values of five hundred parameters alone are more than it carries in
/// the second in which they are to be read.
enum ControllerPace: String, Sendable {
    /// As soon as it can.
    case atOnce
    /// 10 ms after it was asked, one request after the other, whoever asks: a hundred a second.
    case inTurn
    /// 10 ms after it was asked, also where more is required than a hundred requests a second.
    case delayed

    fileprivate var timing: DeviceTiming {
        var timing = DeviceTiming()
        switch self {
        case .atOnce: break
        case .inTurn: timing.perRequest = .milliseconds(10)
        case .delayed: (timing.latencyIn, timing.latencyOut) = (.fixed(.milliseconds(5)), .fixed(.milliseconds(5)))
        }
        return timing
    }
}

/// How a scenario reaches the simulated machine.
enum ControllerWay: String, CaseIterable, Sendable {
    /// In this process.
    case direct
    /// The same device behind Modbus TCP, with the limits that controllers have.
    case wired

    /// So many a controller takes.
    static let connections = 5

    /// Runs `body` with a simulated machine. What it is handed connects one more client, which ends with the scenario.
    ///
    /// - Parameter faults: of a machine that is served.
    func with<Result>(
        _ map: RegisterMap, seed: UInt64, connections: Int = Self.connections, pace: ControllerPace = .atOnce,
        faults: FaultInjector? = nil, _ body: (ControllerBench) async throws -> Result
    ) async throws -> Result {
        let device = SimulatedPLC(map, seed: seed)
        guard self == .wired else { return try await body(ControllerBench(device: device, server: nil, port: 0)) }
        var configuration = ModbusServer.Configuration()
        configuration.maximumConnections = connections
        var behavior = DeviceBehavior(timing: pace.timing)
        behavior.faults = faults
        let server = ModbusServer(
            configuration: configuration, device: device, behavior: behavior, logger: TestDatabase.quiet)
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
