extension ModbusRequest {
    /// Checks that one frame can carry the request, and its answer.
    ///
    /// - Throws: ``ModbusError/Code/invalidRequest(_:)`` naming the limit that is broken.
    public func checked() throws(ModbusError) {
        switch self {
        case .read(let table, let range):
            try check(range, table, atMost: table.maximumReadCount)
        case .writeCoils:
            try check(writtenRange, .coils, atMost: ModbusLimits.maximumWriteCoils)
        case .writeRegisters:
            try check(writtenRange, .holdingRegisters, atMost: ModbusLimits.maximumWriteRegisters)
        case .readWriteRegisters(let range, _, _):
            try check(range, .holdingRegisters, atMost: ModbusLimits.maximumReadRegisters)
            try check(writtenRange, .holdingRegisters, atMost: ModbusLimits.maximumReadWriteRegisters)
        case .diagnostics(let function, let data):
            try require(
                function.isAnswered, "\(function) has no answer whose shape is known; send it as a raw request")
            try require(function.accepts(data), "\(function) does not take these \(data.count) words")
        case .readFileRecords(let ranges):
            try require(
                ModbusLimits.fileReadByteCounts.contains(Self.fileReadSize * ranges.count),
                "\(ranges.count) groups of file records; 1 to 35 can be asked for")
            try require(
                FileRecordRange.answerSize(ranges) <= ModbusLimits.maximumPDUSize,
                "the file records are more than one answer can hold")
        case .writeFileRecords(let records):
            try require(
                ModbusLimits.fileWriteByteCounts.contains(FileRecord.size(records)),
                "the file records are none, or more than one request can hold")
        case .raw(let request):
            try require(request.function.isRequestable, "a request's function is 1 to 127")
            try require(
                request.data.count <= ModbusLimits.maximumRawData,
                "\(request.data.count) bytes of raw data; at most \(ModbusLimits.maximumRawData) are allowed")
        case .writeCoil, .writeRegister, .readExceptionStatus, .getCommEventCounter, .reportServerID,
            .maskWriteRegister, .readFIFOQueue, .readDeviceIdentification:
            break
        }
    }

    private func check(_ range: AddressRange?, _ table: DataTable, atMost maximum: Int) throws(ModbusError) {
        guard let range else {
            throw invalid("a write needs at least one value and must end at or before address 65535")
        }
        guard range.count <= maximum else {
            throw invalid("\(range.count) \(table) in one request; at most \(maximum) are allowed", range)
        }
    }

    private func require(_ isSound: Bool, _ otherwise: @autoclosure () -> String) throws(ModbusError) {
        if !isSound { throw invalid(otherwise()) }
    }

    private func invalid(_ reason: String, _ range: AddressRange? = nil) -> ModbusError {
        ModbusError(.invalidRequest(reason), function: function, range: range)
    }
}
