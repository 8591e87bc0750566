/// What came of reading all values of an ``AdaptiveReader`` once: data or an error for each of them.
public struct SpanResults: Sendable {
    let outcomes: [(block: ReadSpan, result: Result<ReadData, ModbusError>)]
    let limits: DeviceLimits
    let aliases: [DataTable: DataTable]

    /// The values of `range`, which must be (part of) a span that the reader was made for.
    ///
    /// - Returns: the values; the error of the request that should have read them; the exception with which the
    ///   device refused them earlier; or nil when they were not asked for.
    public func values(_ table: DataTable, _ range: AddressRange) -> Result<ReadData, ModbusError>? {
        let table = aliases[table] ?? table
        var failure: ModbusError?
        for (block, result) in outcomes where block.table == table && block.range.contains(range) {
            switch result {
            case .success(let data):
                let first = Int(range.start) - Int(block.range.start)
                if let values = data.slice(first..<(first + range.count)) { return .success(values) }
            case .failure(let error):
                failure = error
            }
        }
        if let failure { return .failure(failure) }
        return limits.refusal(of: ReadSpan(table, range)).map { refusal in
            .failure(
                ModbusError(.exception(refusal.code, table.readFunction), function: table.readFunction, range: range))
        }
    }

    /// The register at `address`; nil when it was not asked for.
    public func register(_ table: DataTable, at address: UInt16) -> Result<UInt16, ModbusError>? {
        switch values(table, AddressRange(address)) {
        case .success(let data): data.registers.first.map { .success($0) }
        case .failure(let error): .failure(error)
        case nil: nil
        }
    }

    /// The bit at `address`; nil when it was not asked for.
    public func bit(_ table: DataTable, at address: UInt16) -> Result<Bool, ModbusError>? {
        switch values(table, AddressRange(address)) {
        case .success(let data): data.bits.first.map { .success($0) }
        case .failure(let error): .failure(error)
        case nil: nil
        }
    }

    /// Whether any request was answered with data.
    public var hasData: Bool {
        outcomes.contains { if case .success = $0.result { true } else { false } }
    }

    /// The first error that is no answer of the device, otherwise the first error, otherwise the exception of
    /// something that was refused earlier; nil when everything was read.
    public var firstError: ModbusError? {
        let errors = outcomes.compactMap { outcome -> ModbusError? in
            if case .failure(let error) = outcome.result { error } else { nil }
        }
        return errors.first { !$0.isAnswer } ?? errors.first ?? limits.anyValueRefused
    }
}
