import ALDCore
import Modbus
import Testing

@testable import ALDTestKit

/// The checks of the database scenarios find what they are made to find: each defect is planted in what a run has seen,
/// and judged by the criteria of the catalogue.
@Suite("Verdicts of the database scenarios") struct DatabaseVerdictTests {
    /// Notes what a run has seen, without one.
    private struct Seen: ScenarioWork {
        var note: @Sendable (ScenarioRun) -> Void
        func run(_ run: ScenarioRun) async throws { note(run) }
    }

    private func result(
        _ id: String, for duration: Duration? = nil, _ note: @escaping @Sendable (ScenarioRun) -> Void
    ) async throws -> ScenarioResult {
        var scenario = try #require(Catalogue.scenario(id))
        scenario.work = Seen(note: note)
        var options = ScenarioRunner.Options()
        options.duration = duration
        return await ScenarioRunner(options: options, host: ScenarioHost()).run(scenario)
    }

    /// The measure that a run has failed by, alone.
    private func expectFailure(
        _ result: ScenarioResult, by measure: String, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(result.verdict == .fail, "\(result.line)", sourceLocation: sourceLocation)
        let failed = result.findings.filter { $0.verdict != .pass }.map(\.criterion.measure)
        #expect(failed == [measure], sourceLocation: sourceLocation)
    }

    // MARK: Commands

    private static func target(_ parameter: Int32, value: Double = 1) -> CommandAccount.Target {
        CommandAccount.Target(machine: 1, parameter: parameter, value: value)
    }

    /// Four commands, all of them carried out.
    private static var commands: CommandAccount {
        let targets = [target(1), target(2), target(1, value: 2), target(2, value: 2)]
        return CommandAccount(
            asked: 4,
            commands: targets.map {
                CommandAccount.Command(target: $0, status: "succeeded", total: .milliseconds(5))
            },
            taken: 4, writes: Dictionary(targets.map { ($0, 1) }, uniquingKeysWith: +))
    }

    private func commands(_ bug: (inout CommandAccount) -> Void) async throws -> ScenarioResult {
        var account = Self.commands
        bug(&account)
        return try await result("DB-RT-01") { [account] run in
            account.note(run)
            run.note("insertion failures", 0, .ratio)
        }
    }

    @Test("a command that is lost, executed twice, late or failed")
    func commandChannel() async throws {
        let good = try await commands { _ in }
        #expect(good.verdict == .pass, "\(good.reasons)")
        let never = try await commands { account in
            account.commands.removeLast()
            account.writes?[Self.target(2, value: 2)] = nil
            account.taken = 3
        }
        expectFailure(never, by: "events lost")
        let forgotten = try await commands { $0.commands.removeLast() }
        #expect(forgotten.verdict == .fail && forgotten.measurement("events lost") == 1)
        expectFailure(try await commands { $0.commands[0].total = nil }, by: "events lost")
        expectFailure(try await commands { $0.writes?[Self.target(1)] = 2 }, by: "events doubled")
        expectFailure(try await commands { $0.taken = 5 }, by: "events doubled")
        expectFailure(try await commands { $0.commands[3].isLate = true }, by: "events late")
        expectFailure(try await commands { $0.commands[3].status = "expired" }, by: "events failed")
        // It succeeded by its record, and never reached the machine.
        expectFailure(try await commands { $0.writes?[Self.target(2)] = nil }, by: "events lost")
    }

