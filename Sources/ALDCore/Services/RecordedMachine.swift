/// Joins the two halves that know nothing of each other: what the controller says and what the database stores.
extension MachineRegistration {
    /// Describes a machine by its register map.
    public init(machine: Int32, name: String, registerMap: RegisterMap) {
        self.init(
            machine: machine, name: name,
            entries: registerMap.parameters.map { parameter in
                Entry(
                    id: parameter.id.rawValue, component: parameter.component, name: parameter.name,
                    unit: parameter.unit, dataType: parameter.dataType.rawValue,
                    minimum: parameter.range.lowerBound, maximum: parameter.range.upperBound,
                    readLocation: "\(parameter.readLocation)",
                    writeLocation: parameter.writeLocation.map { "\($0)" })
            })
    }
}

extension Records {
    /// The rows of one cycle, all stamped with the time the reading began.
    public init(_ scan: Scan) {
        self = .history(
            scan.readings.map { reading in
                HistoryRow(
                    parameter: reading.parameter, time: scan.time, value: reading.value, quality: reading.quality)
            })
    }
}
