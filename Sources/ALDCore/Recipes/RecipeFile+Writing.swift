extension Recipe {
    /// The recipe as a file, readable by people and by ``RecipeFile``.
    ///
    /// - Throws: ``PLCError/unknownParameter(_:)`` when a step names a parameter that the map does not have.
    public func yaml(map: RegisterMap) throws(PLCError) -> String {
        var lines = ["recipe: \(Self.quoted(name))"]
        if !description.isEmpty { lines.append("description: \(Self.quoted(description))") }
        lines.append("steps:")
        lines += try Self.lines(of: steps, indent: "  ", map: map)
        return lines.joined(separator: "\n") + "\n"
    }

    private static func lines(
        of steps: [RecipeStep], indent: String, map: RegisterMap
    ) throws(PLCError) -> [String] {
        var lines: [String] = []
        for step in steps {
            var fields = try self.fields(of: step, map: map)
            if !step.name.isEmpty { fields.append(("name", quoted(step.name))) }
            for (index, field) in fields.enumerated() {
                lines.append("\(indent)\(index == 0 ? "- " : "  ")\(field.0): \(field.1)")
            }
            if case .loop(_, let children) = step.kind {
                lines.append("\(indent)  steps:")
                lines += try self.lines(of: children, indent: indent + "    ", map: map)
            }
        }
        return lines
    }

    private static func fields(of step: RecipeStep, map: RegisterMap) throws(PLCError) -> [(String, String)] {
        func name(_ id: ParameterID) throws(PLCError) -> String {
            guard let parameter = map[id] else { throw .unknownParameter("number \(id)") }
            return quoted(parameter.qualifiedName)
        }
        switch step.kind {
        case .valve(let valve, let open):
            return [("valve", try name(valve)), ("open", DurationText.short(open))]
        case .purge(let gas, let duration, let flow):
            let fields = [("purge", quoted(gas)), ("for", DurationText.short(duration))]
            guard let flow else { return fields }
            return fields + [("flow", try name(flow.parameter)), ("to", "\(flow.value)")]
        case .parameter(let point, let ramp, let hold):
            var fields = [("set", try name(point.parameter)), ("to", "\(point.value)")]
            if let ramp { fields.append(("ramp", "\(ramp)")) }
            if hold > .zero { fields.append(("hold", DurationText.short(hold))) }
            return fields
        case .loop(let iterations, _): return [("loop", "\(iterations)")]
        case .wait(let duration): return [("wait", DurationText.short(duration))]
        }
    }

    /// A YAML scalar that means exactly this text: plain where that is beyond doubt, quoted elsewhere.
    private static func quoted(_ text: String) -> String {
        let plain = text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || " ._-".contains($0)) }
        if plain, let first = text.first, first.isLetter, text.last != " ", !words.contains(text.lowercased()) {
            return text
        }
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": escaped += "\\\""
            case "\\": escaped += "\\\\"
            case _
            where scalar.value < 0x20 || scalar.value == 0x7F || (0x80...0x9F).contains(scalar.value)
                || [0x2028, 0x2029, 0xFEFF].contains(scalar.value):
                let digits = String(scalar.value, radix: 16)
                escaped += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return "\"\(escaped)\""
    }

    /// What YAML would take for something else than text.
    private static let words: Set = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"]
}
