import ALDCore

extension Catalogue {
    static let benchmarks: [Scenario] = cyclesOfCollection + runs + writes + endToEnd + profiles

    private static let cyclesOfCollection: [Scenario] = [
        ("01", 10, 1, 0.05), ("02", 50, 1, 0.1), ("03", 100, 1, 0.1), ("04", 500, 1, 0.5), ("05", 100, 10, 0.1),
    ].map { number, parameters, rate, bound in
        Scenario(
            "BENCH-DC-\(number)", "A cycle of \(parameters) parameters at \(Int(rate)) Hz",
            requirement: "\(parameters) parameters at \(Int(rate)) Hz: a cycle takes less than "
                + "\(Quantity.seconds.text(bound)) (p95) over 10 runs, an insert less than 500 ms.",
            nominal: .minutes(10), short: .seconds(2),
            criteria: [
                Criterion("cycle p95", .below, bound), Criterion("insert p95", .below, 0.5),
                Criterion("lost or doubled", .exactly, 0),
            ],
            work: CycleBenchmark(parameters: parameters, rate: rate))
    }

    // MARK: Recipes

    private static let runs: [Scenario] = [
        recipe("01", "5 steps", .simple, 10, short: 2), recipe("02", "20 steps, a loop of 10", .looped, 120, short: 3),
        recipe("03", "50 steps, three nested loops", .nested, 600, short: 4),
        recipe("04", "10 valve operations", .valves, 30, short: 2),
        recipe("05", "100 parameter writes", .writes, 60, short: 2),
    ]

    /// A short run has the same steps in less time, and is allowed as much less. Writes alone take no programmed time, so
    /// their bound stays, and there is nothing that an overhead could be a part of.
    private static func recipe(
        _ number: String, _ title: String, _ recipe: BenchmarkRecipe, _ bound: Int, short: Int
    ) -> Scenario {
        Scenario(
            "BENCH-RE-\(number)", "A recipe of \(title)",
            requirement: "A recipe of \(title) takes less than \(Quantity.seconds.text(Double(bound)))"
                + (recipe == .writes ? "." : ", and no more than 20 % beyond its plan."),
            nominal: .seconds(bound), short: .seconds(short),
            criteria: [
                Criterion("part of what is allowed", .below, 1), Criterion("steps without a record", .exactly, 0),
                Criterion("valves left open", .exactly, 0),
            ] + (recipe == .writes ? [] : [Criterion("overhead", .atMost, 0.2)]),
            work: RecipeBenchmark(recipe: recipe, bound: .seconds(bound)))
    }

    // MARK: Writes

    private static let writes: [Scenario] = [
        write("01", "A single write", 0.5, WriteBenchmark(asking: .atOnce(1), rate: 5)),
        write("02", "Ten writes at once", 2, WriteBenchmark(asking: .atOnce(10), rate: 2)),
        write("03", "A batch of 100 writes", 30, WriteBenchmark(asking: .batch(100), rate: 0.5)),
        write("04", "A write with its confirmation", 1, WriteBenchmark(asking: .confirmed, rate: 5)),
    ]

    private static func write(_ number: String, _ title: String, _ bound: Double, _ work: WriteBenchmark) -> Scenario {
        Scenario(
            "BENCH-PW-\(number)", title,
            requirement: "\(title), end to end: less than \(Quantity.seconds.text(bound)) (p95).",
            nominal: .minutes(1), short: .seconds(2),
            criteria: [Criterion("round p95", .below, bound), Criterion("round failures", .exactly, 0)] + traced,
            work: work)
    }

    /// Of every command each stage is known, and all have succeeded.
    private static let traced = [
        Criterion("commands without success", .exactly, 0), Criterion("traces with a stage missing", .exactly, 0),
        Criterion("commands", .atLeast, 1),
    ]

    // MARK: End to end

    private static let endToEnd: [Scenario] = [
        path(
            "01", "From a command to its record", "command, controller, recorded by Terminal 1", .command, 5,
            [Criterion("asked to recorded by Terminal 1 p95", .below, 5), Criterion("command failures", .exactly, 0)]
                + traced),
        path(
            "02", "From a recipe's start to its first step", "start, first step, recorded", .firstStep, 10,
            [Criterion("start to recorded by Terminal 1 p95", .below, 10)]),
        path(
            "03", "A whole recipe of two minutes", "start, completion, last record", .wholeRecipe, 300,
            [
                Criterion("last reading, of what is allowed", .below, 1),
                Criterion("steps without a record", .exactly, 0),
            ]),
        path(
            "04", "From outside to the confirmation", "external call, write, confirmation", .outside, 10,
            [Criterion("called to answered p95", .below, 10)] + traced),
    ]

    private static func path(
        _ number: String, _ title: String, _ words: String, _ path: EndToEnd.Path, _ bound: Int,
        _ criteria: [Criterion]
    ) -> Scenario {
        Scenario(
            "E2E-\(number)", title, requirement: "\(words): less than \(Quantity.seconds.text(Double(bound))).",
            nominal: path == .wholeRecipe ? .seconds(bound) : .minutes(1),
            short: .seconds(path == .wholeRecipe ? 5 : 2),
            criteria: criteria + [Criterion("unbalanced accounts", .exactly, 0)],
            work: EndToEnd(path: path, bound: .seconds(bound)))
    }

    // MARK: Profiles

    private static let profiles: [Scenario] = [
        profile("01", "idle", "nothing to do", 60, ResourceProfile(parameters: 10, period: .hours(1))),
        profile(
            "02", "light", "10 parameters, a recipe an hour", 60,
            ResourceProfile(parameters: 10, recipes: .every(.hours(1)))),
        profile(
            "03", "normal", "100 parameters, a recipe and 10 commands an hour", 240,
            ResourceProfile(parameters: 100, recipes: .every(.hours(1)), commandsPerHour: 10),
            [Criterion("processor, all terminals", .below, 0.5)]),
        profile(
            "04", "heavy", "500 parameters, a recipe every 10 min, 100 commands an hour", 120,
            ResourceProfile(parameters: 500, recipes: .every(.minutes(10)), commandsPerHour: 100)),
        profile(
            "05", "extreme", "1000 parameters, recipes without pause, 1000 commands an hour", 30,
            ResourceProfile(parameters: 1000, recipes: .continuous, commandsPerHour: 1000)),
    ]

    private static func profile(
        _ number: String, _ title: String, _ load: String, _ minutes: Int, _ work: ResourceProfile,
        _ criteria: [Criterion] = []
    ) -> Scenario {
        Scenario(
            "PROF-\(number)", "Profile: \(title)",
            requirement: "\(load), \(minutes) min: what it uses is measured"
                + (criteria.isEmpty ? "." : ", processors are less than 50 % busy."),
            nominal: .minutes(minutes), short: .seconds(2),
            criteria: criteria + [
                Criterion("looks", .atLeast, 3), Criterion("numbers that are missing", .exactly, 0),
                Criterion("commands without success", .exactly, 0),
                Criterion("recipes that did not run to their end", .exactly, 0),
                Criterion("unbalanced accounts", .exactly, 0), Criterion("cycles", .atLeast, 1),
            ],
            work: work)
    }
}
