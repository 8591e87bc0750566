import ALDCore
import Foundation

extension Catalogue {
    static let stability: [Scenario] = leaks + connections + logs + endings + longRuns

    /// Dispatch has as many threads as processors for each class of work, and begins one more a second while one is held
    /// up. In seconds this tells little; in hours whoever keeps one for each operation gains more.
    private static let workers = Criterion(
        "worker threads gained", .atMost, Double(2 * ProcessInfo.processInfo.activeProcessorCount))

    // MARK: Days

    private static let longRuns: [Scenario] = [
        Scenario(
            "STABILITY-24H", "A day with all terminals",
            requirement:
                "86 400 cycles, 24 recipes, 240 commands; a slow database at 8 h, no controller for 2 min at "
                + "12 h, a rate limit at 16 h, latency at 20 h: no crash, memory grows by less than 10 %, in no hour "
                + "by 5 %, by less than 10 MB an hour, fewer than 5 % of the instants are violated, everything "
                + "succeeds in the end.",
            nominal: .hours(24), short: .minutes(15), isVirtual: true,
            criteria: longRun + [
                Criterion("commands", .atLeast, 239), Criterion("recipes", .atLeast, 23),
                Criterion("memory growth", .below, 0.1), Criterion("violations", .below, 0.05),
            ],
            work: LongRun(hours: 24)),
        Scenario(
            "STABILITY-72H", "Three days with all terminals",
            requirement: "The same for 72 h with a random failure every 4 h and a checkpoint every 12 h: growth is "
                + "linear at most, performance stays within 10 % of the first hour, nothing is left behind.",
            nominal: .hours(72), short: .minutes(24), isVirtual: true,
            criteria: longRun + [
                Criterion("commands", .atLeast, 719), Criterion("recipes", .atLeast, 71),
                Criterion("memory growth", .below, 0.2),
                Criterion("slower than in the first hour", .below, 0.1),
            ],
            work: LongRun(hours: 72, isRandom: true)),
    ]

    private static let longRun = [
        Criterion("memory growth in an hour", .below, 0.05, .everyWindow),
        Criterion("memory growth rate", .below, 10_485_760),
        Criterion("lost or doubled", .exactly, 0), Criterion("cycles", .atLeast, 1),
        Criterion("commands that did not succeed", .exactly, 0),
        Criterion("recipes that did not complete", .exactly, 0), Criterion("recovery", .below, 30),
        Criterion("descriptors gained", .atMost, 0), Criterion("threads gained", .atMost, 0), workers,
        Criterion("log files put away", .atLeast, 1), Criterion("log lines lost or out of order", .exactly, 0),
    ]

    // MARK: ML

    private static let leaks: [Scenario] =
        [
            ("01", "collection", "allocations by the hour do not grow", TerminalMemory.Work.collection, 30),
            ("02", "recipes", "objects after each recipe do not grow", .recipes, 60),
            ("03", "commands", "resident memory grows by less than 10 MB an hour", .commands, 30),
        ].map { number, title, check, work, short in
            Scenario(
                "ML-\(number)", "Memory of \(title)", requirement: "6 h of \(title): \(check).", nominal: .hours(6),
                short: .minutes(short), isVirtual: true,
                criteria: [
                    Criterion("memory growth", .below, 0.1), Criterion("memory growth rate", .below, 10_485_760),
                    // A recipe is many events, and there are a few hundred of them in a short run only.
                    Criterion(
                        "heap in use per operation", .below, work == .recipes ? 4 * mostPerOperation : mostPerOperation),
                    Criterion("descriptors gained", .atMost, 0), Criterion("threads gained", .atMost, 0), workers,
                    Criterion("operations", .atLeast, 75), Criterion("lost or doubled", .exactly, 0),
                    Criterion("commands that did not succeed", .exactly, 0),
                    Criterion("recipes that did not complete", .exactly, 0),
                ],
                work: TerminalMemory(work: work))
        } + [
            Scenario(
                "ML-04", "Memory of all terminals", requirement: "12 h of all terminals: no process of them grows.",
                nominal: .hours(12), short: .seconds(8),
                criteria: [
                    Criterion("processes watched", .exactly, 3), Criterion("memory growth", .below, 0.1),
                    Criterion("descriptors gained", .below, 3), Criterion("threads gained", .below, 3), workers,
                    Criterion("lost or doubled", .exactly, 0), Criterion("events lost", .exactly, 0),
                ],
                work: ProcessMemory())
        ]

