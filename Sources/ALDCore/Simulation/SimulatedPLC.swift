public import Modbus
import Synchronization

/// The stand-in for a real controller: one device with the register map of a machine and values that move with time.
///
/// The same object answers in this process (``PLC``) and over Modbus TCP (`ModbusDevice`, served by a `ModbusServer`),
/// so what a test proves against one holds for the other. Every call sees one consistent state: a multi-register value
/// is never half old, half new, and neither is anything that one request wrote.
///
/// Limits and faults of a real controller (connections, latency, bandwidth, busy, faults) belong to the `ModbusServer`
/// that serves it. Calls in this process answer at once and never fail for such a reason.
public final class SimulatedPLC: PLC, ModbusDevice {
    public let registerMap: RegisterMap
    private let memory: DeviceMemory
    private let time: any TimeSource
    private let model: Mutex<MachineModel>

    /// - Parameters:
    ///   - seed: the same seed and the same writes at the same times give the same values, to the last bit.
    ///   - onWrite: told of every set point that is written, by whomever, in the order in which they take effect; must
    ///     not wait and not ask the machine anything.
    public init(
        _ registerMap: RegisterMap, seed: UInt64, time: any TimeSource = SystemTime(),
        onWrite: (@Sendable (ParameterID, Double) -> Void)? = nil
    ) {
        self.registerMap = registerMap
        self.time = time
        memory = DeviceMemory(registerMap)
        var model = MachineModel(parameters: registerMap.parameters, seed: seed, now: time.now)
        if let onWrite {
            let ids = registerMap.parameters.map(\.id)
            model.onWrite = { onWrite(ids[$0], $1) }
        }
        self.model = Mutex(model)
    }

    /// The controller restarts: every set point and switch is again what the register map says. Temperatures and
    /// pressures go on from where they are.
    public func reboot() {
        withModel { $0.reboot(step: $1) }
    }

    /// One doorway to the state: whoever looks sees the machine as it is in the present step.
    private func withModel<Result: Sendable>(_ body: (inout MachineModel, _ step: Int64) -> Result) -> Result {
        let now = time.now
        return model.withLock { model in
            let step = model.step(at: now)
            return body(&model, step)
        }
    }

    // MARK: PLC

    public func scan(deadline: MonotonicInstant) async throws(PLCError) -> Scan {
        let parameters = registerMap.parameters
        let readings = withModel { model, step in
            parameters.indices.map { Reading(model.value(at: $0, step: step), of: parameters[$0]) }
        }
        return Scan(time: time.wallClock, readings: readings)
    }

    public func readSetPoint(of id: ParameterID, deadline: MonotonicInstant) async throws(PLCError) -> Double {
        guard let index = memory.index(of: id), let parameter = registerMap[id] else {
            throw .unknownParameter("number \(id)")
        }
        guard let setPoint = withModel({ model, _ in model.setPoint(at: index) }) else {
            throw .notWritable(parameter)
        }
        return setPoint
    }

    public func readSetPoints(deadline: MonotonicInstant) async throws(PLCError) -> [ParameterID: Double] {
        withModel { model, _ in
            var values: [ParameterID: Double] = [:]
            for (index, parameter) in registerMap.parameters.enumerated() where parameter.isWritable {
                values[parameter.id] = model.setPoint(at: index)
            }
            return values
        }
    }

    public func write(_ value: Double, to id: ParameterID, deadline: MonotonicInstant) async throws(PLCError) {
        try write(value, to: id)
    }

    /// What ``write(_:to:deadline:)`` does, for a network that is simulated, too.
    package func write(_ value: Double, to id: ParameterID) throws(PLCError) {
        let (parameter, _) = try registerMap.checkedForWriting(value, to: id)
        guard let index = memory.index(of: id) else { throw .unknownParameter(parameter.qualifiedName) }
        withModel { $0.write(value, at: index, step: $1) }
    }

    // MARK: ModbusDevice

    public func respond(to request: ModbusRequest, unit: UnitID) throws(ModbusException) -> ModbusResponse {
        let image = memory
        let answer = withModel { model, step -> Result<ModbusResponse, ModbusException> in
            do throws(ModbusException) {
                return .success(try image.respond(to: request, model: &model, step: step))
            } catch {
                return .failure(error)
            }
        }
        return try answer.get()
    }
}
