import ALDCore

extension Catalogue {
    static let controller: [Scenario] =
        access + speed + backgroundWrites + cycles + controllerMemory + [
            Scenario(
                "PLC-CONNECTIONS", "How many connections a controller takes",
                requirement:
                    "Up to 20 connections are tried; those above the controller's limit are refused clearly, and "
                    + "a place that becomes free can be had.",
                nominal: .seconds(10), short: .seconds(10),
                criteria: [
                    Criterion("connections at a time", .exactly, 5), Criterion("refused", .exactly, 15),
                    Criterion("refusals that say why", .exactly, 15),
                    Criterion("had after one was given up", .exactly, 1),
                    Criterion("left open", .exactly, 0),
                ],
                work: ControllerConnectionLimit(limit: 5, attempts: 20))
        ]

    /// Of both ways to the machine: in this process, and over Modbus TCP.
    private static func both(_ measure: String, _ relation: Criterion.Relation, _ bound: Duration) -> [Criterion] {
        both(measure, relation, bound.inSeconds)
    }

    private static func both(_ measure: String, _ relation: Criterion.Relation, _ bound: Double) -> [Criterion] {
        ControllerWay.allCases.map { Criterion("\($0.rawValue): \(measure)", relation, bound) }
    }

    private static let consistent =
        both("torn or stale values", .exactly, 0) + both("read failures", .exactly, 0)
        + both("written by nobody", .exactly, 0)

    private static let access: [Scenario] = [
        Scenario(
            "PLC-CA-01", "Three terminals read at the same time",
            requirement: "3 clients, 10 reads a second each, 5 min: no races, consistent data.",
            nominal: .minutes(5), short: .seconds(2), criteria: consistent,
            work: ControllerAccess(readers: 3, writers: 0, rate: 10, pace: .inTurn)),
        Scenario(
            "PLC-CA-02", "Ten clients read at the same time",
            requirement: "10 clients, 50 reads a second each, 3 min: no crash, consistent values.",
            nominal: .minutes(3), short: .seconds(2), criteria: consistent,
            // Five hundred reads a second, of twice as many clients, are five times what a controller is said to do. A
            // client that waits 10 ms for each answer has time for one request for most of its reads.
            work: ControllerAccess(readers: 10, writers: 0, rate: 50, scansOneOf: 16, pace: .delayed)),
        Scenario(
            "PLC-CA-03", "Five read while five write",
            requirement: "5 readers and 5 writers, 100 operations a second together, 2 min: writes are isolated.",
            nominal: .minutes(2), short: .seconds(2),
            criteria: consistent + both("write failures", .exactly, 0),
            // A hundred operations a second, some of which are several requests, are more than it does one after the other.
            work: ControllerAccess(readers: 5, writers: 5, rate: 10, pace: .delayed)),
        Scenario(
            "PLC-CA-04", "Connections come and go",
            requirement: "10 clients, 10 times a second connected and disconnected, 1 min: no connection is left over.",
            nominal: .minutes(1), short: .seconds(2),
            criteria: [
                Criterion("cycle failures", .exactly, 0), Criterion("connections left", .exactly, 0),
                Criterion("descriptors left", .atMost, 0),
            ],
            work: ConnectionChurn(clients: 10, rate: 10)),
    ]

    private static let speed: [Scenario] =
        [("01", 100, 0.5), ("02", 500, 1), ("03", 1000, 2)].map { number, count, bound in
            Scenario(
                "PLC-PS-\(number)", "Reading \(count) parameters",
                requirement: "All \(count) parameters are read in less than \(Quantity.seconds.text(bound)). Memory is "
                    + "proportional to their number at the most.",
                nominal: .seconds(3), short: .seconds(2),
                // Half way, by ratio, between what is proportional and what grows as the square does.
                criteria: both("read all p95", .below, bound) + both("missing values", .exactly, 0)
                    + [Criterion("memory bend", .below, 2)],
                work: ScanSpeed(parameters: count))
        }
        + [("04", 100, 2.0), ("05", 500, 1)].map { number, count, bound in
            Scenario(
                "PLC-PS-\(number)", "Loading \(count) parameters",
                requirement: "\(count) parameters are loaded from file and database and read for the first time in "
                    + "less than \(Quantity.seconds.text(bound)). The query that loads them is a part of that, and measured by itself.",
                nominal: .seconds(10), short: .seconds(10),
                // No bound is given for the query alone: with it the whole could not be in time.
                criteria: both("loaded and read p95", .below, bound) + both("load query p95", .below, bound)
                    + both("missing parameters", .exactly, 0),
                work: ParameterLoading(parameters: count))
        }