    /// Bytes: less than an object with a few fields that every cycle, recipe or command would leave behind.
    private static let mostPerOperation = 100.0

    // MARK: CL

    private static let connections: [Scenario] = [
        Scenario(
            "CL-01", "Database connections", requirement: "6 h, 21 600 statements: their count is stable.",
            nominal: .hours(6), short: .seconds(3),
            criteria: noneLeft + [
                Criterion("operations", .atLeast, 1000), Criterion("connections at the most", .atMost, 5),
                Criterion("database connections gained", .atMost, 0),
            ],
            work: ConnectionLeaks(kind: .database)),
        Scenario(
            "CL-02", "Controller connections", requirement: "6 h, 21 600 reads: no socket is left over.",
            nominal: .hours(6), short: .seconds(3),
            criteria: noneLeft + [
                Criterion("operations", .atLeast, 1000), Criterion("connections at the most", .atMost, 1),
                Criterion("controller connections gained", .atMost, 0), Criterion("sockets in CLOSE_WAIT", .exactly, 0),
            ],
            work: ConnectionLeaks(kind: .controller)),
        Scenario(
            "CL-03", "Command channels", requirement: "6 h, 10 reconnections: everything is tidied up.",
            nominal: .hours(6), short: .seconds(3),
            criteria: [
                Criterion("reconnections", .exactly, 10), Criterion("listeners after a cut", .exactly, 1),
                Criterion("listeners left", .exactly, 0), Criterion("listeners gained", .atMost, 0),
                Criterion("descriptors gained", .atMost, 0), Criterion("sockets gained", .atMost, 0),
                Criterion("sockets in CLOSE_WAIT", .exactly, 0), Criterion("events lost", .exactly, 0),
                Criterion("events failed", .exactly, 0), Criterion("events doubled", .exactly, 0),
            ],
            work: ChannelLeaks()),
        Scenario(
            "CL-04", "File handles", requirement: "12 h, logging without pause: their count is stable.",
            nominal: .hours(12), short: .seconds(3),
            criteria: [
                Criterion("descriptors gained", .atMost, 0), Criterion("threads gained", .atMost, 0), workers,
                Criterion("descriptors left", .exactly, 0), Criterion("log files put away", .atLeast, 20),
                Criterion("lines lost", .exactly, 0),
            ],
            work: LogLeaks()),
    ]

    private static let noneLeft = [
        Criterion("connections left", .exactly, 0), Criterion("descriptors gained", .atMost, 0),
        Criterion("sockets gained", .atMost, 0), Criterion("threads gained", .atMost, 0), workers,
        Criterion("descriptors left", .exactly, 0), Criterion("sockets left", .exactly, 0),
    ]

    // MARK: LR

