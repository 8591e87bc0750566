import Foundation
import Yams

/// Recipes as YAML files, for people who write and review them.
///
/// ```yaml
/// recipe: TMA and water
/// description: one monolayer of alumina per cycle
/// steps:
///   - set: Chamber Heater.temperature
///     to: 200
///     ramp: 0.5            # °C per second; without it at once
///     hold: 10m
///   - loop: 100
///     name: cycle
///     steps:
///       - valve: Valve 1.valve_state
///         open: 15ms
///       - purge: N2
///         for: 2s
///         flow: MFC 1.flow # may be left out, with what it is set to
///         to: 100
///       - valve: Valve 2.valve_state
///         open: 30ms
///       - wait: 3s
/// ```
///
/// Steps are numbered from 1 in the order in which they stand. Nothing is guessed: a word that is not known, a value
/// that is missing and a time that is no whole number of milliseconds are problems, and all are reported at once.
public struct RecipeFile: Sendable {
    public let recipe: Recipe
    /// The line on which each step stands, by its number.
    public let lines: [Int32: Int]

    /// The largest file that is read, in bytes.
    static let maximumSize = 1_048_576
    /// The largest number of steps that are written down, loops included.
    static let maximumSteps = 10_000

    /// - Parameters:
    ///   - path: of the file; its name is in every message.
    ///   - map: the parameters that steps name.
    /// - Throws: ``ConfigurationProblems`` with one line per problem: file, line, what is wrong, what is expected.
    public init(path: String, map: RegisterMap) throws(ConfigurationProblems) {
        let data: Data
        do {
            data = try Data(contentsOf: URL(fileURLWithPath: path))
        } catch {
            throw ConfigurationProblems(one: "\(path): cannot be read: \(error.localizedDescription)")
        }
        guard data.count <= Self.maximumSize, let text = String(data: data, encoding: .utf8) else {
            throw ConfigurationProblems(one: "\(path): no text in UTF-8 of at most \(Self.maximumSize / 1024) KiB")
        }
        try self.init(text: text, name: path, map: map)
    }

    /// - Parameter name: of the source, for messages.
    public init(text: String, name: String, map: RegisterMap) throws(ConfigurationProblems) {
        let root = try RecipeFileReader.root(
            of: text, name: name, expected: "`recipe: name` and `steps:`; see `ald recipe --help`")
        var reader = RecipeFileReader(source: name, map: map)
        recipe = reader.recipe(root)
        lines = reader.lines
        if let problems = ConfigurationProblems(reader.problems) { throw problems }
    }
}

/// Walks through the nodes of a file and notes everything that is wrong.
struct RecipeFileReader {
    let source: String
    let map: RegisterMap
    private(set) var problems: [String] = []
    private(set) var lines: [Int32: Int] = [:]
    private var lastStep: Int32 = 0

    init(source: String, map: RegisterMap) {
        self.source = source
        self.map = map
    }

    /// - Parameter expected: what the file must have at its top, for the message.
    static func root(of text: String, name: String, expected: String) throws(ConfigurationProblems) -> Node {
        let root: Node?
        do {
            root = try Yams.compose(yaml: text)
        } catch {
            // A message of the YAML library comes with a picture of the place; its first line says it all.
            let message = "\(error)"
            throw ConfigurationProblems(
                one: "\(name): no YAML: \(message.split(separator: "\n").first ?? message[...])")
        }
        guard let root, root.mapping != nil else { throw ConfigurationProblems(one: "\(name): expected \(expected)") }
        return root
    }

    /// The keys that each kind of step may have; the first names the kind.
    private static let keys: [(kind: String, required: [String], optional: [String])] = [
        ("valve", ["open"], []), ("purge", ["for"], ["flow", "to"]), ("set", ["to"], ["ramp", "hold"]),
        ("loop", ["steps"], []), ("wait", [], []),
    ]

    mutating func recipe(_ root: Node) -> Recipe {
        let fields = self.fields(root)
        check(fields, known: ["recipe", "description", "steps"], at: root)
        let name = text(fields["recipe"], "recipe", at: root)
        let description = fields["description"].flatMap { text($0, "description", at: root) } ?? ""
        return Recipe(name: name ?? "", description: description, steps: steps(fields["steps"], at: root))
    }

    private mutating func steps(_ node: Node?, at parent: Node) -> [RecipeStep] {
        guard let node else {
            complain(parent, "`steps` is missing")
            return []
        }
        guard let sequence = node.sequence else {
            complain(node, "`steps` is no list; every step begins with a dash")
            return []
        }
        return sequence.compactMap { step($0) }
    }