    private static let backgroundWrites: [Scenario] = [
        Scenario(
            "PLC-BG-01", "The database refuses connections",
            requirement: "Connections refused for 5 min: failures are detected and logged, nothing accepted is lost.",
            nominal: .minutes(5), short: .seconds(3), criteria: backgroundCriteria + breakerOpened,
            work: BackgroundWrites(trouble: .refused)),
        Scenario(
            "PLC-BG-02", "The database is slow",
            requirement: "Slow statements for 3 min: the failure rate is tracked, nothing accepted is lost.",
            nominal: .minutes(3), short: .seconds(3), criteria: backgroundCriteria,
            work: BackgroundWrites(trouble: .slow)),
        Scenario(
            "PLC-BG-03", "Rows that break a foreign key",
            requirement: "Foreign-key violations for 2 min: the writes that do it are identified, the others land.",
            nominal: .minutes(2), short: .seconds(3),
            criteria: everythingLands + both("good rows missing", .exactly, 0)
                + both("bad rows not identified", .exactly, 0),
            work: BackgroundWrites(trouble: .foreignKey)),
        Scenario(
            "PLC-BG-04", "Every write fails",
            requirement: "100 % failure for 5 min: back-off and circuit breaker keep the attempts few.",
            nominal: .minutes(5), short: .seconds(3),
            criteria: backgroundCriteria + breakerOpened + both("attempts per second", .below, 20),
            work: BackgroundWrites(trouble: .everything)),
    ]

    private static let everythingLands = both("lost or doubled", .exactly, 0) + both("refused acceptances", .exactly, 0)
    private static let backgroundCriteria =
        everythingLands + both("failures noticed", .atLeast, 1) + both("errors logged", .atLeast, 1)
        + both("recovery", .below, .seconds(30))
    private static let breakerOpened = both("breaker opened", .atLeast, 1)

    private static let cycles: [Scenario] = [
        Scenario(
            "PLC-CS-01", "Ten restarts",
            requirement: "10 restarts, one a minute: all succeed.",
            nominal: .minutes(10), short: .seconds(3),
            criteria: both("failed starts", .exactly, 0) + cleanStarts,
            work: RestartCycles(count: 10)),
        Scenario(
            "PLC-CS-02", "Fifty restarts in a row",
            requirement: "50 restarts, one a second: more than 90 % succeed.",
            nominal: .seconds(50), short: .seconds(5),
            criteria: both("failed part", .below, 0.1) + cleanStarts,
            work: RestartCycles(count: 50)),
        Scenario(
            "PLC-CS-03", "Ten starts at the same time",
            requirement: "10 terminals start at the same moment on an empty database: no deadlock.",
            nominal: .seconds(10), short: .seconds(10),
            criteria: both("failed starts", .exactly, 0) + both("database deadlocks", .exactly, 0) + cleanStarts,
            work: RestartCycles(count: 10, atOnce: true)),
        Scenario(
            "PLC-CS-04", "Restarts amid failures",
            requirement: "20 restarts with injected failures, one a second: each is handled gracefully.",
            nominal: .seconds(20), short: .seconds(5),
            criteria: both("errors that do not say why", .exactly, 0) + both("failures without effect", .exactly, 0)
                + both("failed starts without a failure", .exactly, 0) + cleanStarts,
            work: RestartCycles(count: 20, failing: true)),
    ]

    private static let cleanStarts =
        both("missing starts", .exactly, 0) + both("connections left", .exactly, 0)
        + both("lost or doubled", .exactly, 0)

    private static let controllerMemory: [Scenario] = [
        Scenario(
            "PLC-ML-01", "A day of reading",
            requirement: "24 h, 86 400 reads: memory grows by less than 10 %.",
            nominal: .hours(24), short: .hours(24), isVirtual: true,
            criteria: both("missing reads", .exactly, 0) + both("memory growth", .below, 0.1),
            work: ControllerMemory(reads: true, writes: false)),
        Scenario(
            "PLC-ML-02", "A day of writing",
            requirement: "24 h, 86 400 writes: memory grows by less than 10 %.",
            nominal: .hours(24), short: .hours(24), isVirtual: true,
            criteria: both("missing writes", .exactly, 0) + both("memory growth", .below, 0.1),
            work: ControllerMemory(reads: false, writes: true)),
        Scenario(
            "PLC-ML-03", "Three days of both",
            requirement: "72 h, 259 200 reads and writes: memory grows by less than 15 %.",
            nominal: .hours(72), short: .hours(72), isVirtual: true,
            criteria: both("missing reads", .exactly, 0) + both("missing writes", .exactly, 0)
                + both("memory growth", .below, 0.15),
            work: ControllerMemory(reads: true, writes: true)),
        Scenario(
            "PLC-ML-04", "Parameters come and go",
            requirement: "12 h, parameters are added and removed: nothing of the removed ones is kept.",
            nominal: .hours(12), short: .hours(12), isVirtual: true,
            criteria: both("unseen changes", .exactly, 0) + both("entries beyond those there are", .exactly, 0)
                + both("memory growth", .below, 0.1),
            work: ParameterChurn()),
    ]
}
