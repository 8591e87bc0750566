extension TableDevice {
    /// What the device holds at this moment.
    public struct Contents: Sendable {
        private var coils: [Bool]
        private var discreteInputs: [Bool]
        private var holdingRegisters: [UInt16]
        private var inputRegisters: [UInt16]
        /// What function 07 tells.
        public var exceptionStatus: UInt8
        /// What function 08 tells with sub-function 02.
        public var diagnosticRegister: UInt16 = 0
        /// The records of each file.
        public var files: [UInt16: [UInt16]]
        /// The FIFO queues by the address of their count, oldest word first.
        public var queues: [UInt16: [UInt16]]
        /// What was counted since the start or since a client cleared it.
        public internal(set) var counters = Counters()

        init(_ configuration: Configuration) {
            func bits(_ table: DataTable) -> [Bool] {
                (0..<(configuration.sizes[table] ?? 0)).map { configuration.pattern == .index && $0 & 1 == 1 }
            }
            func registers(_ table: DataTable) -> [UInt16] {
                (0..<(configuration.sizes[table] ?? 0)).map {
                    configuration.pattern == .index ? UInt16(truncatingIfNeeded: $0) : 0
                }
            }
            coils = bits(.coils)
            discreteInputs = bits(.discreteInputs)
            holdingRegisters = registers(.holdingRegisters)
            inputRegisters = registers(.inputRegisters)
            exceptionStatus = configuration.exceptionStatus
            files = configuration.files
            queues = configuration.queues
        }

        /// How many addresses `table` has.
        public func size(of table: DataTable) -> Int {
            switch table {
            case .coils: coils.count
            case .discreteInputs: discreteInputs.count
            case .holdingRegisters: holdingRegisters.count
            case .inputRegisters: inputRegisters.count
            }
        }

        /// The values of `range`; nil when an address does not exist.
        public func values(_ table: DataTable, _ range: AddressRange) -> ReadData? {
            guard range.end <= size(of: table) else { return nil }
            let addresses = Int(range.start)..<range.end
            switch table {
            case .coils: return .bits(Array(coils[addresses]))
            case .discreteInputs: return .bits(Array(discreteInputs[addresses]))
            case .holdingRegisters: return .registers(Array(holdingRegisters[addresses]))
            case .inputRegisters: return .registers(Array(inputRegisters[addresses]))
            }
        }

        /// Sets consecutive addresses, also of the two tables that clients cannot write.
        ///
        /// - Returns: false when an address does not exist, or when bits were given for registers or registers for
        ///   bits; then nothing has changed.
        public mutating func set(_ table: DataTable, at start: UInt16, _ values: ReadData) -> Bool {
            let addresses = Int(start)..<(Int(start) + values.count)
            guard addresses.upperBound <= size(of: table) else { return false }
            switch (table, values) {
            case (.coils, .bits(let bits)): coils.replaceSubrange(addresses, with: bits)
            case (.discreteInputs, .bits(let bits)): discreteInputs.replaceSubrange(addresses, with: bits)
            case (.holdingRegisters, .registers(let words)): holdingRegisters.replaceSubrange(addresses, with: words)
            case (.inputRegisters, .registers(let words)): inputRegisters.replaceSubrange(addresses, with: words)
            default: return false
            }
            return true
        }
    }

    /// What a ``TableDevice`` counts (MODBUS Application Protocol V1.1b3 §6.8.1 and §6.9). A counter goes on from 0
    /// after 65535. Requests that the protocol's own checks refused do not reach the device and are not counted.
    public struct Counters: Hashable, Sendable {
        /// Requests for any unit.
        public var busMessages: UInt16 = 0
        /// Requests for a unit of this device.
        public var serverMessages: UInt16 = 0
        /// Requests of this device answered with an exception.
        public var exceptions: UInt16 = 0
        /// Requests executed without an exception, except those for this counter and those that clear it.
        public var events: UInt16 = 0
    }
}
