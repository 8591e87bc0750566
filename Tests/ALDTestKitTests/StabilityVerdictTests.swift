import ALDCore
import Testing

@testable import ALDTestKit

/// The checks of connections, channels and memory that stay the same find what they are made to find.
@Suite("Verdicts of stability") struct StabilityVerdictTests {
    private static let looks = 20

    /// What each gains that must gain nothing.
    private static func gains<Seen: Sendable>(
        _ names: [String], _ holdings: any WritableKeyPath<Seen, PlantedHoldings> & Sendable
    ) -> [PlantedDefects<Seen>.Defect] {
        names.map { name in (["\(name) gained"], { $0[keyPath: holdings].gained[name] = 1 }) }
    }

    // MARK: Connections

    private struct Connections: Sendable {
        var kind: String
        var holdings = PlantedHoldings()
        var perLook = 100
        var left = 0
        var halfClosed: Int? = 0
        var descriptorsLeft: Int? = 0
        var socketsLeft: Int? = 0
        var bites = 1

        func note(_ run: ScenarioRun) async throws {
            try await run.fault("planted") { bites }
            var account = ConnectionAccount(kind: kind, before: holdings.probe(at: 0))
            for look in 0..<StabilityVerdictTests.looks {
                account.operations += perLook
                account.look(
                    open: holdings.value(kind, at: look), halfClosed: halfClosed, at: Double(look),
                    seen: holdings.probe(at: look))
            }
            account.left = left
            account.after = account.before
            account.after.descriptors = descriptorsLeft.map { $0 + (account.before.descriptors ?? 0) }
            account.after.sockets = socketsLeft.map { $0 + (account.before.sockets ?? 0) }
            account.note(run)
        }
    }

    private func connections(_ id: String, _ kind: String) -> PlantedDefects<Connections> {
        var good = Connections(kind: kind)
        good.holdings.base[kind] = 1
        return PlantedDefects(id: id, good: good) { try await $0.note($1) }
    }

    private var lost: [PlantedDefects<Connections>.Defect] {
        let others: [PlantedDefects<Connections>.Defect] = [
            (["worker threads gained"], { $0.holdings.gained[LeakWatch.workers] = 50 }),
            (["connections left"], { $0.left = 1 }), (["descriptors left"], { $0.descriptorsLeft = 1 }),
            (["sockets left"], { $0.socketsLeft = 1 }), (["operations"], { $0.perLook = 49 }),
        ]
        return Self.gains([LeakWatch.descriptors, LeakWatch.sockets, LeakWatch.threads], \Connections.holdings) + others
    }

    @Test("connections to the database or the controller that stay, are too many or half-closed")
    func connections() async throws {
        let (many, database) = ("connections at the most", "database connections")
        try await connections("CL-01", database).expectFound(
            lost,
            and: [
                ([many], { $0.holdings.base[database] = 6 }),
                (["\(database) gained", many], { $0.holdings.gained[database] = 1 }),
            ])
        let controller = "controller connections"
        try await connections("CL-02", controller).expectFound(
            lost,
            and: [
                ([many], { $0.holdings.base[controller] = 2 }),
                (["\(controller) gained", many], { $0.holdings.gained[controller] = 1 }),
                (["sockets in CLOSE_WAIT"], { $0.halfClosed = 1 }),
            ])
    }

    @Test("connections that were never lost, and what nobody can count, show nothing")
    func connectionsUnknown() async throws {
        let planted = connections("CL-02", "controller connections")
        try await planted.expectUnknown("had no effect") { $0.bites = 0 }
        try await planted.expectUnknown("descriptors left was not measured") { $0.descriptorsLeft = nil }
        try await planted.expectUnknown("sockets left was not measured") { $0.socketsLeft = nil }
        try await planted.expectUnknown("sockets in CLOSE_WAIT was not measured") { $0.halfClosed = nil }
    }

    // MARK: Channel

    private struct Channel: Sendable {
        var holdings = PlantedHoldings()
        /// After each cut.
        var listeners = Array(repeating: 1, count: 10)
        var left = 0
        var halfClosed: Int? = 0
        var reconnections = 10
        var commands = CommandAccount.planted
        var bites = 10

        func note(_ run: ScenarioRun) async throws {
            try await run.fault("planted") { bites }
            var account = ChannelAccount()
            for _ in 0..<reconnections { account.times.record(.milliseconds(20)) }
            for (number, open) in listeners.enumerated() {
                account.look(
                    listeners: open, halfClosed: number == 3 ? halfClosed : halfClosed.map { _ in 0 },
                    after: number + 1, at: Double(number), seen: holdings.probe(at: number))
            }
            account.left = left
            account.note(run)
            commands.note(run)
        }
    }

