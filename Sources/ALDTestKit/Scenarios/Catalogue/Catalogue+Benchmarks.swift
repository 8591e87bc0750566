extension Catalogue {
    static let benchmarks: [Scenario] = cyclesOfCollection + runs + writes + endToEnd + profiles

    private static let cyclesOfCollection: [Scenario] = [
        ("01", 10, 1, 0.05), ("02", 50, 1, 0.1), ("03", 100, 1, 0.1), ("04", 500, 1, 0.5), ("05", 100, 10, 0.1),
    ].map { number, parameters, rate, bound in
        Scenario(
            "BENCH-DC-\(number)", "A cycle of \(parameters) parameters at \(rate) Hz",
            requirement: "\(parameters) parameters at \(rate) Hz: a cycle takes less than "
                + "\(Quantity.seconds.text(bound)) (p95), in 10 runs.",
            nominal: .minutes(10), short: .seconds(5))
    }

    private static let runs: [Scenario] = [
        ("01", "5 steps", 10.0), ("02", "20 steps, a loop of 10", 120), ("03", "50 steps, three nested loops", 600),
        ("04", "10 valve operations", 30), ("05", "100 parameter writes", 60),
    ].map { number, title, bound in
        Scenario(
            "BENCH-RE-\(number)", "A recipe of \(title)",
            requirement: "A recipe of \(title) takes less than \(Quantity.seconds.text(bound)).",
            nominal: .seconds(bound), short: .seconds(min(bound, 10)))
    }

    private static let writes: [Scenario] = [
        ("01", "A single write", 0.5), ("02", "Ten writes at once", 2), ("03", "A batch of 100 writes", 30),
        ("04", "A write with its confirmation", 1),
    ].map { number, title, bound in
        Scenario(
            "BENCH-PW-\(number)", title,
            requirement: "\(title), end to end: less than \(Quantity.seconds.text(bound)).",
            nominal: .seconds(bound), short: .seconds(bound))
    }

    private static let endToEnd: [Scenario] = [
        ("01", "From a command to its record", "command, controller, recorded by Terminal 1", 5.0),
        ("02", "From a recipe's start to its first step", "start, first step, recorded", 10),
        ("03", "A whole recipe of two minutes", "start, completion, last record", 300),
        ("04", "From outside to the confirmation", "external call, write, confirmation", 10),
    ].map { number, title, path, bound in
        Scenario(
            "E2E-\(number)", title,
            requirement: "\(path): less than \(Quantity.seconds.text(bound)).", nominal: .seconds(bound),
            short: .seconds(min(bound, 10)))
    }

    private static let profiles: [Scenario] = [
        ("01", "idle", "nothing to do", 60), ("02", "light", "10 parameters, a recipe an hour", 60),
        ("03", "normal", "100 parameters, a recipe and 10 commands an hour", 240),
        ("04", "heavy", "500 parameters, a recipe every 10 min, 100 commands an hour", 120),
        ("05", "extreme", "1000 parameters, recipes without pause, 1000 commands an hour", 30),
    ].map { number, title, load, minutes in
        Scenario(
            "PROF-\(number)", "Profile: \(title)", requirement: "\(load), \(minutes) min: what it uses is measured.",
            nominal: .minutes(minutes), short: .seconds(10))
    }
}
