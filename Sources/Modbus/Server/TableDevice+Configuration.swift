extension TableDevice {
    /// What a ``TableDevice`` holds at first, and which units it answers for.
    public struct Configuration: Hashable, Sendable {
        /// What the tables hold at first.
        public enum Pattern: Hashable, Sendable, CaseIterable {
            /// Every register is 0 and every bit is off.
            case zero
            /// Register i is i, and bit i is on when i is odd.
            case index
        }

        /// How many addresses each table has, counted from 0; 0…65536. A table that is not named has none. Outside,
        /// the answer is 02. Defaults to 65536 for all four.
        public var sizes: [DataTable: Int]
        /// What the tables hold at first. Defaults to zero.
        public var pattern: Pattern
        /// What function 43/14 tells. Defaults to a vendor, a product code and a revision.
        public var identification = DeviceIdentification([
            .init(.vendorName, Array("ALD".utf8)), .init(.productCode, Array("TableDevice".utf8)),
            .init(.majorMinorRevision, Array("1.0".utf8)),
        ])
        /// What function 17 tells. Defaults to identifier 1, running.
        public var serverID = ServerID(identifier: [1])
        /// What function 07 tells. Defaults to 0.
        public var exceptionStatus: UInt8 = 0
        /// The records of each file, at most 10000, for functions 20 and 21. Defaults to none.
        public var files: [UInt16: [UInt16]] = [:]
        /// The FIFO queues by the address of their count, for function 24. One that holds more than 31 words is
        /// answered with 03. Defaults to none.
        public var queues: [UInt16: [UInt16]] = [:]
        /// The units to answer for, exactly these; the others get 0B, as from a gateway. With nil every unit is
        /// answered. Defaults to nil.
        public var units: Set<UnitID>? = nil

        /// - Parameter size: addresses of each table.
        public init(size: Int = ModbusLimits.addressSpace, pattern: Pattern = .zero) {
            sizes = Dictionary(uniqueKeysWithValues: DataTable.allCases.map { ($0, size) })
            self.pattern = pattern
        }

        /// Every problem of this configuration, in words; empty when it can be used.
        public func validate() -> [String] {
            var problems: [String] = []
            for table in DataTable.allCases {
                let size = sizes[table] ?? 0
                if !(0...ModbusLimits.addressSpace).contains(size) {
                    problems.append("\(size) \(table); allowed are 0 to \(ModbusLimits.addressSpace)")
                }
            }
            if serverID.bytes.count > ModbusLimits.maximumServerIDSize {
                problems.append(
                    "serverID has \(serverID.bytes.count) bytes; at most \(ModbusLimits.maximumServerIDSize) fit")
            }
            for object in identification.objects where object.value.count > ModbusLimits.maximumIdentificationObject {
                problems.append(
                    "identification object \(object.id.rawValue) has \(object.value.count) bytes; at most "
                        + "\(ModbusLimits.maximumIdentificationObject) fit")
            }
            for id: DeviceIdentification.ObjectID in [.vendorName, .productCode, .majorMinorRevision]
            where identification[id] == nil {
                problems.append("identification object \(id.rawValue) is missing; every device has 0, 1 and 2")
            }
            if files[0] != nil { problems.append("file 0; files are numbered from 1") }
            for (file, records) in files.sorted(by: { $0.key < $1.key })
            where records.count > ModbusLimits.fileRecordSpace {
                problems.append("file \(file) has \(records.count) records; at most \(ModbusLimits.fileRecordSpace)")
            }
            return problems
        }
    }
}