    @Test("a channel that does not come back, listens twice or not at all, and commands that are lost by it")
    func channel() async throws {
        let planted = PlantedDefects(id: "CL-03", good: Channel()) { try await $0.note($1) }
        let listeners = "listeners after a cut"
        try await planted.expectFound(
            Self.gains([LeakWatch.descriptors, LeakWatch.sockets], \Channel.holdings),
            and: [
                (["reconnections"], { $0.reconnections = 9 }), ([listeners], { $0.listeners[4] = 2 }),
                ([listeners], { $0.listeners[4] = 0 }),
                (["listeners gained", listeners], { $0.listeners = Array(1...10) }),
                (["listeners left"], { $0.left = 1 }), (["sockets in CLOSE_WAIT"], { $0.halfClosed = 1 }),
                (["events lost"], { $0.commands.lose() }), (["events failed"], { $0.commands.fail() }),
                (["events doubled"], { $0.commands.double() }),
            ])
        try await planted.expectUnknown("had no effect") { $0.bites = 0 }
        try await planted.expectUnknown("listeners after a cut was not measured") { $0.listeners = [] }
        try await planted.expectUnknown("sockets in CLOSE_WAIT was not measured") { $0.halfClosed = nil }
    }

    @Test("a session that rings is none that listens, however long it lies idle afterwards")
    func listeners() async throws {
        try await TestDatabase.withDatabase { lease in
            let database = lease.configuration
            try await TestDatabase.withConnection(database) { ringer, deadline in
                _ = try await ringer.query("SELECT pg_notify('bell', 'echo')", deadline: deadline)
                #expect(try await ChannelLeaks.listeners(database) == 0)
                try await TestDatabase.withConnection(database) { listener, deadline in
                    let listening = try await listener.listen(to: ["bell"], deadline: deadline) { _ in
                        try await ChannelLeaks.listeners(database)
                    }
                    #expect(listening == 1)
                    #expect(try await ChannelLeaks.listeners(database) == 0)
                }
            }
        }
    }

    // MARK: Plant

    private struct Plant: Sendable {
        var account = PlantAccount(
            cycles: 100, due: 100, collected: 1000, accepted: 1040, readings: 1000, landed: 1040, commands: 240,
            recipes: 24, commandEnds: ["succeeded": 240, "expired": 2], recipeEnds: ["completed": 24, "failed": 1])
        var holdings = PlantedHoldings()
        var perLook = 10
        /// From one look to the next.
        var pause = 3600.0
        /// In the looks of one hour there is so much more of the heap.
        var bump = 0

        func note(_ run: ScenarioRun) {
            var watch = LeakWatch(warmUp: 0)
            for look in 0..<StabilityVerdictTests.looks {
                watch.look(
                    after: look * perLook, at: Double(look) * pause,
                    others: [
                        LeakWatch.heap: holdings.value(LeakWatch.heap, at: look) + ((3..<6).contains(look) ? bump : 0)
                    ], seen: holdings.probe(at: look))
            }
            watch.noteHours(run, LeakWatch.heap, looks: 3)
            account.note(run)
            run.note("operations", count: (StabilityVerdictTests.looks - 1) * perLook)
            watch.noteBytes(run, LeakWatch.heap)
            watch.noteCounts(run, [LeakWatch.descriptors, LeakWatch.threads])
        }
    }

    private var records: [PlantedDefects<Plant>.Defect] {
        let lost: Set<String> = ["lost or doubled"]
        return [
            (lost, { seen in (seen.account.readings, seen.account.landed) = (999, 1039) }),
            (lost, { $0.account.landed = 1039 }), (lost, { $0.account.repeated = 1 }),
            // A reading is lost and another one came again, a reading is lost and an event too many: the sums are right.
            (
                lost,
                { seen in
                    (seen.account.readings, seen.account.landed, seen.account.repeated) = (999, 1039, 1)
                }
            ),
            (lost, { $0.account.readings = 999 }),
            (["commands that did not succeed"], { $0.account.commandEnds["succeeded"] = 239 }),
            (["recipes that did not complete"], { $0.account.recipeEnds["completed"] = 23 }),
            (["descriptors gained"], { $0.holdings.gained[LeakWatch.descriptors] = 1 }),
            (["threads gained"], { $0.holdings.gained[LeakWatch.threads] = 1 }),
            (["worker threads gained"], { $0.holdings.gained[LeakWatch.workers] = 50 }),
        ]
    }

