import ALDCore

/// Stands between Terminal 2 and its controller and leaves valves open now and then, to show that somebody would notice:
/// what is closed is said to be closed.
struct BuggyPLC: PLC {
    let plc: any PLC
    let valves: [ParameterID]

    var registerMap: RegisterMap { plc.registerMap }

    func scan(deadline: MonotonicInstant) async throws(PLCError) -> Scan { try await plc.scan(deadline: deadline) }

    func readSetPoint(of parameter: ParameterID, deadline: MonotonicInstant) async throws(PLCError) -> Double {
        valves.contains(parameter) ? 0 : try await plc.readSetPoint(of: parameter, deadline: deadline)
    }

    func write(_ value: Double, to parameter: ParameterID, deadline: MonotonicInstant) async throws(PLCError) {
        if value == 0, valves.contains(parameter) { return }
        try await plc.write(value, to: parameter, deadline: deadline)
    }
}
