/// Walks through the steps of a recipe, into loops and around them, without unrolling anything.
///
/// A loop takes no time: the cursor stands on steps that do something, or at the end.
struct RecipeCursor: Sendable {
    private struct Level: Sendable {
        var steps: [RecipeStep]
        var index = 0
        /// Of the loop that these steps stand in; one, once, at the top.
        var iteration = 1
        var iterations = 1
    }

    private var levels: [Level]

    init(_ recipe: Recipe) {
        levels = [Level(steps: recipe.steps)]
        settle()
    }

    /// The step it stands on; `nil` at the end.
    var step: RecipeStep? {
        guard let level = levels.last, level.index < level.steps.count else { return nil }
        return level.steps[level.index]
    }

    /// Which iteration of each loop around the step, outermost first, from 1.
    var iterations: [Int] { levels.dropFirst().map(\.iteration) }

    mutating func advance() {
        guard step != nil else { return }
        levels[levels.count - 1].index += 1
        settle()
    }

    /// Goes on until it stands on a step that is no loop, or at the end.
    private mutating func settle() {
        while let level = levels.last {
            if level.index < level.steps.count {
                guard case .loop(let iterations, let children) = level.steps[level.index].kind else { return }
                // An empty loop, or none, is gone through as if it were not there.
                if children.isEmpty || iterations < 1 {
                    levels[levels.count - 1].index += 1
                } else {
                    levels.append(Level(steps: children, iterations: iterations))
                }
            } else if levels.count == 1 {
                return
            } else if level.iteration < level.iterations {
                levels[levels.count - 1].index = 0
                levels[levels.count - 1].iteration += 1
            } else {
                levels.removeLast()
                levels[levels.count - 1].index += 1
            }
        }
    }
}