    @Test("of a burst a command may be late or too late, but not lost, executed twice or failed for another reason")
    func burst() async throws {
        func result(_ bug: (inout CommandAccount) -> Void) async throws -> ScenarioResult {
            try await commands { account in
                account.commands[3].isOfBurst = true
                bug(&account)
            }
        }
        let late = try await result { account in
            account.commands[3].isLate = true
            account.commands[3].total = .seconds(40)
        }
        #expect(late.verdict == .pass, "\(late.reasons)")
        #expect(late.measurement("inserted to finalised max").map { $0 < 1 } == true)
        let expired = try await result { account in
            account.commands[3].status = "expired"
            account.writes?[Self.target(2, value: 2)] = nil
        }
        #expect(expired.verdict == .pass, "\(expired.reasons)")
        let over = try await result { account in
            account.commands[3].status = "failed"
            account.commands[3].error = ParameterCommandMachine.notReached
            account.writes?[Self.target(2, value: 2)] = nil
        }
        #expect(over.verdict == .pass, "\(over.reasons)")
        expectFailure(try await result { $0.commands[3].total = nil }, by: "events lost")
        expectFailure(try await result { $0.writes?[Self.target(2, value: 2)] = nil }, by: "events lost")
        expectFailure(try await result { $0.writes?[Self.target(2, value: 2)] = 2 }, by: "events doubled")
        expectFailure(try await result { $0.commands[3].status = "failed" }, by: "events failed")
    }

    @Test("one that is lost and one that is executed twice do not make up for each other")
    func lostAndDoubled() async throws {
        let both = try await commands { account in
            account.commands[0].target = Self.target(1)
            account.writes?[Self.target(1)] = 2
            account.writes?[Self.target(1, value: 2)] = 0
        }
        #expect(both.verdict == .fail)
        #expect(both.measurement("events lost") == 1 && both.measurement("events doubled") == 1)
        // Where the machine is not seen, what the terminals say is all there is.
        let unseen = try await commands { $0.writes = nil }
        #expect(unseen.verdict == .pass)
    }

    // MARK: Locked tables

    private static var terminals: LockedTerminals {
        let recorder = LockedTerminals.Recorder(
            accepted: 100, recorded: RecordedRows(rows: 100, distinct: 100), missed: 0, cyclesBehindLock: 6,
            goesOn: true, recovery: .milliseconds(100))
        return LockedTerminals(expected: 3, recorders: [recorder, recorder, recorder])
    }

    private func terminals(_ bug: (inout LockedTerminals) -> Void) async throws -> ScenarioResult {
        var terminals = Self.terminals
        bug(&terminals)
        return try await result("DB-QT-04") { [terminals] in terminals.note($0) }
    }

    @Test("rows that are lost, a recorder that stops behind the lock or after it, and one that does not catch up")
    func lockedTables() async throws {
        let good = try await terminals { _ in }
        #expect(good.verdict == .pass, "\(good.reasons)")
        let lost = RecordedRows(rows: 99, distinct: 99)
        expectFailure(try await terminals { $0.recorders[1].recorded = lost }, by: "lost or doubled")
        let stopped = "terminals that stopped"
        expectFailure(try await terminals { $0.recorders[1].cyclesBehindLock = 0 }, by: stopped)
        expectFailure(try await terminals { $0.recorders[1].goesOn = false }, by: stopped)
        expectFailure(try await terminals { $0.recorders.removeLast() }, by: stopped)
        // The slowest counts, wherever it is.
        expectFailure(try await terminals { $0.recorders[0].recovery = .seconds(31) }, by: "recovery")
        let before = try await terminals { terminals in
            for place in terminals.recorders.indices { terminals.recorders[place].cyclesBehindLock = nil }
        }
        #expect(before.verdict == .pass, "a recorder that the lock found not yet started has not stopped")
    }

    @Test("what one recorder has lost is not made good by what another has twice, or too many")
    func lostInOneRecorder() async throws {
        for other in [RecordedRows(rows: 101, distinct: 100), RecordedRows(rows: 101, distinct: 101)] {
            let both = try await terminals { terminals in
                terminals.recorders[0].recorded = RecordedRows(rows: 99, distinct: 99)
                terminals.recorders[2].recorded = other
            }
            #expect(both.measurement("lost or doubled") == 2)
            expectFailure(both, by: "lost or doubled")
        }
    }

