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
    /// Function 07: read eight bits whose meaning is the device's own (§6.7).
    case readExceptionStatus
    /// Function 08: test or reset the communication (§6.8). One word; 1…125 for ``DiagnosticFunction/returnQueryData``.
    case diagnostics(DiagnosticFunction, data: [UInt16] = [0])
    /// Function 11: how many requests the device has executed (§6.9).
    case getCommEventCounter
    /// Function 17: what kind of device this is, and whether it runs (§6.13).
    case reportServerID
    /// Function 20: read 1…35 groups of file records, in all no more than one answer holds (§6.14).
    case readFileRecords([FileRecordRange])
    /// Function 21: write groups of file records, in all no more than one request holds (§6.15).
    case writeFileRecords([FileRecord])
    /// Function 22: a holding register becomes `(register AND and) OR (or AND NOT and)` (§6.16).
    case maskWriteRegister(address: UInt16, and: UInt16, or: UInt16)
    /// Function 23: set 1…121 holding registers, then read 1…125 (§6.17).
    case readWriteRegisters(AddressRange, start: UInt16, values: [UInt16])
    /// Function 24: read the queue whose count stands at this address, at most 31 words, without emptying it (§6.18).
    case readFIFOQueue(address: UInt16)
    /// Function 43, type 14: read the device's identification, starting at an object (§6.21).
    case readDeviceIdentification(DeviceIdentification.Access, DeviceIdentification.ObjectID = .vendorName)
    /// Any function, as bytes.
    case raw(RawRequest)

    /// The function code this request is sent with.
    public var function: FunctionCode {
        switch self {
        case .read(let table, _): table.readFunction
        case .writeCoil: .writeSingleCoil
        case .writeRegister: .writeSingleRegister
        case .writeCoils: .writeMultipleCoils
        case .writeRegisters: .writeMultipleRegisters
        case .readExceptionStatus: .readExceptionStatus
        case .diagnostics: .diagnostics
        case .getCommEventCounter: .getCommEventCounter
        case .reportServerID: .reportServerID
        case .readFileRecords: .readFileRecord
        case .writeFileRecords: .writeFileRecord
        case .maskWriteRegister: .maskWriteRegister
        case .readWriteRegisters: .readWriteMultipleRegisters
        case .readFIFOQueue: .readFIFOQueue
        case .readDeviceIdentification: .encapsulatedInterface
        case .raw(let request): request.function
        }
    }

    /// Whether the request changes the device. A write that may have been executed is never repeated.
    ///
    /// Diagnostics that clear or restart something are writes; of a raw request its maker says.
    public var isWrite: Bool {
        switch self {
        case .read, .readExceptionStatus, .getCommEventCounter, .reportServerID, .readFileRecords, .readFIFOQueue,
            .readDeviceIdentification:
            false
        case .writeCoil, .writeRegister, .writeCoils, .writeRegisters, .writeFileRecords, .maskWriteRegister,
            .readWriteRegisters:
            true
        case .diagnostics(let function, _): function.changesDevice
        case .raw(let request): request.isWrite
        }
    }

    /// The table the request works on; nil for a request that works on none of the four.
    public var table: DataTable? {
        switch self {
        case .read(let table, _): table
        case .writeCoil, .writeCoils: .coils
        case .writeRegister, .writeRegisters, .maskWriteRegister, .readWriteRegisters: .holdingRegisters
        case .readExceptionStatus, .diagnostics, .getCommEventCounter, .reportServerID, .readFileRecords,
            .writeFileRecords, .readFIFOQueue, .readDeviceIdentification, .raw:
            nil
        }
    }

    /// The addresses of ``table`` that the request reads or, when it reads none, writes; nil when it has no table, and
    /// when a write has no values or runs past address 65535.
    public var range: AddressRange? {
        switch self {
        case .read(_, let range), .readWriteRegisters(let range, _, _): range
        default: writtenRange
        }
    }

    /// The addresses of ``table`` that the request writes; nil when it writes none, and when a write has no values or
    /// runs past address 65535.
    public var writtenRange: AddressRange? {
        switch self {
        case .writeCoil(let address, _), .writeRegister(let address, _), .maskWriteRegister(let address, _, _):
            AddressRange(address)
        case .writeCoils(let start, let values): AddressRange(start: start, count: values.count)
        case .writeRegisters(let start, let values), .readWriteRegisters(_, let start, let values):
            AddressRange(start: start, count: values.count)
        default: nil
        }
    }
}
