import ALDCore

/// The recipes of the requirement: how many steps of which kind, in which loops. How long they are programmed to take is
/// spread over their steps, so that a short run does the same as a long one, in less time.
enum BenchmarkRecipe: Sendable {
    /// Five steps.
    case simple
    /// Twenty steps, of which one is a loop of ten.
    case looped
    /// Fifty steps, of which three are loops, one in the other.
    case nested
    /// Ten valve operations, with purges between them.
    case valves
    /// A hundred parameter writes, one after the other.
    case writes

    /// What the steps act on.
    private struct Parts {
        var first: ParameterID
        var second: ParameterID
        var flow: ParameterID

        init(_ map: RegisterMap) throws(PLCError) {
            first = try map.parameter(named: "Valve 1.valve_state").id
            second = try map.parameter(named: "Valve 2.valve_state").id
            flow = try map.parameter(named: "MFC 1.flow").id
        }
    }

    /// The recipe for the machine of 51 parameters.
    ///
    /// - Parameter plan: how long it is programmed to take, to the millisecond per step; nothing but writes takes none.
    func recipe(on map: RegisterMap, lasting plan: Duration) throws -> Recipe {
        let parts = try Parts(map)
        // As long as it takes with units of a second, in units.
        let units = Recipe(name: "", steps: steps(parts, unit: .seconds(1))).extent?.duration.inSeconds ?? 0
        let unit = units > 0 ? max(1, Int((plan.inSeconds * 1000 / units).rounded(.down))) : 1
        var number: Int32 = 0
        return Recipe(
            name: "benchmark", steps: Self.numbered(steps(parts, unit: .milliseconds(unit)), from: &number))
    }

    private func steps(_ parts: Parts, unit: Duration) -> [RecipeStep] {
        func step(_ kind: RecipeStep.Kind) -> RecipeStep { RecipeStep(id: 0, kind) }
        func flow(_ value: Double) -> RecipeStep {
            step(.parameter(SetPoint(parts.flow, value), ramp: nil, hold: .zero))
        }
        func purge(_ units: Int) -> RecipeStep { step(.purge(gas: "N2", for: unit * units, flow: nil)) }
        let wait = step(.wait(unit))
        // What a cycle of a deposition is.
        let dose = [step(.valve(parts.first, open: unit)), purge(3), step(.valve(parts.second, open: unit)), purge(3)]
        func loop(_ iterations: Int, _ steps: [RecipeStep]) -> RecipeStep { step(.loop(iterations: iterations, steps)) }
        switch self {
        case .simple: return [flow(100)] + dose
        case .looped:
            return [flow(100)] + Array(repeating: wait, count: 9) + [loop(10, dose)]
                + Array(repeating: wait, count: 4) + [flow(20)]
        case .nested:
            let innermost = loop(2, dose)
            let middle = loop(2, dose + [flow(80), wait, flow(90), wait, innermost])
            let outer = loop(2, dose + dose + [flow(50), wait, wait, wait, middle])
            return [flow(100)] + dose + Array(repeating: wait, count: 8) + [outer] + dose
                + Array(repeating: wait, count: 5) + [flow(20)]
        case .valves:
            return (0..<10).flatMap { number in
                [step(.valve(number.isMultiple(of: 2) ? parts.first : parts.second, open: unit)), purge(2)]
            }
        case .writes: return (1...100).map { flow(Double($0)) }
        }
    }

    private static func numbered(_ steps: [RecipeStep], from number: inout Int32) -> [RecipeStep] {
        steps.map { step in
            number += 1
            let id = number
            guard case .loop(let iterations, let children) = step.kind else { return RecipeStep(id: id, step.kind) }
            return RecipeStep(id: id, .loop(iterations: iterations, numbered(children, from: &number)))
        }
    }
}
