import Synchronization

/// A controller for everybody who is no recipe: it opens no valve that the recipe under way uses, nor one that is
/// interlocked with an open one.
///
/// Within one process nobody gets in between: whoever opens a valve is known before he looks at the others, and a recipe
/// that starts finds him. Between processes it is the database that gives a running recipe its valves alone, and those of
/// its interlocks (`ald.command_problem`); here the set points of interlocked valves are read before each opening.
public final class InterlockedPLC: PLC {
    private let plc: any PLC
    private let interlocks: Interlocks
    private let state = Mutex(State())

    private struct State {
        /// By the recipe under way: its valves, and those that they exclude.
        var reserved: Set<ParameterID> = []
        /// How many calls are just opening each valve.
        var opening: [ParameterID: Int] = [:]
    }

    public init(_ plc: any PLC, interlocks: Interlocks) {
        self.plc = plc
        self.interlocks = interlocks
    }

    public var registerMap: RegisterMap { plc.registerMap }

    public func scan(deadline: MonotonicInstant) async throws(PLCError) -> Scan {
        try await plc.scan(deadline: deadline)
    }

    public func readSetPoint(of parameter: ParameterID, deadline: MonotonicInstant) async throws(PLCError) -> Double {
        try await plc.readSetPoint(of: parameter, deadline: deadline)
    }

    public func readSetPoints(deadline: MonotonicInstant) async throws(PLCError) -> [ParameterID: Double] {
        try await plc.readSetPoints(deadline: deadline)
    }

    public func readSetPoints(
        of parameters: Set<ParameterID>, deadline: MonotonicInstant
    ) async throws(PLCError) -> [ParameterID: Double] {
        try await plc.readSetPoints(of: parameters, deadline: deadline)
    }

    /// - Throws: as the controller does, and ``PLCError/interlocked(_:)`` before anything is sent.
    public func write(_ value: Double, to id: ParameterID, deadline: MonotonicInstant) async throws(PLCError) {
        guard value != 0, let parameter = registerMap[id], parameter.dataType == .binary else {
            return try await plc.write(value, to: id, deadline: deadline)
        }
        let excluded = interlocks.excluded(by: id)
        if let reason = begin(id, excluded: excluded) {
            throw .interlocked("\(parameter.qualifiedName) is not opened: \(reason)")
        }
        defer { end(id) }
        let setPoints = try await plc.readSetPoints(of: excluded, deadline: deadline)
        for other in excluded.sorted() where setPoints[other] != 0 {
            let state = setPoints[other] == nil ? "cannot be read" : "is open"
            throw .interlocked(
                "\(parameter.qualifiedName) is not opened: \(name(other)) \(state), and they exclude each other")
        }
        try await plc.write(value, to: id, deadline: deadline)
    }

    /// - Returns: why it must not be opened.
    private func begin(_ id: ParameterID, excluded: Set<ParameterID>) -> String? {
        state.withLock { state in
            if state.reserved.contains(id) { return "the recipe under way needs it, or needs it closed" }
            if let other = state.opening.keys.first(where: excluded.contains) {
                return "\(name(other)) is just being opened, and they exclude each other"
            }
            state.opening[id, default: 0] += 1
            return nil
        }
    }

    private func end(_ id: ParameterID) {
        state.withLock { state in
            let count = state.opening[id, default: 0] - 1
            state.opening[id] = count > 0 ? count : nil
        }
    }

    private func name(_ id: ParameterID) -> String { registerMap[id]?.qualifiedName ?? "parameter \(id)" }

    // MARK: For the recipe

    /// Keeps these valves for the recipe that begins.
    ///
    /// - Returns: those that somebody is just opening; then none is kept.
    func reserve(_ valves: Set<ParameterID>) -> Set<ParameterID> {
        state.withLock { state in
            let opening = valves.intersection(state.opening.keys)
            if opening.isEmpty { state.reserved = valves }
            return opening
        }
    }

    func release() { state.withLock { $0.reserved = [] } }
}