    @Test("records, commands and recipes that are lost, and memory that grows", arguments: ["ML-01", "ML-02", "ML-03"])
    func memory(id: String) async throws {
        let planted = PlantedDefects(id: id, good: Plant()) { $0.note($1) }
        let (growth, each, rate) = ("memory growth", "heap in use per operation", "memory growth rate")
        try await planted.expectFound(
            records,
            and: [
                ([growth], { $0.holdings.gained[LeakWatch.heap] = 990 }),
                (
                    [each],
                    { seen in
                        seen.holdings.base[LeakWatch.heap] = 1_000_000
                        seen.holdings.gained[LeakWatch.heap] = 4100
                    }
                ),
                (
                    [rate, each],
                    { seen in
                        seen.holdings.base[LeakWatch.heap] = 1_000_000_000
                        (seen.holdings.gained[LeakWatch.heap], seen.pause) = (5000, 1)
                    }
                ),
                (["operations"], { $0.perLook = 3 }),
            ])
    }

    @Test("a day or three in which something is lost, missed, late or left behind", arguments: [24, 72])
    func days(hours: Int) async throws {
        struct Days: Sendable {
            var plant = Plant()
            var recovery: Duration? = .seconds(2)
            var slower = 0.01
            var putAway = 3
            var disorder = 0
            var bites = 1
        }
        var good = Days()
        (good.plant.account.commands, good.plant.account.recipes) = (10 * hours, hours)
        good.plant.account.commandEnds["succeeded"] = 10 * hours
        good.plant.account.recipeEnds["completed"] = hours
        let planted = PlantedDefects(id: "STABILITY-\(hours)H", good: good) { seen, run in
            try await run.fault("planted") { seen.bites }
            seen.plant.note(run)
            if let recovery = seen.recovery { run.note("recovery", recovery) }
            run.note("slower than in the first hour", seen.slower, .ratio)
            run.note("log files put away", count: seen.putAway)
            run.note("log lines lost or out of order", count: seen.disorder)
        }
        typealias Defects = [PlantedDefects<Days>.Defect]
        let (succeeded, completed) = (10 * hours - 1, hours - 1)
        let own: Defects = records.filter {
            $0.measures.isDisjoint(with: ["commands that did not succeed", "recipes that did not complete"])
        }.map { defect in (defect.measures, { defect.plant(&$0.plant) }) }
        let both: Defects = [
            (["commands that did not succeed"], { $0.plant.account.commandEnds["succeeded"] = succeeded }),
            (["recipes that did not complete"], { $0.plant.account.recipeEnds["completed"] = completed }),
            (["commands"], { $0.plant.account.commands = 10 * hours - 2 }),
            (["recipes"], { $0.plant.account.recipes = hours - 2 }),
            (["recovery"], { $0.recovery = .seconds(3600) }),
            (["log files put away"], { $0.putAway = 0 }), (["log lines lost or out of order"], { $0.disorder = 1 }),
            (["memory growth"], { $0.plant.holdings.gained[LeakWatch.heap] = 1600 }),
            (["memory growth", "memory growth in an hour"], { $0.plant.holdings.gained[LeakWatch.heap] = 2000 }),
            // It comes and goes: no trend shows it.
            (["memory growth in an hour"], { $0.plant.bump = 6000 }),
            (
                ["memory growth rate"],
                { seen in
                    seen.plant.holdings.base[LeakWatch.heap] = 1_000_000_000
                    (seen.plant.holdings.gained[LeakWatch.heap], seen.plant.pause) = (5000, 1)
                }
            ),
        ]
        let day: Defects = [
            (["violations"], { $0.plant.account.due = 106 }), (["violations"], { $0.plant.account.lateCycles = 5 }),
            (["cycles", "violations"], { $0.plant.account.cycles = 0 }),
        ]
        let days: Defects = [
            (["slower than in the first hour"], { $0.slower = 0.2 }), (["cycles"], { $0.plant.account.cycles = 0 }),
        ]
        try await planted.expectFound(own + both, and: hours == 24 ? day : days)
        try await planted.expectUnknown("had no effect") { $0.bites = 0 }
        try await planted.expectUnknown("recovery was not measured") { $0.recovery = nil }
    }
}
