public import Modbus

/// What a machine's controller holds and where: the parameters, in the order of the file they came from, and the
/// order of words in a 32-bit value.
///
/// A register map that exists is sound: numbers and names are unique and no two parameters share an address.
public struct RegisterMap: Sendable {
    public let parameters: [Parameter]
    public let wordOrder: WordOrder
    private let indexByID: [ParameterID: Int]
    private let indexByName: [String: Int]

    /// - Throws: ``ConfigurationProblems`` with every duplicate and every overlap.
    public init(parameters: [Parameter], wordOrder: WordOrder = .cdab) throws(ConfigurationProblems) {
        if let problems = ConfigurationProblems(RegisterMapRules.conflicts(among: parameters).map(\.message)) {
            throw problems
        }
        self.init(checked: parameters, wordOrder: wordOrder)
    }

    init(checked parameters: [Parameter], wordOrder: WordOrder) {
        self.parameters = parameters
        self.wordOrder = wordOrder
        indexByID = Dictionary(uniqueKeysWithValues: parameters.enumerated().map { ($1.id, $0) })
        indexByName = Dictionary(uniqueKeysWithValues: parameters.enumerated().map { ($1.qualifiedName, $0) })
    }

    public subscript(id: ParameterID) -> Parameter? {
        indexByID[id].map { parameters[$0] }
    }

    /// The parameter called `name`, for instance "Chamber Heater.temperature".
    ///
    /// - Throws: ``PLCError/unknownParameter(_:)`` with the names that come closest.
    public func parameter(named name: String) throws(PLCError) -> Parameter {
        if let index = indexByName[name] { return parameters[index] }
        let wanted = name.lowercased()
        let close = parameters.map(\.qualifiedName)
            .filter { $0.lowercased().contains(wanted) || wanted.contains($0.lowercased()) }
            .prefix(3)
        let hint =
            close.isEmpty
            ? "; names look like \"\(parameters.first?.qualifiedName ?? "Component.parameter")\""
            : "; did you mean \(close.map { "\"\($0)\"" }.joined(separator: " or "))"
        throw .unknownParameter("\"\(name)\"\(hint)")
    }

    /// The same map with only these parameters, in the map's order.
    public func restricted(to names: [String]) throws(PLCError) -> RegisterMap {
        var wanted: Set<ParameterID> = []
        for name in names { wanted.insert(try parameter(named: name).id) }
        return RegisterMap(checked: parameters.filter { wanted.contains($0.id) }, wordOrder: wordOrder)
    }

    /// The spans of memory that hold the measured values, one per parameter, each to be read in one piece.
    public var readSpans: [ReadSpan] { parameters.compactMap { $0.span(at: $0.readLocation) } }

    /// The same for the set points, of the parameters that have one.
    public var setPointSpans: [ReadSpan] {
        parameters.compactMap { parameter in parameter.writeLocation.flatMap { parameter.span(at: $0) } }
    }
}

extension Parameter {
    /// `nil` when it would reach past the last address.
    func span(at location: RegisterLocation) -> ReadSpan? {
        AddressRange(start: location.address, count: dataType.addressCount(in: location.table)).map {
            ReadSpan(location.table, $0)
        }
    }
}

/// The rules that hold between the parameters of a map.
enum RegisterMapRules {
    struct Conflict {
        /// Index of the later of the two parameters.
        var index: Int
        var message: String
    }

    static func conflicts(among parameters: [Parameter]) -> [Conflict] {
        var conflicts: [Conflict] = []
        var ids: [ParameterID: Int] = [:]
        var names: [String: Int] = [:]
        var owners: [RegisterLocation: Int] = [:]
        for (index, parameter) in parameters.enumerated() {
            if let first = ids[parameter.id] {
                conflicts.append(
                    Conflict(
                        index: index,
                        message: "number \(parameter.id) is used twice, by \(parameters[first].qualifiedName) and by "
                            + "\(parameter.qualifiedName); every parameter needs a number of its own"))
            }
            ids[parameter.id] = index
            if let first = names[parameter.qualifiedName] {
                conflicts.append(
                    Conflict(
                        index: index,
                        message: "\(parameter.qualifiedName) stands twice, as number \(parameters[first].id) and as "
                            + "number \(parameter.id); names must be unique within a machine"))
            }
            names[parameter.qualifiedName] = index
            for location in occupied(by: parameter) {
                if let first = owners[location], first != index {
                    conflicts.append(
                        Conflict(
                            index: index,
                            message: "\(location) belongs to both \(parameters[first].qualifiedName) and "
                                + "\(parameter.qualifiedName); give one of them another address"))
                    break
                }
                owners[location] = index
            }
        }
        return conflicts
    }

    /// Every address a parameter claims, for reading and for writing.
    private static func occupied(by parameter: Parameter) -> [RegisterLocation] {
        [parameter.readLocation, parameter.writeLocation].compactMap(\.self).flatMap { location in
            (0..<parameter.dataType.addressCount(in: location.table)).map {
                RegisterLocation(table: location.table, address: location.address &+ UInt16($0))
            }
        }
    }
}
