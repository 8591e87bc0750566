/// Whether a recipe may run on a machine. Nothing that is missing is guessed and nothing is rounded: what does not fit
/// is a problem, and a recipe with a problem does not run.
public struct RecipeRules: Sendable {
    /// How deep loops may be nested.
    public static let maximumDepth = 8
    public static let maximumIterations = 1_000_000
    /// Of a run, counting steps in loops once per iteration.
    public static let maximumSteps: Int64 = 1_000_000_000
    /// Of one step.
    public static let maximumStep: Duration = .seconds(86_400)
    /// Of a run.
    public static let maximumDuration: Duration = .seconds(31 * 86_400)

    private let map: RegisterMap
    private let interlocks: Interlocks

    public init(_ map: RegisterMap, interlocks: Interlocks) {
        self.map = map
        self.interlocks = interlocks
    }

    /// Something that keeps a recipe from running.
    public struct Problem: Error, Hashable, Sendable, CustomStringConvertible {
        /// The step it is about; `nil` when it is about the recipe.
        public var step: Int32?
        public var message: String

        public var description: String { step.map { "step \($0): \(message)" } ?? message }
    }

    /// All problems at once, in the order of the steps; empty when the recipe may run.
    public func problems(of recipe: Recipe) -> [Problem] {
        var problems: [Problem] = []
        if recipe.name.isEmpty { problems.append(Problem(message: "the recipe has no name")) }
        if recipe.steps.isEmpty { problems.append(Problem(message: "it has no steps")) }
        var seen: Set<Int32> = []
        for (step, depth) in recipe.outline {
            if !seen.insert(step.id).inserted {
                problems.append(Problem(step: step.id, message: "its number is used twice"))
            }
            problems += self.problems(of: step, depth: depth).map { Problem(step: step.id, message: $0) }
        }
        if problems.isEmpty, recipe.extent == nil {
            problems.append(
                Problem(
                    message: "it has more than \(Self.maximumSteps) steps or takes longer than "
                        + "\(Self.maximumDuration); shorten its loops"))
        }
        return problems
    }

    private func problems(of step: RecipeStep, depth: Int) -> [String] {
        switch step.kind {
        case .valve(let valve, let open):
            return duration(open) + problems(ofValve: valve, open: open)
        case .purge(let gas, let duration, let flow):
            return self.duration(duration) + (gas.isEmpty ? ["its gas has no name"] : []) + (flow.map(problems) ?? [])
        case .parameter(let point, let ramp, let hold):
            var found = problems(of: point)
            if let ramp, !(ramp > 0 && ramp.isFinite) { found.append("its ramp is \(ramp); it must be above zero") }
            if hold < .zero || hold > Self.maximumStep { found.append("its hold is \(hold); allowed are 0 to 24 h") }
            return found
        case .loop(let iterations, let children):
            var found: [String] = []
            if !(1...Self.maximumIterations).contains(iterations) {
                found.append("it has \(iterations) iterations; allowed are 1 to \(Self.maximumIterations)")
            }
            if children.isEmpty { found.append("the loop is empty") }
            if depth >= Self.maximumDepth { found.append("loops are nested deeper than \(Self.maximumDepth)") }
            return found
        case .wait(let duration):
            return self.duration(duration)
        }
    }

    private func duration(_ duration: Duration) -> [String] {
        duration >= .milliseconds(1) && duration <= Self.maximumStep
            ? [] : ["it takes \(duration); allowed are 1 ms to 24 h"]
    }

    private func problems(ofValve id: ParameterID, open: Duration) -> [String] {
        guard let valve = map[id] else { return ["the register map has no parameter \(id)"] }
        var found: [String] = []
        if valve.dataType != .binary {
            found.append("\(valve.qualifiedName) is no valve, its type is \(valve.dataType.rawValue)")
        }
        if !valve.isWritable { found.append("\(PLCError.notWritable(valve))") }
        let limit = interlocks.maximumOpen(of: id)
        if open > limit {
            found.append("\(valve.qualifiedName) would be open for \(open); at most \(limit) is allowed")
        }
        return found
    }

    /// What the interlocks name, and what its name says: a valve that lets a dose into the chamber. Pumps, power switches
    /// and the gate to the pump stay as a recipe leaves them. A register map has no word for what a parameter is, so the
    /// name decides where nobody has named it in the interlocks; the database asks its catalogue of components
    /// (`ald.is_valve`).
    private func isValve(_ parameter: Parameter) -> Bool {
        interlocks.valves.contains(parameter.id) || MachineRole(of: parameter) == .processValve
    }

    private func problems(of point: SetPoint) -> [String] {
        do throws(PLCError) {
            let parameter = try map.checkedForWriting(point.value, to: point.parameter).parameter
            if parameter.dataType != .float32, point.value != point.value.rounded(.towardZero) {
                return [
                    "\(point.value) for \(parameter.qualifiedName) is not whole, its type is \(parameter.dataType.rawValue)"
                ]
            }
            if point.value != 0, isValve(parameter) {
                return [
                    "\(parameter.qualifiedName) is a valve; open it with a valve step, which closes it whatever happens"
                ]
            }
            return []
        } catch {
            return ["\(error)"]
        }
    }
}
