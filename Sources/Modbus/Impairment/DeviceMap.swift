/// Which addresses a device has, and which of them may be written.
public struct DeviceMap: Hashable, Sendable {
    /// One table's addresses.
    public struct Table: Hashable, Sendable {
        /// What can be read; nil for every address.
        public var readable: [AddressRange]?
        /// What can be written; nil for every address that can be read.
        public var writable: [AddressRange]?

        public init(readable: [AddressRange]? = nil, writable: [AddressRange]? = nil) {
            self.readable = readable
            self.writable = writable
        }
    }

    /// What a read finds where no address is.
    public enum Holes: Hashable, Sendable {
        /// The whole request is refused with ``DeviceMap/refusal``.
        case refuse
        /// Zero. The device behind must answer for these addresses; what it answers is not shown.
        case zero
        /// Zero as well, but a request that meets no address at all is refused.
        case zeroUnlessAllAbsent
    }

    /// Tables left out have every address.
    public var tables: [DataTable: Table]
    /// Defaults to refusing.
    public var holes: Holes = .refuse
    /// How holes and forbidden addresses are refused. Defaults to 02.
    public var refusal: ExceptionCode = .illegalDataAddress
    /// How a write to what can only be read is refused. Defaults to 02.
    public var writeRefusal: ExceptionCode = .illegalDataAddress

    public init(_ tables: [DataTable: Table] = [:]) {
        self.tables = tables
    }

    /// - Throws: the refusal of a request that touches what it may not.
    func check(_ traits: RequestTraits) throws(ModbusException) {
        for span in traits.spans {
            guard let table = tables[span.table] else { continue }
            let present = (table.readable ?? Self.everything).covered(span.range)
            if span.isWrite {
                guard present == span.range.count else { throw ModbusException(refusal) }
                let writable = table.writable?.covered(span.range) ?? span.range.count
                guard writable == span.range.count else { throw ModbusException(writeRefusal) }
            } else {
                let isRefused =
                    switch holes {
                    case .refuse: present < span.range.count
                    case .zero: false
                    case .zeroUnlessAllAbsent: present == 0
                    }
                if isRefused { throw ModbusException(refusal) }
            }
        }
    }

    /// An answer to a read, with zeros where no address is.
    func masked(_ response: ModbusResponse, _ traits: RequestTraits) -> ModbusResponse {
        guard holes != .refuse, let span = traits.spans.first, let readable = tables[span.table]?.readable else {
            return response
        }
        func isPresent(_ offset: Int) -> Bool {
            readable.contains { (Int($0.start)..<$0.end).contains(Int(span.range.start) + offset) }
        }
        switch response {
        case .bits(let table, let bits):
            return .bits(table, bits.enumerated().map { $1 && isPresent($0) })
        case .registers(let table, let registers):
            return .registers(table, registers.enumerated().map { isPresent($0) ? $1 : 0 })
        default: return response
        }
    }

    private static let everything = [AddressRange(first: 0, last: .max)]

    var problems: [String] {
        tables.flatMap { name, table in
            [("readable", table.readable), ("writable", table.writable)].flatMap { kind, ranges -> [String] in
                let sorted = (ranges ?? []).sorted { $0.start < $1.start }
                let overlap = zip(sorted, sorted.dropFirst()).first { $0.overlaps($1) }
                return overlap.map { ["map: \(kind) \(name) \($0) and \($1) overlap"] } ?? []
            }
        }
    }
}

extension [AddressRange] {
    /// How many addresses of `range` these ranges, which do not overlap, have.
    fileprivate func covered(_ range: AddressRange) -> Int {
        reduce(0) { $0 + Swift.max(0, Swift.min($1.end, range.end) - Swift.max(Int($1.start), Int(range.start))) }
    }
}
