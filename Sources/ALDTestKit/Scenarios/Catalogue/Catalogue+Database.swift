extension Catalogue {
    static let database: [Scenario] =
        highFrequency + concurrency + batches + timeouts + channel + [
            Scenario(
                "DB-RATE", "The rate at which the database gives up",
                requirement:
                    "10, 50, 100, 500 and 1000 requests a second until the first capacity error of the server, of a "
                    + "role, and of a pooler's two limits, which is recognised as one; the limits are reported. Our "
                    + "pool does its work all the same.",
                nominal: .seconds(200), short: .seconds(8),
                criteria: CapacityLimit.Place.allCases.flatMap { place in
                    [
                        Criterion("\(place.rawValue): capacity errors", .atLeast, 1),
                        Criterion("\(place.rawValue): other errors", .exactly, 0),
                        Criterion("\(place.rawValue): served per second", .above, 0),
                        Criterion("\(place.rawValue): served after the limit", .atLeast, 1),
                        Criterion(
                            "\(place.rawValue): connections granted", .exactly,
                            Double(CapacityLimit().capacity(of: place))),
                    ]
                        + (place.isForOurPool
                            ? [
                                Criterion("\(place.rawValue): our pool's callers that failed", .exactly, 0),
                                Criterion("\(place.rawValue): our pool's refused connects", .atLeast, 1),
                            ] : [])
                },
                work: CapacityLimit())
        ]

    private static let highFrequency: [Scenario] = [
        ("01", 10, 5, 0.1, 0.0), ("02", 50, 10, 0.1, 0.01), ("03", 100, 10, 0.15, 0.05), ("04", 500, 5, nil, 0.1),
        ("05", 1000, 2, nil, nil),
    ].map { number, parameters, minutes, jitter, failures in
        var bounds: [String] = []
        var criteria = [
            Criterion("failures", failures == 0 ? .exactly : .below, failures ?? 0.5),
            Criterion("lost or doubled", .exactly, 0), Criterion("instants that were never due", .exactly, 0),
        ]
        if let jitter {
            bounds.append("jitter below \(Quantity.seconds.text(jitter))")
            criteria.append(Criterion("jitter p99", .below, jitter))
        }
        switch failures {
        case nil: bounds.append("degrades without a crash")
        case 0: bounds.append("no failure")
        case let failures?: bounds.append("failures below \(Quantity.ratio.text(failures))")
        }
        if parameters == 100 {
            bounds.append("fewer than 5 % of the instants missed or late")
            criteria.append(Criterion("timing violations", .below, 0.05))
        }
        return Scenario(
            "DB-HF-\(number)", "\(parameters) parameters every second",
            requirement: "\(parameters) parameters at 1 Hz for \(minutes) min: \(bounds.joined(separator: ", ")).",
            nominal: .minutes(minutes), short: .seconds(3), criteria: criteria,
            work: CollectionLoad(parameters: parameters))
    }

    private static let concurrency: [Scenario] = [
        ("01", "Three terminals", 3, 10.0, 5, 0.0), ("02", "Three terminals and five clients", 8, 50, 3, 0.05),
        ("03", "Ten clients at once", 10, 100, 1, 0.0), ("04", "Three terminals and ten clients", 13, 30, 10, 0.0),
    ].map { number, title, clients, rate, minutes, failures in
        var bounds = failures == 0 ? "all succeed" : "fewer than \(Quantity.ratio.text(failures)) fail"
        var criteria = [
            Criterion("operations failures", failures == 0 ? .exactly : .below, failures),
            Criterion("clients without success", .exactly, 0), Criterion("connections left", .exactly, 0),
            Criterion("database deadlocks", .exactly, 0), Criterion("lost or doubled", .exactly, 0),
        ]
        if failures > 0 {
            // What fails wholly for a while is no graceful degradation, however little that is of a long run. Less than
            // half is what the second document calls failed.
            bounds += ", and in no part of that time more than half of them"
            criteria.append(Criterion("operations success over time", .atLeast, 0.5, .everyWindow))
        }
        // The two ways of calling are compared once.
        let comparesCalls = number == "01"
        if comparesCalls {
            bounds += ", also those of one client, one at a time, as a synchronous one would call, and at once"
            criteria += callsOfOneClient
        }
        return Scenario(
            "DB-CE-\(number)", title,
            requirement: "\(clients) clients with \(Int(rate)) operations a second together for \(minutes) min: "
                + "\(bounds), no connection is left over, no row lost or doubled.",
            nominal: .minutes(minutes), short: .seconds(3), criteria: criteria,
            work: ClientLoad(clients: clients, rate: rate, comparesCalls: comparesCalls))
    }

    private static let callsOfOneClient: [Criterion] =
        CallsOfOneClient.allCases.map { Criterion("calls \($0.rawValue) failures", .exactly, 0) } + [
            // It takes the same one again.
            Criterion("calls one at a time: connections", .exactly, 1),
            Criterion("calls at once: connections", .above, 1),
        ]

    private static let batches: [Scenario] = [
        ("01", 10, 1.0, 300), ("02", 50, 1, 300), ("03", 100, 1, 300), ("04", 500, 1, 180), ("05", 1000, 1, 60),
        ("06", 100, 10, 120),
    ].map { number, rows, rate, seconds in
        var bounds = rows <= 500 ? "p95 below 300 ms" : "within a second"
        var criteria = [
            Criterion("insert p95", .below, rows <= 500 ? 0.3 : 1), Criterion("insert failures", .exactly, 0),
            Criterion("lost or doubled", .exactly, 0), Criterion("partial batch success", .exactly, 1),
        ]
        // All sizes are compared once, by the scenario of the largest.
        let comparesSizes = rows == 1000
        if comparesSizes {
            bounds += "; the largest batch that lands within a second is found, one that does not leaves no part behind"
            criteria += [
                Criterion("largest batch before a timeout", .atLeast, Double(rows)),
                Criterion("batches that landed in part", .exactly, 0),
            ]
        }
        return Scenario(
            "DB-BI-\(number)", "Batches of \(rows), \(Int(rate)) a second",
            requirement: "\(rows) rows in a batch, \(Int(rate)) a second for \(seconds / 60) min: \(bounds); "
                + "nothing lost or doubled.",
            nominal: .seconds(seconds), short: .seconds(4), criteria: criteria,
            work: BatchLoad(rows: rows, rate: rate, comparesSizes: comparesSizes))
    }

    private static let timeouts: [Scenario] = [
        Scenario(
            "DB-QT-01", "Metadata come two seconds late",
            requirement: "2 s latency of the metadata's SELECT at start: the start completes, the delay is logged.",
            nominal: .seconds(30), short: .seconds(30),
            criteria: [
                Criterion("start", .below, 30), Criterion("delays logged", .atLeast, 1),
                Criterion("lost or doubled", .exactly, 0),
            ],
            work: LockedTables(place: .metadata, lock: .seconds(2))),
        Scenario(
            "DB-QT-02", "Polling takes five seconds",
            requirement: "5 s latency of the polls of Terminals 2 and 3: they fall back and go on.",
            nominal: .minutes(1), short: .seconds(15),
            criteria: [
                Criterion("commands lost", .exactly, 0), Criterion("events doubled", .exactly, 0),
                Criterion("events", .atLeast, 1), Criterion("events failed", .exactly, 0),
                Criterion("recipes lost", .exactly, 0),
                Criterion("recipes done", .atLeast, 2), Criterion("recipe steps behind the lock", .atLeast, 1),
                Criterion("collection missed", .exactly, 0), Criterion("lost or doubled", .exactly, 0),
                Criterion("terminals that stopped", .exactly, 0),
            ],
            work: LockedTables(place: .commands, lock: .seconds(5))),
        Scenario(
            "DB-QT-03", "A statement that never returns",
            requirement: "A SELECT that hangs times out at the configured limit, and the connection is usable again "
                + "or replaced.",
            nominal: .seconds(10), short: .seconds(10),
            criteria: [
                Criterion("timed out after", .atLeast, 0.99), Criterion("over the limit", .below, 1.0),
                Criterion("statement afterwards", .exactly, 1), Criterion("backends that still hang", .exactly, 0),
                Criterion("connections not given back", .exactly, 0),
            ],
            work: StatementHang()),
        Scenario(
            "DB-QT-04", "Several terminals wait three seconds",
            requirement: "3 s latency for several terminals at once: no cascading failure.",
            nominal: .minutes(1), short: .seconds(15),
            criteria: [
                Criterion("lost or doubled", .exactly, 0), Criterion("terminals that stopped", .exactly, 0),
                Criterion("recovery", .below, .seconds(30)),
            ],
            work: LockedTables(place: .ledger, lock: .seconds(3), recorders: 3)),
    ]

    private static let channel: [Scenario] = [
        Scenario(
            "DB-RT-01", "One channel, an event a second", requirement: "1 event a second for 5 min: all are received.",
            nominal: .minutes(5), short: .seconds(4), criteria: noLoss,
            work: CommandChannel(rate: 1)),
        Scenario(
            "DB-RT-02", "Three channels, ten events a second",
            requirement: "3 channels with 10 events a second for 5 min: none is dropped.",
            nominal: .minutes(5), short: .seconds(4), criteria: noLoss,
            work: CommandChannel(channels: 3, rate: 10)),
        Scenario(
            "DB-RT-03", "A hundred events a second",
            requirement: "100 events a second for 2 min: none is lost; the throughput limit is measured.",
            nominal: .minutes(2), short: .seconds(4),
            criteria: noLoss + [Criterion("throughput limit", .above, 0)],
            work: CommandChannel(rate: 100, measuresLimit: true)),
        Scenario(
            "DB-RT-04", "Ten quick reconnections",
            requirement: "10 connections in a row within a minute: all succeed, no command is lost.",
            nominal: .minutes(1), short: .seconds(10),
            criteria: noLoss + [Criterion("reconnections", .exactly, 10)],
            work: CommandChannel(rate: 5, resets: 10)),
        Scenario(
            "DB-RT-05", "An hour of changing load",
            requirement: "3 channels at a changing rate for 1 h: no disconnection.",
            nominal: .hours(1), short: .seconds(6), criteria: noLoss + [Criterion("disconnections", .exactly, 0)],
            work: CommandChannel(channels: 3, rate: 5, isVarying: true)),
    ]

    private static let noLoss = [
        Criterion("events lost", .exactly, 0), Criterion("events doubled", .exactly, 0),
        Criterion("events failed", .exactly, 0), Criterion("events late", .exactly, 0),
        Criterion("events", .atLeast, 1), Criterion("insertion failures", .exactly, 0),
    ]
}