    @Test("a recipe that is lost, and one that stood still behind the lock")
    func lockedRecipes() async throws {
        func result(_ bug: (inout LockedTerminals) -> Void) async throws -> ScenarioResult {
            var terminals = Self.terminals
            terminals.recipes = LockedTerminals.Recipes(asked: 3, succeeded: 3, stepsBehindLock: 20)
            bug(&terminals)
            return try await self.result("DB-QT-02") { [terminals] run in
                terminals.note(run)
                Self.commands.note(run)
                run.note("commands lost", count: 0)
                run.note("commands done", count: 4)
            }
        }
        let good = try await result { _ in }
        #expect(good.verdict == .pass, "\(good.reasons)")
        expectFailure(try await result { $0.recipes?.succeeded = 2 }, by: "recipes lost")
        expectFailure(
            try await result { $0.recipes?.stepsBehindLock = 0 }, by: "recipe steps behind the lock")
        expectFailure(try await result { $0.recorders[0].missed = 1 }, by: "collection missed")
        let unseen = try await result { $0.recipes = nil }
        #expect(unseen.verdict == .unknown, "nobody has seen Terminal 2")
    }

    // MARK: Statements that hang

    private func hang(_ bug: (inout HangAccount) -> Void) async throws -> ScenarioResult {
        var account = HangAccount(limit: .seconds(1), rowsAfterwards: 1)
        account.attempts = Array(repeating: .init(took: .milliseconds(1010), error: .timedOut), count: 3)
        bug(&account)
        return try await result("DB-QT-03") { [account] in account.note($0) }
    }

    @Test("a statement that is never cancelled, that returns, or is given up too late, and a connection that is kept")
    func statementHang() async throws {
        let good = try await hang { _ in }
        #expect(good.verdict == .pass, "\(good.reasons)")
        expectFailure(try await hang { $0.hanging = 1 }, by: "backends that still hang")
        expectFailure(try await hang { $0.kept = 1 }, by: "connections not given back")
        expectFailure(try await hang { $0.rowsAfterwards = 0 }, by: "statement afterwards")
        expectFailure(try await hang { $0.attempts[1].took = .seconds(3) }, by: "over the limit")
        expectFailure(try await hang { $0.attempts[1].took = .milliseconds(500) }, by: "timed out after")
        let returned = try await hang { $0.attempts[1].error = nil }
        #expect(returned.verdict == .fail && returned.reasons == ["the statement returned"])
        let broken = try await hang { $0.attempts[1].error = .connectionFailed }
        #expect(broken.verdict == .fail)
    }

    // MARK: Clients

    /// Half a minute, with failures spread over it, or all of them one after the other from an operation on.
    private static func load(succeeded: Int, failed: Int = 0, from first: Int? = nil) -> LoadReport {
        let (beginning, count) = (MonotonicInstant(nanoseconds: 0), succeeded + failed)
        var report = LoadReport(from: beginning, planned: .seconds(30))
        report.due = count
        let failing = Set((0..<failed).map { number in first.map { $0 + number } ?? number * count / max(1, failed) })
        for number in 0..<count {
            let due = beginning + Duration.seconds(30) * number / count
            report.record(
                dueAt: due, from: due, to: due + .milliseconds(2), failure: failing.contains(number) ? "no" : nil)
        }
        return report
    }

    private func clients(_ id: String, _ bug: (inout ClientAccount) -> Void) async throws -> ScenarioResult {
        var account = ClientAccount(clients: Array(repeating: Self.load(succeeded: 30), count: 10))
        account.audit = PlantedRows.well
        if id == "DB-CE-01" {
            account.calls = [
                .init(way: .oneAtATime, load: Self.load(succeeded: 30), connections: 1),
                .init(way: .atOnce, load: Self.load(succeeded: 90), connections: 8),
            ]
        }
        bug(&account)
        return try await result(id) { [account] in account.note($0) }
    }