    private mutating func step(_ node: Node) -> RecipeStep? {
        guard lastStep < RecipeFile.maximumSteps else {
            if lastStep == RecipeFile.maximumSteps {
                lastStep += 1
                complain(node, "more than \(RecipeFile.maximumSteps) steps; use loops")
            }
            return nil
        }
        lastStep += 1
        let id = lastStep
        lines[id] = node.mark?.line
        guard node.mapping != nil else {
            complain(node, "a step is written as `kind: value`, for instance `wait: 3s`")
            return nil
        }
        let fields = self.fields(node)
        let kinds = Self.keys.filter { fields[$0.kind] != nil }
        guard let shape = kinds.first, kinds.count == 1 else {
            let names = Self.keys.map { "`\($0.kind)`" }.joined(separator: ", ")
            complain(
                node,
                kinds.isEmpty
                    ? "no kind of step; expected one of \(names)"
                    : "several kinds in one step: "
                        + kinds.map { "`\($0.kind)`" }.joined(separator: ", "))
            return nil
        }
        check(fields, known: [shape.kind, "name"] + shape.required + shape.optional, at: node)
        for key in shape.required where fields[key] == nil { complain(node, "`\(key)` is missing for `\(shape.kind)`") }
        let name = fields["name"].flatMap { text($0, "name", at: node) } ?? ""
        return kind(shape.kind, fields, at: node).map { RecipeStep(id: id, name: name, $0) }
    }

    private mutating func kind(_ word: String, _ fields: [String: Node], at node: Node) -> RecipeStep.Kind? {
        switch word {
        case "valve":
            let valve = parameter(fields["valve"], at: node)
            let open = duration(fields["open"], "open")
            guard let valve, let open else { return nil }
            return .valve(valve, open: open)
        case "purge":
            let gas = text(fields["purge"], "purge", at: node)
            let duration = duration(fields["for"], "for")
            var flow: SetPoint?
            if fields["flow"] != nil || fields["to"] != nil {
                if fields["flow"] == nil { complain(node, "`to` without `flow`: say which flow is set") }
                if fields["to"] == nil { complain(node, "`flow` without `to`: say what it is set to") }
                if let id = parameter(fields["flow"], at: node), let value = number(fields["to"], "to") {
                    flow = SetPoint(id, value)
                }
            }
            guard let gas, let duration else { return nil }
            return .purge(gas: gas, for: duration, flow: flow)
        case "set":
            let id = parameter(fields["set"], at: node)
            let value = number(fields["to"], "to")
            let ramp = fields["ramp"].flatMap { number($0, "ramp") }
            let hold = fields["hold"].map { duration($0, "hold") } ?? .zero
            guard let id, let value, let hold else { return nil }
            return .parameter(SetPoint(id, value), ramp: ramp, hold: hold)
        case "loop":
            let iterations = fields["loop"].flatMap(\.scalar).flatMap { Int($0.string) }
            if iterations == nil { complain(fields["loop"] ?? node, "`loop` is no whole number") }
            let children = fields["steps"].map { steps($0, at: node) } ?? []
            return iterations.map { .loop(iterations: $0, children) }
        default:
            return duration(fields["wait"], "wait").map { .wait($0) }
        }
    }

    // MARK: Values

    func fields(_ node: Node) -> [String: Node] {
        var fields: [String: Node] = [:]
        for (key, value) in node.mapping ?? [:] { fields[key.string ?? "?"] = value }
        return fields
    }

    mutating func check(_ fields: [String: Node], known: [String], at node: Node) {
        for key in fields.keys.sorted() where !known.contains(key) {
            complain(node, "`\(key)` is not known here; known are \(known.map { "`\($0)`" }.joined(separator: ", "))")
        }
    }

    private mutating func text(_ node: Node?, _ key: String, at parent: Node) -> String? {
        guard let node else {
            complain(parent, "`\(key)` is missing")
            return nil
        }
        guard let text = node.scalar?.string, !text.isEmpty else {
            complain(node, "`\(key)` is no text")
            return nil
        }
        return text
    }

    mutating func parameter(_ node: Node?, at parent: Node) -> ParameterID? {
        guard let node, let name = node.scalar?.string else {
            if let node { complain(node, "expected the name of a parameter, for instance Valve 1.valve_state") }
            return nil
        }
        do throws(PLCError) {
            return try map.parameter(named: name).id
        } catch {
            complain(node, "\(error)")
            return nil
        }
    }

    mutating func number(_ node: Node?, _ key: String) -> Double? {
        guard let node else { return nil }
        guard let text = node.scalar?.string, let number = Double(text), number.isFinite else {
            complain(node, "`\(key)` is no number")
            return nil
        }
        return number
    }

    mutating func duration(_ node: Node?, _ key: String) -> Duration? {
        guard let node else { return nil }
        guard let text = node.scalar?.string, let duration = DurationText.parse(text),
            duration.wholeNanoseconds % 1_000_000 == 0
        else {
            complain(node, "`\(key)` is no time of whole milliseconds, such as 15ms, 2s, 1.5s, 10m or 1h")
            return nil
        }
        return duration
    }

    mutating func complain(_ node: Node, _ message: String) {
        problems.append("\(source)\(node.mark.map { ":\($0.line)" } ?? ""): \(message)")
    }
}
