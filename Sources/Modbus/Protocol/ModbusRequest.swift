/// A request as the two ends mean it, without transaction or unit.
///
/// A request can hold more than one frame allows (the range of a read may have 65536 addresses); ``checked()`` and
/// the encoder refuse those with ``ModbusError/Code/invalidRequest(_:)`` before anything is sent.
public enum ModbusRequest: Hashable, Sendable {
    /// Functions 01 to 04: read 1…2000 bits or 1…125 registers (§6.1 to §6.4).
    case read(DataTable, AddressRange)
    /// Function 05: set one coil (§6.5).
    case writeCoil(address: UInt16, value: Bool)
    /// Function 06: set one holding register (§6.6).
    case writeRegister(address: UInt16, value: UInt16)
    /// Function 15: set 1…1968 coils (§6.11).
    case writeCoils(start: UInt16, values: [Bool])
    /// Function 16: set 1…123 holding registers (§6.12).
    case writeRegisters(start: UInt16, values: [UInt16])

    /// The function code this request is sent with.
    public var function: FunctionCode {
        switch self {
        case .read(let table, _): table.readFunction
        case .writeCoil: .writeSingleCoil
        case .writeRegister: .writeSingleRegister
        case .writeCoils: .writeMultipleCoils
        case .writeRegisters: .writeMultipleRegisters
        }
    }

    /// Whether the request changes the device. A write that may have been executed is never repeated.
    public var isWrite: Bool {
        switch self {
        case .read: false
        case .writeCoil, .writeRegister, .writeCoils, .writeRegisters: true
        }
    }

    /// The table the request works on.
    public var table: DataTable {
        switch self {
        case .read(let table, _): table
        case .writeCoil, .writeCoils: .coils
        case .writeRegister, .writeRegisters: .holdingRegisters
        }
    }

    /// The addresses the request works on; nil when a write has no values or runs past address 65535.
    public var range: AddressRange? {
        switch self {
        case .read(_, let range): range
        case .writeCoil(let address, _), .writeRegister(let address, _): AddressRange(address)
        case .writeCoils(let start, let values): AddressRange(start: start, count: values.count)
        case .writeRegisters(let start, let values): AddressRange(start: start, count: values.count)
        }
    }

    /// The most addresses one request of this function may cover.
    public var maximumCount: Int {
        switch self {
        case .read(let table, _): table.maximumReadCount
        case .writeCoil, .writeRegister: 1
        case .writeCoils: ModbusLimits.maximumWriteCoils
        case .writeRegisters: ModbusLimits.maximumWriteRegisters
        }
    }

    /// The addresses of the request, after a check that one frame can carry it.
    ///
    /// - Throws: ``ModbusError/Code/invalidRequest(_:)`` naming the limit that is broken.
    @discardableResult
    public func checked() throws(ModbusError) -> AddressRange {
        guard let range else {
            throw ModbusError(
                .invalidRequest("a write needs at least one value and must end at or before address 65535"),
                function: function)
        }
        guard range.count <= maximumCount else {
            throw ModbusError(
                .invalidRequest("\(range.count) \(table) in one request; at most \(maximumCount) are allowed"),
                function: function, range: range)
        }
        return range
    }
}
