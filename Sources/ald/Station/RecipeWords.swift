import ALDCore

/// What Terminal 2 is doing, for people.
struct RecipeWords {
    let map: RegisterMap

    func words(of status: RecipeService.Status) -> String {
        let done =
            "\(status.completed) done"
            + (status.failed + status.aborted > 0 ? ", \(status.failed + status.aborted) not" : "")
        switch status.phase {
        case .starting: return "makes sure that nothing was left open"
        case .unsafe: return "waits for the controller to close what was left open"
        case .ready: return "waits for a recipe; \(done)"
        case .checking: return "looks at the machine before \(status.recipe ?? "a recipe")"
        case .running, .paused, .stopping:
            guard let progress = status.progress else { return "ends; \(done)" }
            let share = progress.totalSteps > 0 ? Double(progress.completedSteps) / Double(progress.totalSteps) : 0
            let cells = Int((share * 20).rounded(.down))
            let bar = String(repeating: "#", count: cells) + String(repeating: ".", count: 20 - cells)
            let cycle = progress.iterations.first.map { ", cycle \($0)" } ?? ""
            let state = status.phase == .paused ? " PAUSED" : ""
            return "\(status.recipe ?? "recipe")\(state) [\(bar)] step \(progress.completedSteps) of "
                + "\(progress.totalSteps)\(cycle)"
        case .ended: return "ended; \(done)"
        }
    }
}
