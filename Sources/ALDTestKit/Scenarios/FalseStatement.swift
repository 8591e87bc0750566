/// A scenario that does not heed what may be asked for and does not say so, or says so and asks for it.
struct FalseStatement: Error, Hashable, CustomStringConvertible {
    var id: String
    /// What it does not ask for and does not say.
    var silent: Set<RunOption>
    /// What it says that it does not heed, and asks for.
    var wrong: Set<RunOption>

    /// - Parameter heeded: what a run of it has asked for.
    /// - Returns: `nil` when what the scenario says is true.
    init?(of scenario: Scenario, heeded: Set<RunOption>) {
        let unheeded = Set((scenario.work?.unheeded ?? [:]).keys)
        (id, silent, wrong) = (
            scenario.id, Set(RunOption.allCases).subtracting(heeded.union(unheeded)), heeded.intersection(unheeded)
        )
        if silent.isEmpty, wrong.isEmpty { return nil }
    }

    var description: String {
        let problems =
            silent.map { "does not ask for \($0.rawValue): its `unheeded` is to say why" }
            + wrong.map { "says that \($0.rawValue) has no effect, and asks for it" }
        return "\(id) " + problems.sorted().joined(separator: ", and ")
    }
}
