import ALDCore
import Modbus

extension Catalogue {
    static let failureInjection: [Scenario] =
        [
            ("NL-01", "A second of delay", 300, "Every packet of all terminals is 1000 ms late for 5 min", goesOn),
            ("NL-02", "A fifth is lost", 180, "20 % of the packets of all terminals are lost for 3 min", landsAll),
            ("NL-03", "Delay that changes", 600, "Terminal 1 has 100 to 1000 ms for 10 min", "its timing adapts"),
            ("NL-04", "An hour of delay", 3600, "500 ms for all terminals for 1 h", "stable over a long time"),
            ("DT-01", "Statements time out", 300, "5 s per statement for 5 min", "logged, tried again or skipped"),
            ("DT-02", "Connecting times out", 180, "1 s for 3 min", "a new connection is tried, the cache is used"),
            ("DT-03", "Batches time out", 120, "Inserts time out for 2 min", "part is saved or kept for later"),
            ("DT-04", "Metadata time out", 30, "At start", "a degraded start, or one that fails gracefully"),
            ("PD-01", "A slow controller, read", 60, "500 ms per read", "violations are counted, it goes on"),
            ("PD-02", "A slow controller, write", 60, "2000 ms per write", "tried again, succeeds in the end"),
            ("PD-03", "A moody controller", 60, "100 to 1000 ms, mixed", "timing adapts, no crash"),
            ("PD-04", "A controller that stays slow", 600, "1000 ms for 10 min", "the degradation is measured"),
            ("RD-01", "The controller goes away", 120, "Once an hour for 2 min", "reconnects, little is missed"),
            ("RD-02", "The database goes away", 300, "Once an hour for 5 min", "cached data, all lands later"),
            ("RD-03", "The channel goes away", 60, "Once an hour for 1 min", "polling, no command is lost"),
            ("RD-04", "Several go away", 180, "At once, every 2 h for 3 min", "recovery without a cascade"),
            ("PF-01", "Without the controller", 600, "For 10 min", "terminals go on as far as they can"),
            ("PF-02", "Without the database", 600, "For 10 min", "works from the cache, writes wait"),
            ("PF-03", "Terminal 1 crashes", 600, "For 10 min", "Terminals 2 and 3 do not notice"),
            ("PF-04", "Without the channel", 600, "For 10 min", "polling at once"),
            ("PF-05", "Two of three crash", 1800, "For 30 min", "the one that is left does its work"),
        ].map { number, title, seconds, injection, expected in
            let (work, criteria) = failureWorks[number] ?? (nil, [])
            return Scenario(
                "FI-\(number)", title, requirement: "\(injection): \(expected).", nominal: .seconds(seconds),
                short: .seconds(min(shortSeconds[number] ?? 3, seconds)), criteria: criteria, work: work)
        }

    /// Real processes need a little longer, three rounds three times as long, and a slow controller has to be read more
    /// than once.
    private static let shortSeconds = [
        "NL-01": 6, "NL-02": 5, "NL-03": 6, "NL-04": 7, "PD-01": 7, "PD-03": 6, "PD-04": 6, "PF-03": 4, "PF-05": 6,
    ]

    private static let goesOn = "violations are counted, it goes on"
    private static let landsAll = "tried again, nothing is lost"

    private typealias Work = (work: (any ScenarioWork)?, criteria: [Criterion])

    /// What is demanded of all of them.
    private static let always = [
        Criterion("lost or doubled", .exactly, 0), Criterion("recovery", .below, 30),
        Criterion("violations without a record", .exactly, 0), Criterion("cycles", .atLeast, 1),
    ]
    private static let noCommandLost = [
        Criterion("events lost", .exactly, 0), Criterion("events doubled", .exactly, 0),
    ]
    private static let allCommandsSucceed = noCommandLost + [Criterion("events failed", .exactly, 0)]
    private static let isNoticed = [Criterion("errors logged", .atLeast, 1)]
    /// A slow controller is recorded as often as its delay allows, at the instants that it always had.
    private static let recordsWhatThereIs = [
        Criterion("readings missing under the fault", .exactly, 0), Criterion("readings off the grid", .exactly, 0),
    ]
    /// In a short run a second for each of four requests would be one reading; so there is one request.
    private static let oneRequest: Set<DataTable> = [.inputRegisters]
    /// The recipe that ran meanwhile, and what it was at.
    private static let recipeIsSafe = [
        Criterion("recipes", .atLeast, 1), Criterion("recipes ended without a reason", .exactly, 0),
        Criterion("valves left open", .exactly, 0),
    ]
    /// How long a terminal waits for a controller that is known to be slow.
    private static let patience = Duration.seconds(10)
    /// The controller is there, so every instant is recorded.
    private static let recordsAll = [Criterion("violations for want of controller or disk", .exactly, 0)]

