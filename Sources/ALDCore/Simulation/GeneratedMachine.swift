public import Modbus

/// Machines of any size for tests of scale, made by chance from a seed.
///
/// They are put together from components such as real machines have (heaters, flow controllers, gauges, valves,
/// sensors), so they have every data type, parameters in all four tables, switches, set points, and values that can
/// only be read. Scales in use: 10, 50, 84, 100, 200, 500, 1000 and 5000 parameters.
public enum GeneratedMachine {
    /// How the parameters lie in the registers and bits.
    public enum Layout: String, Sendable, CaseIterable {
        /// One behind the other.
        case dense
        /// Groups of 8 to 16 parameters without gaps, 16 to 48 free addresses between two groups.
        case clustered
        /// 0 to 20 free addresses between any two parameters.
        case holes
        /// 5 to 120 free addresses between any two parameters; fewer where a table would not hold them all.
        case sparse
    }

    /// How many parameters a machine can have: so many that, even all of one kind, they fit into one table.
    public static let sizes = 1...20_000

    /// A register map with `count` parameters, numbered from 1; the same for the same arguments.
    ///
    /// - Parameter count: in ``sizes``.
    /// - Throws: ``ConfigurationProblems`` for a count outside ``sizes``.
    public static func registerMap(
        parameters count: Int, seed: UInt64, layout: Layout = .clustered, wordOrder: WordOrder = .cdab
    ) throws(ConfigurationProblems) -> RegisterMap {
        if !sizes.contains(count),
            let problems = ConfigurationProblems([
                "a machine has \(sizes.lowerBound) to \(sizes.upperBound) parameters, not \(count)"
            ])
        {
            throw problems
        }
        var random = SeededGenerator(seed: seed)
        let drafts = Component.drafts(count, &random)
        var allocator = AddressAllocator(drafts, layout: layout, random: random.fork())
        let parameters = drafts.enumerated().map { index, draft in
            let read = allocator.place(draft.readTable, draft.dataType)
            let write = draft.writeTable.map { $0 == draft.readTable ? read : allocator.place($0, draft.dataType) }
            return Parameter(
                id: ParameterID(rawValue: Int32(index + 1)), component: draft.component, name: draft.name,
                unit: draft.unit, range: draft.range, dataType: draft.dataType, readLocation: read,
                writeLocation: write, initialValue: draft.initialValue)
        }
        return try RegisterMap(parameters: parameters, wordOrder: wordOrder)
    }
}

/// A parameter without an address.
private struct Draft {
    var component = ""
    var name: String
    var unit = ""
    var range: ClosedRange<Double> = 0...1
    var dataType: DataType = .binary
    var readTable: DataTable
    /// The same as `readTable` for a value that is read where it is written.
    var writeTable: DataTable?
    var initialValue = 0.0

    static func toggle(_ name: String) -> Draft {
        Draft(name: name, readTable: .coils, writeTable: .coils)
    }

    static func signal(_ name: String) -> Draft {
        Draft(name: name, readTable: .discreteInputs)
    }

    /// A number that is measured in one register and set in another.
    static func controlled(_ name: String, _ unit: String, to top: Double, from start: Double = 0) -> Draft {
        Draft(
            name: name, unit: unit, range: 0...top, dataType: .float32, readTable: .inputRegisters,
            writeTable: .holdingRegisters, initialValue: start)
    }

    static func measured(
        _ name: String, _ unit: String, _ type: DataType, to top: Double, from start: Double = 0
    ) -> Draft {
        Draft(
            name: name, unit: unit, range: 0...top, dataType: type, readTable: .inputRegisters, initialValue: start)
    }

    static func setting(_ name: String, _ unit: String, _ type: DataType, _ range: ClosedRange<Double>) -> Draft {
        Draft(
            name: name, unit: unit, range: range, dataType: type, readTable: .holdingRegisters,
            writeTable: .holdingRegisters, initialValue: range.lowerBound)
    }
}