    private static let logs: [Scenario] = [
        Scenario(
            "LR-01", "Logs by size or day",
            requirement: "24 h, much output, 100 MB or a day: the disk is not filled, all can be read.",
            nominal: .hours(24), short: .minutes(5), isVirtual: true,
            criteria: rotated + [
                Criterion("files", .atLeast, 4), Criterion("days", .exactly, 2),
                Criterion("alerts of a full disk", .exactly, 1),
            ],
            work: LogRotations(volumes: [3], maximumBytes: 100_000_000, fillsADisk: true)),
        Scenario(
            "LR-02", "Logs by day", requirement: "72 h, three days, three files.", nominal: .hours(72),
            short: .hours(72), isVirtual: true,
            criteria: rotated + [Criterion("files", .exactly, 3), Criterion("days", .exactly, 3)],
            work: LogRotations(volumes: [0.008], maximumBytes: 100_000_000, steps: 72, beginsInTheDay: false)),
        Scenario(
            "LR-03", "Logs that rotate quickly", requirement: "6 h, 10 MB each at an extreme rate: stable.",
            nominal: .hours(6), short: .minutes(3), isVirtual: true,
            criteria: rotated + [Criterion("files put away", .atLeast, 15), Criterion("files deleted", .atLeast, 5)],
            work: LogRotations(volumes: [20], maximumBytes: 10_000_000, keptFiles: 5)),
        Scenario(
            "LR-04", "Logs of several services", requirement: "24 h, 50 MB each: they rotate independently.",
            nominal: .hours(24), short: .minutes(5), isVirtual: true,
            criteria: rotated + [Criterion("files", .atLeast, 8)],
            work: LogRotations(volumes: [0.5, 1.5, 3], maximumBytes: 50_000_000)),
    ]

    private static let rotated = [
        Criterion("lines lost, doubled, torn or out of order", .exactly, 0),
        Criterion("lines that the disk did not take", .exactly, 0), Criterion("files not compressed", .exactly, 0),
        Criterion("files beyond those that are kept", .exactly, 0),
        Criterion("files deleted that are to be kept", .exactly, 0), Criterion("files that are too long", .exactly, 0),
        Criterion("lines in a file of another day", .exactly, 0),
        Criterion("services that rotate with others", .exactly, 0),
        Criterion("most on the disk, of what there may be", .atMost, 1),
    ]

    // MARK: RC

    private static let endings: [Scenario] = [
        (
            "01", "SIGTERM", "connections closed, logs flushed, tasks completed within 30 s",
            TerminalEnding.Cause.terminate,
            leavesNothing + succeedsAll
        ),
        (
            "02", "SIGINT", "connections closed, logs flushed, tasks completed within 30 s", .interrupt,
            leavesNothing + succeedsAll
        ),
        ("03", "SIGKILL", "the next start tidies up, nothing is corrupted", .kill, []),
        ("04", "An error that nobody catches", "it is logged, and tidying up is attempted", .error, leavesNothing),
    ].map { number, title, check, cause, criteria in
        Scenario(
            "RC-\(number)", title, requirement: "\(title): \(check).", nominal: .seconds(30), short: .seconds(30),
            criteria: endsAnyhow + criteria, work: TerminalEnding(cause: cause))
    }

    /// Demanded however it ends.
    private static let endsAnyhow = [
        Criterion("end", .below, 30), Criterion("connections closed", .below, 30),
        Criterion("database connections left", .exactly, 0), Criterion("controller connections left", .exactly, 0),
        Criterion("processes left", .exactly, 0), Criterion("locks held", .exactly, 0),
        Criterion("recovery", .below, 30), Criterion("files left over after the next end", .exactly, 0),
        Criterion("locks held after the next end", .exactly, 0), Criterion("recipes without an end", .exactly, 0),
        Criterion("valves left open", .exactly, 0), Criterion("lost or doubled", .exactly, 0),
        Criterion("unbalanced accounts", .exactly, 0), Criterion("violations without a record", .exactly, 0),
        Criterion("events lost", .exactly, 0), Criterion("events doubled", .exactly, 0),
    ]
    /// Of a process that has the time to tidy up itself.
    private static let leavesNothing = [
        Criterion("valves left open at the end", .exactly, 0),
        Criterion("recipes left running at the end", .exactly, 0), Criterion("files left over", .exactly, 0),
        Criterion("last words missing", .exactly, 0), Criterion("errors of the next start", .exactly, 0),
    ]
    private static let succeedsAll = [Criterion("events failed", .exactly, 0)]
}