    @Test("a client that fails or gets nowhere, a deadlock, and a connection that is left")
    func clientLoad() async throws {
        let good = try await clients("DB-CE-04") { _ in }
        #expect(good.verdict == .pass, "\(good.reasons)")
        expectFailure(
            try await clients("DB-CE-04") { $0.clients[9] = Self.load(succeeded: 29, failed: 1) },
            by: "operations failures")
        expectFailure(try await clients("DB-CE-04") { $0.connectionsLeft = 1 }, by: "connections left")
        expectFailure(try await clients("DB-CE-04") { $0.deadlocks = 1 }, by: "database deadlocks")
        // Even where some may fail: one that does not even begin fails in nothing.
        expectFailure(
            try await clients("DB-CE-02") { $0.clients[9] = LoadReport() }, by: "clients without success")
        let few = try await clients("DB-CE-02") { $0.clients[9] = Self.load(succeeded: 20, failed: 10) }
        #expect(few.verdict == .pass, "\(few.reasons)")
    }

    @Test("clients that all fail for a second, which is little on the whole, and a load of which nobody knows when")
    func badWindow() async throws {
        func result(failed: Int, from first: Int?) async throws -> ScenarioResult {
            try await clients("DB-CE-02") { account in
                account.clients = Array(
                    repeating: Self.load(succeeded: 300 - failed, failed: failed, from: first), count: 10)
            }
        }
        let bad = try await result(failed: 9, from: 120)
        expectFailure(bad, by: "operations success over time")
        #expect(bad.measurement("operations failures") == 0.03)
        #expect(bad.findings.first { $0.criterion.scope == .everyWindow }?.value.map { abs($0 - 0.1) < 1e-9 } == true)
        // As many, here and there.
        let spread = try await result(failed: 9, from: nil)
        #expect(spread.verdict == .pass, "\(spread.reasons)")
        let unknown = try await clients("DB-CE-02") { account in
            var load = LoadReport()
            (load.due, load.succeeded) = (30, 30)
            account.clients = Array(repeating: load, count: 10)
        }
        #expect(unknown.verdict == .unknown)
    }

    @Test("a row that a client was told has landed and that is nowhere or twice, and both at once")
    func clientRows() async throws {
        for bug in PlantedRows.bugs {
            expectFailure(try await clients("DB-CE-01") { bug(&$0.audit) }, by: "lost or doubled")
        }
    }

    @Test("calls of one client that fail, that leave their connection, or that wait for each other without need")
    func calls() async throws {
        func result(_ bug: (inout ClientAccount) -> Void) async throws -> ScenarioResult {
            try await clients("DB-CE-01", bug)
        }
        let good = try await result { _ in }
        #expect(good.verdict == .pass, "\(good.reasons)")
        #expect(good.measurement("calls at once: per second").map { abs($0 - 3) < 0.1 } == true)
        for (place, name) in ["one at a time", "at once"].enumerated() {
            expectFailure(
                try await result { $0.calls[place].load = Self.load(succeeded: 29, failed: 1) },
                by: "calls \(name) failures")
            let unmade = try await result { _ = $0.calls.remove(at: place) }
            #expect(unmade.verdict == .unknown)
        }
        expectFailure(try await result { $0.calls[0].connections = 2 }, by: "calls one at a time: connections")
        expectFailure(try await result { $0.calls[1].connections = 1 }, by: "calls at once: connections")
    }

    /// Says that batches have landed and drops them.
    private struct DroppingSink: ForwardingSink {
        let sink: any BatchSink

        func deliver(_ batches: [Batch], deadline: MonotonicInstant) async throws(SinkFault) -> [BatchLanding] {
            guard batches.contains(where: { $0.id.number.isMultiple(of: 2) }) else {
                return try await sink.deliver(batches, deadline: deadline)
            }
            return batches.map { _ in .landed }
        }
    }