/// What machines are made of.
private enum Component: String {
    case heater = "Heater"
    case generator = "Nitrogen Generator"
    case pump = "Vacuum Pump"
    case gate = "Exhaust Gate Valve"
    case gauge = "Pressure Gauge"
    case flow = "MFC"
    case valve = "Valve"
    case sensor = "Sensor"
    case counter = "Counter"

    /// Every machine begins with these, so that a small one has something of everything, too.
    static let first: [Component] = [.heater, .generator, .pump, .gate, .gauge, .flow]
    /// The rest is drawn from these.
    static let more: [Component] = [.heater, .heater, .flow, .valve, .valve, .valve, .sensor, .gauge, .counter]

    var drafts: [Draft] {
        switch self {
        case .heater:
            [
                .controlled("temperature", "°C", to: 500, from: 25), .measured("pid_output", "%", .int32, to: 100),
                .toggle("power_on"), .setting("control_mode", "", .int16, 0...3), .toggle("autotune_on"),
                .setting("pid_period", "ms", .int32, 10...5000),
            ]
        case .generator: [.signal("ready"), .toggle("power_on"), .signal("fault_status")]
        case .pump: [.toggle("power_on")]
        case .gate: [.toggle("valve_state")]
        case .gauge: [.measured("pressure", "Pa", .float32, to: 100_000, from: 0.01)]
        case .flow: [.controlled("flow", "sccm", to: 200), .toggle("power_on")]
        case .valve: [.toggle("valve_state")]
        case .sensor: [.measured("temperature", "°C", .float32, to: 250, from: 25)]
        case .counter: [.measured("level", "", .int16, to: 30_000, from: 1000), .signal("alarm")]
        }
    }

    /// `count` drafts; the last component may be incomplete.
    static func drafts(_ count: Int, _ random: inout SeededGenerator) -> [Draft] {
        var drafts: [Draft] = []
        var numbers: [Component: Int] = [:]
        var next = 0
        while drafts.count < count {
            let component = next < first.count ? first[next] : more[Int.random(in: more.indices, using: &random)]
            next += 1
            numbers[component, default: 0] += 1
            drafts += component.drafts.map { draft in
                var draft = draft
                draft.component = "\(component.rawValue) \(numbers[component] ?? 0)"
                return draft
            }
        }
        return Array(drafts.prefix(count))
    }
}

/// Hands out addresses, upwards in every table.
private struct AddressAllocator {
    private let layout: GeneratedMachine.Layout
    private var random: SeededGenerator
    private var next: [DataTable: Int] = [:]
    /// The widest gap with which everything still fits, for each table.
    private var widestGap: [DataTable: Int] = [:]
    /// Parameters until the next gap of a clustered layout.
    private var untilGap: [DataTable: Int] = [:]

    init(_ drafts: [Draft], layout: GeneratedMachine.Layout, random: SeededGenerator) {
        (self.layout, self.random) = (layout, random)
        for table in DataTable.allCases {
            let sizes = drafts.flatMap { draft in
                Set([draft.readTable, draft.writeTable ?? draft.readTable]).filter { $0 == table }.map {
                    draft.dataType.addressCount(in: $0)
                }
            }
            widestGap[table] = sizes.isEmpty ? 0 : (ModbusLimits.addressSpace - sizes.reduce(0, +)) / sizes.count
        }
    }

    mutating func place(_ table: DataTable, _ type: DataType) -> RegisterLocation {
        let address = next[table, default: 0] + gap(table)
        next[table] = address + type.addressCount(in: table)
        return RegisterLocation(table: table, address: UInt16(truncatingIfNeeded: address))
    }

    private mutating func gap(_ table: DataTable) -> Int {
        let wanted: Int
        switch layout {
        case .dense: return 0
        case .holes: wanted = Int.random(in: 0...20, using: &random)
        case .sparse: wanted = Int.random(in: 5...120, using: &random)
        case .clustered:
            let rest = untilGap[table] ?? Int.random(in: 8...16, using: &random)
            untilGap[table] = rest > 1 ? rest - 1 : nil
            wanted = rest > 1 ? 0 : Int.random(in: 16...48, using: &random)
        }
        return min(wanted, widestGap[table] ?? 0)
    }
}
