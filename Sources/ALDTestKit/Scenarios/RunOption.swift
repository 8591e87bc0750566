/// What may be asked of the run of a scenario besides the defaults.
public enum RunOption: String, CaseIterable, Sendable {
    case duration = "--duration"
    case scale = "--scale"
}

extension ScenarioRunner.Options {
    /// Which of them are asked for.
    var asked: [RunOption] {
        RunOption.allCases.filter { option in
            switch option {
            case .duration: duration != nil
            case .scale: scale != 1
            }
        }
    }
}