    /// What processes leave behind.
    private static let isLeftSafe = [
        Criterion("valves left open", .exactly, 0), Criterion("unbalanced accounts", .exactly, 0),
        Criterion("crashes without a record", .exactly, 0),
    ]
    /// Half of the time and twice of it would both be another recipe.
    private static let othersWork = [
        Criterion("work of the others", .atLeast, 0.5), Criterion("errors of the others", .exactly, 0),
        Criterion("pulse p50", .above, ProcessPlant.pulse * 0.5),
        Criterion("pulse p50", .below, ProcessPlant.pulse * 2),
    ]

    private static let failureWorks: [String: Work] = [
        "NL-01": (
            TerminalsUnderFault(
                database: .latency(.seconds(1)...(.seconds(1))), controller: .latency(.seconds(1)...(.seconds(1))),
                callTimeout: patience, recipes: true, tables: oneRequest),
            always + allCommandsSucceed + isNoticed + recordsWhatThereIs + recipeIsSafe + [
                Criterion("violations", .atLeast, 1)
            ]
        ),
        "NL-02": (
            PacketLoss(probability: 0.2),
            always + noCommandLost + isLeftSafe + [Criterion("recipes ended without a reason", .exactly, 0)]
        ),
        "NL-03": (
            TerminalsUnderFault(
                controller: .latency(.milliseconds(100)...(.seconds(1))), commands: false, tables: oneRequest,
                period: .seconds(1)),
            always + recordsWhatThereIs
        ),
        "NL-04": (
            TerminalsUnderFault(
                database: .latency(.milliseconds(500)...(.milliseconds(500))),
                controller: .latency(.milliseconds(500)...(.milliseconds(500))), callTimeout: patience, recipes: true),
            always + allCommandsSucceed + recordsWhatThereIs + recipeIsSafe
        ),
        "DT-01": (TerminalsUnderFault(database: .silent), always + noCommandLost + isNoticed + recordsAll),
        "DT-02": (TerminalsUnderFault(database: .gone), always + noCommandLost + isNoticed + recordsAll),
        "DT-03": (TerminalsUnderFault(database: .lockedLedger), always + allCommandsSucceed + isNoticed + recordsAll),
        "DT-04": (
            LockedTables(place: .metadata, lock: .seconds(6)),
            [
                Criterion("start", .below, 30), Criterion("delays logged", .atLeast, 1),
                Criterion("lost or doubled", .exactly, 0),
            ]
        ),
        "PD-01": (
            TerminalsUnderFault(
                controller: .latency(.milliseconds(500)...(.milliseconds(500)), TerminalsUnderFault.reads),
                callTimeout: patience),
            always + allCommandsSucceed + recordsWhatThereIs + [Criterion("violations", .atLeast, 1)]
        ),
        "PD-02": (
            TerminalsUnderFault(
                controller: .latency(
                    .seconds(2)...(.seconds(2)),
                    [.writeSingleCoil, .writeSingleRegister, .writeMultipleCoils, .writeMultipleRegisters]),
                callTimeout: patience),
            always + allCommandsSucceed + recordsAll
        ),
        "PD-03": (
            TerminalsUnderFault(
                controller: .latency(.milliseconds(100)...(.seconds(1))), callTimeout: patience, tables: oneRequest),
            always + allCommandsSucceed + recordsWhatThereIs
        ),
        "PD-04": (
            TerminalsUnderFault(
                controller: .latency(.seconds(1)...(.seconds(1))), callTimeout: patience, tables: oneRequest),
            always + allCommandsSucceed + recordsWhatThereIs + [
                Criterion("violations", .atLeast, 1),
                // Less than what was due, and more than nothing, each as late as the controller.
                Criterion("recorded of what was due under the fault", .below, 1),
                Criterion("cycle time under the fault p50", .atLeast, 1),
            ]
        ),
        "RD-01": (
            TerminalsUnderFault(controller: .gone), always + noCommandLost + [Criterion("violations", .atLeast, 1)]
        ),
        "RD-02": (TerminalsUnderFault(database: .gone), always + noCommandLost + isNoticed + recordsAll),
        "RD-03": (
            TerminalsUnderFault(database: .resets(every: .seconds(1))), always + noCommandLost + recordsAll
        ),
        "RD-04": (TerminalsUnderFault(database: .gone, controller: .gone), always + noCommandLost + isNoticed),
        "PF-01": (
            TerminalsUnderFault(controller: .gone), always + noCommandLost + [Criterion("violations", .atLeast, 1)]
        ),
        "PF-02": (TerminalsUnderFault(database: .silent), always + noCommandLost + isNoticed + recordsAll),
        "PF-03": (
            TerminalCrash(rounds: [[.collect]]), always + allCommandsSucceed + isLeftSafe + othersWork
        ),
        "PF-04": (
            TerminalsUnderFault(database: .resets(every: .milliseconds(300))), always + noCommandLost + recordsAll
        ),
        "PF-05": (
            TerminalCrash(rounds: [[.recipes, .commands], [.collect, .commands], [.collect, .recipes]]),
            always + noCommandLost + isLeftSafe + othersWork
        ),
    ]
}
