public import NIOCore

extension ModbusClient {
    /// Reads one range of a table in one request.
    ///
    /// - Parameters:
    ///   - range: 1…2000 bits or 1…125 registers.
    ///   - isUrgent: before others that wait.
    ///   - deadline: when the call ends at the latest.
    /// - Throws: ``ModbusError``.
    public nonisolated(nonsending) func read(
        _ table: DataTable, _ range: AddressRange, unit: UnitID? = nil, isUrgent: Bool = false, deadline: NIODeadline
    ) async throws(ModbusError) -> ReadData {
        let response = try await send(.read(table, range), unit: unit, isUrgent: isUrgent, deadline: deadline)
        return try response.readData()
    }

    /// Sets one coil (function 05).
    public nonisolated(nonsending) func write(
        coil address: UInt16, _ value: Bool, unit: UnitID? = nil, deadline: NIODeadline
    ) async throws(ModbusError) {
        _ = try await send(.writeCoil(address: address, value: value), unit: unit, deadline: deadline)
    }

    /// Sets 1…1968 consecutive coils in one request (function 15).
    public nonisolated(nonsending) func write(
        coils start: UInt16, _ values: [Bool], unit: UnitID? = nil, deadline: NIODeadline
    ) async throws(ModbusError) {
        _ = try await send(.writeCoils(start: start, values: values), unit: unit, deadline: deadline)
    }

    /// Sets one holding register (function 06).
    public nonisolated(nonsending) func write(
        register address: UInt16, _ value: UInt16, unit: UnitID? = nil, deadline: NIODeadline
    ) async throws(ModbusError) {
        _ = try await send(.writeRegister(address: address, value: value), unit: unit, deadline: deadline)
    }

    /// Sets 1…123 consecutive holding registers in one request (function 16).
    public nonisolated(nonsending) func write(
        registers start: UInt16, _ values: [UInt16], unit: UnitID? = nil, deadline: NIODeadline
    ) async throws(ModbusError) {
        _ = try await send(.writeRegisters(start: start, values: values), unit: unit, deadline: deadline)
    }
}
