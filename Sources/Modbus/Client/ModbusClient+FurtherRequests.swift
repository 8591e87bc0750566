public import NIOCore

// The functions beside reads and writes of the four tables. Each call throws `ModbusError` and ends at its deadline at
// the latest. Those that change the device are never repeated.

extension ModbusClient {
    /// Reads the eight bits of the exception status (function 07), whose meaning is the device's own.
    public nonisolated(nonsending) func readExceptionStatus(
        unit: UnitID? = nil, deadline: NIODeadline
    ) async throws(ModbusError) -> UInt8 {
        let response = try await send(.readExceptionStatus, unit: unit, deadline: deadline)
        guard case .exceptionStatus(let status) = response else { throw response.unexpected }
        return status
    }

    /// Tests or resets the device's communication (function 08).
    ///
    /// - Parameter data: one word, usually 0; 1…125 words for ``DiagnosticFunction/returnQueryData``.
    /// - Returns: a counter or register of one word, or the echo of `data`.
    public nonisolated(nonsending) func diagnostics(
        _ function: DiagnosticFunction, data: [UInt16] = [0], unit: UnitID? = nil, deadline: NIODeadline
    ) async throws(ModbusError) -> [UInt16] {
        let response = try await send(.diagnostics(function, data: data), unit: unit, deadline: deadline)
        guard case .diagnostics(_, let answer) = response else { throw response.unexpected }
        return answer
    }

    /// Reads how many requests the device has executed (function 11).
    public nonisolated(nonsending) func readCommEventCounter(
        unit: UnitID? = nil, deadline: NIODeadline
    ) async throws(ModbusError) -> CommEventCounter {
        let response = try await send(.getCommEventCounter, unit: unit, deadline: deadline)
        guard case .commEventCounter(let counter) = response else { throw response.unexpected }
        return counter
    }

    /// Reads what kind of device this is (function 17); see ``ServerID/init(bytes:identifierLength:)``.
    public nonisolated(nonsending) func readServerID(
        unit: UnitID? = nil, deadline: NIODeadline
    ) async throws(ModbusError) -> [UInt8] {
        let response = try await send(.reportServerID, unit: unit, deadline: deadline)
        guard case .serverID(let bytes) = response else { throw response.unexpected }
        return bytes
    }

    /// Reads groups of file records in one request (function 20).
    ///
    /// - Returns: the values of each group, in the order of `ranges`.
    public nonisolated(nonsending) func readFileRecords(
        _ ranges: [FileRecordRange], unit: UnitID? = nil, deadline: NIODeadline
    ) async throws(ModbusError) -> [[UInt16]] {
        let response = try await send(.readFileRecords(ranges), unit: unit, deadline: deadline)
        guard case .fileRecords(let groups) = response else { throw response.unexpected }
        return groups
    }

    /// Writes groups of file records in one request (function 21).
    public nonisolated(nonsending) func write(
        fileRecords records: [FileRecord], unit: UnitID? = nil, deadline: NIODeadline
    ) async throws(ModbusError) {
        _ = try await send(.writeFileRecords(records), unit: unit, deadline: deadline)
    }

    /// Changes single bits of a holding register in the device itself (function 22): the register becomes
    /// `(register AND and) OR (or AND NOT and)`.
    public nonisolated(nonsending) func maskWrite(
        register address: UInt16, and: UInt16, or: UInt16, unit: UnitID? = nil, deadline: NIODeadline
    ) async throws(ModbusError) {
        _ = try await send(
            .maskWriteRegister(address: address, and: and, or: or), unit: unit, deadline: deadline)
    }

    /// Sets 1…121 holding registers and then reads 1…125, in one request (function 23).
    public nonisolated(nonsending) func readWrite(
        reading range: AddressRange, writing start: UInt16, _ values: [UInt16], unit: UnitID? = nil,
        deadline: NIODeadline
    ) async throws(ModbusError) -> [UInt16] {
        let response = try await send(
            .readWriteRegisters(range, start: start, values: values), unit: unit, deadline: deadline)
        guard case .readWroteRegisters(let registers) = response else { throw response.unexpected }
        return registers
    }

    /// Reads a queue of 0…31 words, the oldest first, without emptying it (function 24).
    public nonisolated(nonsending) func readFIFOQueue(
        at address: UInt16, unit: UnitID? = nil, deadline: NIODeadline
    ) async throws(ModbusError) -> [UInt16] {
        let response = try await send(.readFIFOQueue(address: address), unit: unit, deadline: deadline)
        guard case .fifoQueue(let words) = response else { throw response.unexpected }
        return words
    }

    /// Sends a request of any function.
    ///
    /// - Returns: the data behind the answer's function code, as it came.
    public nonisolated(nonsending) func send(
        raw request: RawRequest, unit: UnitID? = nil, deadline: NIODeadline
    ) async throws(ModbusError) -> [UInt8] {
        let response = try await send(.raw(request), unit: unit, deadline: deadline)
        guard case .raw(_, let data) = response else { throw response.unexpected }
        return data
    }
}
