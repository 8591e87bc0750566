extension Catalogue {
    static let stability: [Scenario] =
        leaks + connections + logs + endings + [
            Scenario(
                "STABILITY-24H", "A day with all terminals",
                requirement:
                    "86 400 cycles, 24 recipes, 240 commands; a slow database at 8 h, no controller for 2 min at "
                    + "12 h, a rate limit at 16 h, latency at 20 h: no crash, memory grows by less than 20 %, fewer than "
                    + "5 % of the instants are violated, everything succeeds in the end.",
                nominal: .hours(24), short: .seconds(10)),
            Scenario(
                "STABILITY-72H", "Three days with all terminals",
                requirement: "The same for 72 h with a random failure every 4 h and a checkpoint every 12 h: growth is "
                    + "linear at most, performance stays within 10 % of the first hour, nothing is left behind.",
                nominal: .hours(72), short: .seconds(10)),
        ]

    private static let leaks: [Scenario] = [
        ("01", "collection", 6, "allocations by the hour do not grow"),
        ("02", "recipes", 6, "objects after each recipe do not grow"),
        ("03", "commands", 6, "resident memory grows by less than 10 MB an hour"),
        ("04", "all terminals", 12, "no process of them grows"),
    ].map { number, title, hours, check in
        Scenario(
            "ML-\(number)", "Memory of \(title)", requirement: "\(hours) h of \(title): \(check).",
            nominal: .hours(hours), short: .seconds(10))
    }

    private static let connections: [Scenario] = [
        ("01", "Database connections", 6, "21 600 statements: their count is stable"),
        ("02", "Controller connections", 6, "21 600 reads: no socket is left over"),
        ("03", "Command channels", 6, "10 reconnections: everything is tidied up"),
        ("04", "File handles", 12, "logging without pause: their count is stable"),
    ].map { number, title, hours, check in
        Scenario(
            "CL-\(number)", title, requirement: "\(hours) h, \(check).", nominal: .hours(hours), short: .seconds(10))
    }

    private static let logs: [Scenario] = [
        ("01", "Logs by size or day", 24, "much output, 100 MB or a day: the disk is not filled, all can be read"),
        ("02", "Logs by day", 72, "three days, three files"),
        ("03", "Logs that rotate quickly", 6, "10 MB each at an extreme rate: stable"),
        ("04", "Logs of several services", 24, "50 MB each: they rotate independently"),
    ].map { number, title, hours, check in
        Scenario(
            "LR-\(number)", title, requirement: "\(hours) h, \(check).", nominal: .hours(hours), short: .seconds(10))
    }

    private static let endings: [Scenario] = [
        ("01", "SIGTERM", "connections closed, logs flushed, tasks completed within 30 s"),
        ("02", "SIGINT", "connections closed, logs flushed, tasks completed within 30 s"),
        ("03", "SIGKILL", "the next start tidies up, nothing is corrupted"),
        ("04", "An error that nobody catches", "it is logged, and tidying up is attempted"),
    ].map { number, title, check in
        Scenario(
            "RC-\(number)", title, requirement: "\(title): \(check).", nominal: .seconds(30), short: .seconds(30))
    }
}
