import ALDCore
import Modbus

extension RegisterMap {
    /// The file that this map would be read from.
    var csv: String {
        let header =
            "no,group,component,parameter,unit,min,max,writable,read_address,read_type,write_address,write_type,"
            + "data_type,initial,origin"
        let lines = parameters.map { parameter in
            let write = parameter.writeLocation
            let fields = [
                "\(parameter.id.rawValue)", "generated", parameter.component, parameter.name, parameter.unit,
                "\(parameter.range.lowerBound)", "\(parameter.range.upperBound)", write == nil ? "no" : "yes",
                "\(parameter.readLocation.address)", Self.word(parameter.readLocation.table),
                write.map { "\($0.address)" } ?? "", write.map { Self.word($0.table) } ?? "",
                parameter.dataType.rawValue, "\(parameter.initialValue)", "",
            ]
            return fields.joined(separator: ",")
        }
        return ([header] + lines).joined(separator: "\n") + "\n"
    }

    private static func word(_ table: DataTable) -> String {
        switch table {
        case .coils: "coil"
        case .discreteInputs: "discrete_input"
        case .inputRegisters: "input_register"
        case .holdingRegisters: "holding_register"
        }
    }
}
