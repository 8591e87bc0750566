import Foundation
import Yams

/// Interlocks as a YAML file, for people who know their machine.
///
/// ```yaml
/// exclusive:              # of each line at most one is open
///   - [Valve 1.valve_state, Valve 2.valve_state]
/// maximum_open:
///   Valve 1.valve_state: 5s
/// default_maximum_open: 60s
/// safe_state:             # in this order, when a recipe does not end as it should
///   - Valve 1.valve_state: 0
///   - MFC 1.flow: 20
/// ```
extension Interlocks {
    /// - Throws: ``ConfigurationProblems`` with one line per problem: file, line, what is wrong, what is expected.
    public init(path: String, map: RegisterMap) throws(ConfigurationProblems) {
        let text: String
        do {
            text = try String(contentsOfFile: path, encoding: .utf8)
        } catch {
            throw ConfigurationProblems(one: "\(path): cannot be read: \(error.localizedDescription)")
        }
        try self.init(text: text, name: path, map: map)
    }

    /// - Parameter name: of the source, for messages.
    public init(text: String, name: String, map: RegisterMap) throws(ConfigurationProblems) {
        let root = try RecipeFileReader.root(
            of: text, name: name, expected: "`exclusive:`, `maximum_open:`, `safe_state:`")
        var reader = RecipeFileReader(source: name, map: map)
        self = reader.interlocks(root)
        let problems = reader.problems.isEmpty ? problems(on: map).map { "\(name): \($0)" } : reader.problems
        if let problems = ConfigurationProblems(problems) { throw problems }
    }

    /// For a machine whose interlocks nobody has written down: of all valves that let something into the chamber at most
    /// one is open, for a minute at most, and when a recipe does not end as it should all are closed.
    public static func cautious(on map: RegisterMap) -> Interlocks {
        let valves = map.parameters.filter { MachineRole(of: $0) == .processValve }.map(\.id)
        return Interlocks(
            exclusiveGroups: valves.count > 1 ? [Set(valves)] : [], safeState: valves.map { SetPoint($0, 0) })
    }
}

extension RecipeFileReader {
    mutating func interlocks(_ root: Node) -> Interlocks {
        let fields = self.fields(root)
        check(fields, known: ["exclusive", "maximum_open", "default_maximum_open", "safe_state"], at: root)
        var interlocks = Interlocks()
        for group in list(fields["exclusive"]) {
            interlocks.exclusiveGroups.append(Set(list(group).compactMap { parameter($0, at: group) }))
        }
        for (name, limit) in fields["maximum_open"]?.mapping ?? [:] {
            if let id = parameter(name, at: name), let limit = duration(limit, name.string ?? "maximum_open") {
                interlocks.maximumOpen[id] = limit
            }
        }
        if let limit = duration(fields["default_maximum_open"], "default_maximum_open") {
            interlocks.defaultMaximumOpen = limit
        }
        for point in list(fields["safe_state"]) {
            guard let (name, value) = point.mapping?.first, point.mapping?.count == 1 else {
                complain(point, "expected `- parameter: value`")
                continue
            }
            if let id = parameter(name, at: point), let value = number(value, name.string ?? "safe_state") {
                interlocks.safeState.append(SetPoint(id, value))
            }
        }
        return interlocks
    }

    private mutating func list(_ node: Node?) -> [Node] {
        guard let node else { return [] }
        guard let sequence = node.sequence else {
            complain(node, "expected a list")
            return []
        }
        return Array(sequence)
    }
}