    @Test("clients whose sink drops batches and says that they have landed")
    func droppingSink() async throws {
        var scenario = try #require(Catalogue.scenario("DB-CE-01"))
        scenario.work = ClientLoad(clients: 2, rate: 40) { DroppingSink(sink: $0) }
        var options = ScenarioRunner.Options()
        options.duration = .seconds(1)
        let host = ScenarioHost()
        try await withCleanup {
            let result = await ScenarioRunner(options: options, host: host).run(scenario)
            #expect(result.verdict == .fail, "\(result.line)")
            #expect(result.measurement("lost or doubled").map { $0 > 0 } == true)
        } cleanup: {
            try await host.stop()
        }
    }

    // MARK: Collection and batches

    private func collection(
        _ id: String = "DB-HF-01", _ bug: (inout CollectionAccount) -> Void
    ) async throws -> ScenarioResult {
        var jitter = DurationHistogram()
        jitter.record(.milliseconds(2))
        var account = CollectionAccount(
            planned: 10, due: 10, accepted: 100, recorded: RecordedRows(rows: 100, distinct: 100), jitter: jitter)
        bug(&account)
        return try await result(id) { [account] in account.note($0) }
    }

    @Test("a collection that loses or doubles a row, is irregular, misses an instant, or has none due")
    func collectionLoad() async throws {
        let good = try await collection { _ in }
        #expect(good.verdict == .pass, "\(good.reasons)")
        for rows in [(99, 99), (101, 100), (101, 101), (100, 99)] {
            expectFailure(
                try await collection { $0.recorded = RecordedRows(rows: rows.0, distinct: rows.1) },
                by: "lost or doubled")
        }
        expectFailure(try await collection { $0.jitter.record(.milliseconds(150)) }, by: "jitter p99")
        expectFailure(try await collection { $0.missed = 1 }, by: "failures")
        expectFailure(try await collection { $0.due = 9 }, by: "instants that were never due")
        let punctual = try await collection("DB-HF-03") { _ in }
        #expect(punctual.verdict == .pass, "\(punctual.reasons)")
        expectFailure(try await collection("DB-HF-03") { $0.lateCycles = 1 }, by: "timing violations")
        // As many as are just too many.
        expectFailure(try await collection("DB-HF-02") { ($0.due, $0.missed) = (100, 1) }, by: "failures")
        expectFailure(try await collection("DB-HF-04") { $0.missed = 1 }, by: "failures")
        let none = try await collection { $0.jitter = DurationHistogram() }
        #expect(none.verdict == .unknown, "nobody knows how regular it was")
    }

    @Test("a machine that is read each second, and each time for longer than that, is late")
    func slowMachine() async throws {
        var scenario = try #require(Catalogue.scenario("DB-HF-03"))
        let faults = FaultInjector()
        try faults.add(FaultRule("slow", .request(.delay(.milliseconds(550)))))
        scenario.work = CollectionLoad(parameters: 100, faults: faults)
        let host = ScenarioHost()
        try await withCleanup {
            let result = await ScenarioRunner(host: host).run(scenario)
            #expect(result.verdict == .fail, "\(result.line)")
            #expect(result.findings.first { $0.criterion.measure == "timing violations" }?.verdict == .fail)
            #expect(result.measurement("instants recorded late").map { $0 > 0 } == true, "\(result.measurements)")
        } cleanup: {
            try await host.stop()
        }
    }

    @Test("batches of which a delivery fails, or a row is lost or doubled")
    func batchLoad() async throws {
        func result(failures: Int = 0, _ bug: (inout LandingAudit) -> Void = { _ in }) async throws -> ScenarioResult {
            var audit = PlantedRows.well
            bug(&audit)
            return try await self.result("DB-BI-01") { [audit] run in
                let times = DeliveryTimes()
                times.add(.milliseconds(5), rows: 10)
                for _ in 0..<failures { times.addFailure() }
                times.note(run)
                audit.note(run)
                PartialBatch(good: 9, landed: 9, bad: 1, letters: 1).note(run)
            }
        }
        let good = try await result()
        #expect(good.verdict == .pass, "\(good.reasons)")
        expectFailure(try await result(failures: 1), by: "insert failures")
        for bug in PlantedRows.bugs { expectFailure(try await result(bug), by: "lost or doubled") }
    }

