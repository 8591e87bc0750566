extension Catalogue {
    /// The second document: what it costs to keep current values beside the history.
    static let synchronisation: [Scenario] = [
        synchronisationCost(),
        Scenario(
            "SYNC-ESCALATION", "Load rises to the breaking point",
            requirement: "50, 84, 200, 500 and 1000 parameters at 10 to 200 operations a second: every stage is "
                + "classified, and the first that fails is reported; where none does, the rate goes on to rise. Normal "
                + "load, 50 at 10 and 84 at 20, is stable.",
            nominal: .seconds(270), short: .seconds(5),
            // Four fifths in time is what the document calls stable.
            criteria: LoadEscalation.normal.map { Criterion($0.measure, .atLeast, 0.8) }
                + [Criterion("lost or doubled", .exactly, 0)],
            work: LoadEscalation()),
        Scenario(
            "SYNC-STORM", "2 to 100 simultaneous transactions",
            requirement: "2, 5, 10, 20, 50 and 100 transactions at a time on the same rows of several machines, "
                + "readings, events, gaps and commands in any order: so many are under way at once, and there is no "
                + "deadlock. Of each parameter the newest value is current.",
            nominal: .seconds(360), short: .seconds(3),
            criteria: storm,
            work: TransactionStorm()),
        Scenario(
            "SYNC-POOL", "More workers than connections",
            requirement: "50 workers with 10 operations each on an exhausted pool: fewer than 5 fail, all end.",
            nominal: .seconds(10), short: .seconds(10),
            criteria: [Criterion("failed operations", .below, 5), Criterion("connections left", .exactly, 0)],
            work: PoolExhaustion()),
        Scenario(
            "SYNC-MEMORY", "Memory under pressure",
            requirement: "Batches of 100 to 5000 rows, also while the database is held up, 50 rounds and 100 "
                + "connections that come and go: memory rises by less than 0.1 MB each time, and never by 500 MB.",
            nominal: .seconds(60), short: .seconds(10),
            criteria: [
                Criterion("growth per round", .below, WriterMemory.leak),
                Criterion("growth per churn", .below, WriterMemory.leak),
                Criterion("memory above the beginning", .below, WriterMemory.most),
                Criterion("lost or doubled", .exactly, 0),
            ],
            work: WriterMemory()),
        Scenario(
            "SYNC-RECOVERY", "Faults in the middle of it",
            requirement: "Connections reset, statements cancelled and rolled back under load: all is made good. Ten "
                + "deliveries at a time run into timeouts of 1, 3, 5 and 10 s, of a tenth of that in a short run, and "
                + "land within 30 s of what held them up.",
            nominal: .seconds(60), short: .seconds(3),
            criteria: recovery,
            work: WriterDisturbance()),
        Scenario(
            "SYNC-BREAKING", "The breaking point",
            requirement: "The highest rate of cycles of 84 parameters that lands without a growing backlog is found, "
                + "well above the one a second of a machine.",
            nominal: .seconds(60), short: .seconds(4),
            criteria: [
                Criterion("cycles per second", .atLeast, BreakingPoint.normalRate),
                Criterion("lost or doubled", .exactly, 0),
            ],
            work: BreakingPoint()),
    ]

    private static let storm: [Criterion] =
        [
            Criterion("database deadlocks", .exactly, 0), Criterion("success", .above, 0.95),
            Criterion("lost or doubled", .exactly, 0), Criterion("wrong current values", .exactly, 0),
            Criterion("commands lost or doubled", .exactly, 0),
        ]
        + TransactionStorm.crowds.map { Criterion(StormAccount.inFlight($0), .atLeast, Double($0)) }

    private static let recovery: [Criterion] =
        [
            Criterion("lost or doubled", .exactly, 0), Criterion("recovery", .below, .seconds(30)),
            Criterion("transactions rolled back", .atLeast, 1),
        ]
        + TimeoutRecovery.timeouts.flatMap { seconds in
            [
                Criterion(TimeoutAccount.name(seconds, "timed out"), .exactly, Double(TimeoutRecovery.deliveries)),
                Criterion(TimeoutAccount.name(seconds, "recovered within"), .below, .seconds(30)),
            ]
        }

    /// History alone against history with current values, in turns.
    ///
    /// - Parameter rate: cycles a second of the part that measures latency.
    public static func synchronisationCost(parameters: Int = 84, rate: Double = 40) -> Scenario {
        Scenario(
            "SYNC-BASELINE", "\(parameters) parameters without and with synchronisation",
            requirement: "Both in one run: throughput falls by less than 20 %, latency rises by less than 30 %, memory "
                + "by less than 40 % of what a side adds, which counts as 66 kB where it is less, 95 % succeed. The "
                + "history has every row once, and the newest values are current.",
            nominal: .seconds(60), short: .seconds(10),
            criteria: [
                Criterion("throughput reduction", .below, SynchronisationComparison.mostThroughputReduction),
                Criterion("latency increase", .below, SynchronisationComparison.mostLatencyIncrease),
                Criterion("memory increase", .below, 0.4), Criterion("success", .above, 0.95),
                Criterion("lost or doubled", .exactly, 0), Criterion("wrong current values", .exactly, 0),
            ],
            work: SynchronisationCost(parameters: parameters, rate: rate))
    }

    /// The same, and batches of several sizes and several writers at a time behind it.
    public static func quickBenchmark(parameters: Int, rate: Double) -> Scenario {
        var scenario = synchronisationCost(parameters: parameters, rate: rate)
        scenario.criteria += [
            Criterion("together: success", .above, 0.95), Criterion("together: deadlocks", .exactly, 0),
            Criterion("together: lost or doubled", .exactly, 0),
        ]
        scenario.work = QuickBenchmark(cost: SynchronisationCost(parameters: parameters, rate: rate))
        return scenario
    }
}
