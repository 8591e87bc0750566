extension TableDevice.Contents {
    /// Executes one request that has passed the protocol's own checks.
    mutating func respond(
        to request: ModbusRequest, _ configuration: TableDevice.Configuration
    ) throws(ModbusException) -> ModbusResponse {
        let response = try execute(request, configuration)
        switch request {
        case .getCommEventCounter, .diagnostics(.clearCounters, _), .diagnostics(.restartCommunications, _): break
        default: counters.events &+= 1
        }
        return response
    }

    private mutating func execute(
        _ request: ModbusRequest, _ configuration: TableDevice.Configuration
    ) throws(ModbusException) -> ModbusResponse {
        switch request {
        case .read(let table, let range):
            switch values(table, range) {
            case .registers(let words): return .registers(table, words)
            case .bits(let bits): return .bits(table, bits)
            case nil: throw .illegalDataAddress
            }
        case .writeCoil(let address, let value): try write(.coils, address, .bits([value]))
        case .writeCoils(let start, let values): try write(.coils, start, .bits(values))
        case .writeRegister(let address, let value): try write(.holdingRegisters, address, .registers([value]))
        case .writeRegisters(let start, let values): try write(.holdingRegisters, start, .registers(values))
        case .maskWriteRegister(let address, let and, let or):
            let register = try registers(AddressRange(address))[0]
            try write(.holdingRegisters, address, .registers([register & and | or & ~and]))
        case .readWriteRegisters(let range, let start, let values):
            // Both ranges must exist before anything is written; what is read was written before (§6.17).
            _ = try registers(range)
            try write(.holdingRegisters, start, .registers(values))
            return .readWroteRegisters(try registers(range))
        case .readExceptionStatus: return .exceptionStatus(exceptionStatus)
        case .diagnostics(let function, _):
            if function.returnsWord { return .diagnostics(function, data: [word(of: function)]) }
            clear(function)
        case .getCommEventCounter: return .commEventCounter(CommEventCounter(events: counters.events))
        case .reportServerID: return .serverID(configuration.serverID.bytes)
        case .readFileRecords(let ranges): return .fileRecords(try read(ranges))
        case .writeFileRecords(let records): try write(records)
        case .readFIFOQueue(let address):
            guard let queue = queues[address] else { throw .illegalDataAddress }
            guard queue.count <= ModbusLimits.maximumFIFOCount else { throw .illegalDataValue }
            return .fifoQueue(queue)
        case .readDeviceIdentification(let access, let object):
            guard let page = configuration.identification.page(access, from: object) else { throw .illegalDataAddress }
            return .deviceIdentification(page)
        case .raw: throw .illegalFunction
        }
        guard let response = ModbusResponse(acknowledging: request) else { throw .serverDeviceFailure }
        return response
    }

    private func registers(_ range: AddressRange) throws(ModbusException) -> [UInt16] {
        guard let values = values(.holdingRegisters, range) else { throw .illegalDataAddress }
        return values.registers
    }

    private mutating func write(
        _ table: DataTable, _ start: UInt16, _ values: ReadData
    ) throws(ModbusException) {
        guard set(table, at: start, values) else { throw .illegalDataAddress }
    }

    private func word(of function: DiagnosticFunction) -> UInt16 {
        switch function {
        case .returnDiagnosticRegister: diagnosticRegister
        case .returnBusMessageCount: counters.busMessages
        case .returnBusExceptionErrorCount: counters.exceptions
        case .returnServerMessageCount: counters.serverMessages
        // Lost characters, failed checksums, requests left unanswered: memory on TCP has none of them.
        default: 0
        }
    }

    /// What the sub-functions do that answer with an echo.
    private mutating func clear(_ function: DiagnosticFunction) {
        switch function {
        case .restartCommunications: counters = TableDevice.Counters()
        case .clearCounters:
            counters = TableDevice.Counters()
            diagnosticRegister = 0
        default: break
        }
    }

    private func read(_ ranges: [FileRecordRange]) throws(ModbusException) -> [[UInt16]] {
        var groups: [[UInt16]] = []
        for range in ranges {
            guard let records = files[range.file], range.end <= records.count else { throw .illegalDataAddress }
            groups.append(Array(records[Int(range.start)..<range.end]))
        }
        return groups
    }

    /// Writes all groups or none.
    private mutating func write(_ records: [FileRecord]) throws(ModbusException) {
        var changed = files
        for record in records {
            let end = Int(record.start) + record.values.count
            guard let size = changed[record.file]?.count, end <= size else { throw .illegalDataAddress }
            changed[record.file]?.replaceSubrange(Int(record.start)..<end, with: record.values)
        }
        files = changed
    }
}