    // MARK: Capacity

    private func capacity(
        at bugged: CapacityLimit.Place = .clients, for duration: Duration? = nil,
        _ bug: (inout CapacityAccount) -> Void
    ) async throws -> ScenarioResult {
        let accounts = CapacityLimit.Place.allCases.map { place in
            var account = CapacityAccount(place: place)
            account.stages = [
                .init(rate: 10, servedPerSecond: 10, refused: 0), .init(rate: 50, servedPerSecond: 40, refused: 7),
            ]
            (account.granted, account.isServedAfterwards) = (CapacityLimit().capacity(of: place), true)
            if place.isForOurPool { account.pool = .init(asked: 200, served: 200, used: 10, refused: 2) }
            if place == bugged { bug(&account) }
            return account
        }
        return try await result("DB-RATE", for: duration) { run in
            for account in accounts { account.note(run) }
        }
    }

    @Test("a refusal that is not the capacity error, a limit that is not where it was set, and one that was not met")
    func capacityLimit() async throws {
        let good = try await capacity { _ in }
        #expect(good.verdict == .pass, "\(good.reasons)")
        #expect(good.measurement("pooler's clients: limit met at") == 50)
        expectFailure(
            try await capacity { $0.stages[1].others = ["connection reset"] }, by: "pooler's clients: other errors")
        for wrong in [9, 11] {
            expectFailure(
                try await capacity { $0.granted = wrong }, by: "pooler's clients: connections granted")
        }
        expectFailure(
            try await capacity { $0.isServedAfterwards = false }, by: "pooler's clients: served after the limit")
        expectFailure(
            try await capacity(at: .server) { $0.pool?.served = 199 }, by: "server: our pool's callers that failed")
        expectFailure(
            try await capacity(at: .role) { $0.pool?.refused = 0 }, by: "role: our pool's refused connects")
        let unmet = try await capacity(for: .milliseconds(10)) { $0.stages[1].refused = 0 }
        #expect(unmet.verdict == .unknown)
        #expect(unmet.reasons.first?.contains("no request was refused in 10ms") == true, "\(unmet.reasons)")
    }

    // MARK: Other durations

    @Test("a collection of another duration is judged by the instants that are due in it, and not at all without two")
    func otherDuration() async throws {
        let scenario = try #require(Catalogue.scenario("DB-HF-01"))
        var options = ScenarioRunner.Options()
        let host = ScenarioHost()
        try await withCleanup {
            options.duration = .milliseconds(1900)
            let short = await ScenarioRunner(options: options, host: host).run(scenario)
            #expect(short.verdict == .unknown)
            #expect(short.reasons.first?.contains("too short to judge; it takes 2s") == true, "\(short.reasons)")
            options.duration = .seconds(2)
            let two = await ScenarioRunner(options: options, host: host).run(scenario)
            // How regular it was is this machine's business.
            #expect(two.measurement("instants that were never due") == 0 && two.measurement("lost or doubled") == 0)
            #expect(two.findings.allSatisfy { $0.value != nil }, "\(two.reasons)")
        } cleanup: {
            try await host.stop()
        }
    }

    @Test("commands of another duration are judged by those that were asked for")
    func fewCommands() async throws {
        let two = try await commands { account in
            account.commands.removeLast(2)
            (account.asked, account.taken) = (2, 2)
            account.writes = [Self.target(1): 1, Self.target(2): 1]
        }
        #expect(two.verdict == .pass, "\(two.reasons)")
        let none = try await commands { $0 = CommandAccount(asked: 0, commands: [], taken: 0, writes: [:]) }
        expectFailure(none, by: "events")
    }
}
