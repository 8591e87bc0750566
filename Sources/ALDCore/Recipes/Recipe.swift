/// What a machine is to do, step by step.
///
/// A recipe is a value and knows no machine. Whether it may run on one is asked of ``RecipeRules``, and a
/// ``RecipeMachine`` runs it.
public struct Recipe: Hashable, Sendable {
    public var name: String
    /// For people.
    public var description: String
    /// What is done, in this order.
    public var steps: [RecipeStep]

    public init(name: String, description: String = "", steps: [RecipeStep]) {
        self.name = name
        self.description = description
        self.steps = steps
    }
}

/// One step of a recipe.
public struct RecipeStep: Hashable, Sendable, Identifiable {
    /// Numbers the steps of a recipe from 1; a loop has a number like any other step.
    public var id: Int32
    /// For people; may be empty.
    public var name: String
    public var kind: Kind

    public init(id: Int32, name: String = "", _ kind: Kind) {
        self.id = id
        self.name = name
        self.kind = kind
    }

    /// What a step does.
    public indirect enum Kind: Hashable, Sendable {
        /// Opens a valve for this long and closes it.
        case valve(ParameterID, open: Duration)
        /// Lets gas flow for this long. The flow is set first and stays; `nil` leaves it as it is.
        case purge(gas: String, for: Duration, flow: SetPoint?)
        /// Sets a value, and waits at it for `hold`. With a ramp, in units per second, the set point moves there
        /// evenly from where it is; without one at once.
        case parameter(SetPoint, ramp: Double?, hold: Duration)
        /// Does these steps so many times.
        case loop(iterations: Int, [RecipeStep])
        /// Does nothing for this long.
        case wait(Duration)

        /// The word for it, in the database and in files.
        public var word: String {
            switch self {
            case .valve: "valve"
            case .purge: "purge"
            case .parameter: "parameter"
            case .loop: "loop"
            case .wait: "wait"
            }
        }
    }

    /// The steps inside; none but a loop has any.
    public var children: [RecipeStep] {
        if case .loop(_, let steps) = kind { steps } else { [] }
    }
}

/// A parameter and the value that it shall have, in its unit.
public struct SetPoint: Hashable, Sendable {
    public var parameter: ParameterID
    public var value: Double

    public init(_ parameter: ParameterID, _ value: Double) {
        self.parameter = parameter
        self.value = value
    }
}

extension Recipe {
    /// Steps and time of a whole run.
    public struct Extent: Hashable, Sendable {
        /// Steps done, those in loops once per iteration; loops themselves are not counted.
        public var steps: Int64 = 0
        /// How long the recipe is programmed to take. A ramp is not in it: it starts from where the machine is.
        public var duration = Duration.zero
    }

    /// What a run of this recipe comes to; `nil` when 64 bits do not hold it.
    public var extent: Extent? { Self.extent(of: steps) }

    private static func extent(of steps: [RecipeStep]) -> Extent? {
        var sum = Extent()
        for step in steps {
            switch step.kind {
            case .valve(_, let duration), .purge(_, let duration, _), .wait(let duration),
                .parameter(_, _, let duration):
                sum.steps += 1
                sum.duration += duration
            case .loop(let iterations, let children):
                guard let once = extent(of: children) else { return nil }
                let (steps, tooMany) = once.steps.multipliedReportingOverflow(by: Int64(iterations))
                let (nanoseconds, tooLong) = once.duration.wholeNanoseconds
                    .multipliedReportingOverflow(by: Int64(iterations))
                guard !tooMany, !tooLong else { return nil }
                sum.steps += steps
                sum.duration += .nanoseconds(nanoseconds)
            }
            guard sum.steps <= RecipeRules.maximumSteps, sum.duration <= RecipeRules.maximumDuration else { return nil }
        }
        return sum
    }

    /// Every step, loops before what is in them, each with the number of loops around it.
    public var outline: [(step: RecipeStep, depth: Int)] { Self.outline(of: steps, depth: 0) }

    private static func outline(of steps: [RecipeStep], depth: Int) -> [(step: RecipeStep, depth: Int)] {
        steps.flatMap { [($0, depth)] + outline(of: $0.children, depth: depth + 1) }
    }
}
