import ALDCore
import Modbus
import Testing

@testable import ALDTestKit

/// The checks of terminals whose database or controller is in trouble find what they are made to find.
@Suite("Verdicts of terminals under faults") struct FaultVerdictTests {
    private struct Seen: Sendable {
        var account: TroubleAccount
        var commands = CommandAccount.planted
        var recipes = RecipeOutcomes(
            runs: [.init(status: "completed", error: ""), .init(status: "failed", error: "late")], openValves: 0)
        var bites = 1
    }

    /// Terminals of which five instants went by while the controller was slow, and the database refused a delivery.
    private static var good: Seen {
        var account = TroubleAccount()
        account.before = .init(cycles: 10, missed: [.late: 1], failedDeliveries: 1)
        account.after = .init(cycles: 15, missed: [.late: 1, .plc: 5], failedDeliveries: 2)
        account.end = .init(cycles: 20, missed: [.late: 2, .plc: 5], failedDeliveries: 2)
        account.explained = [.late: 2, .plc: 5]
        (account.accepted, account.recorded) = (400, RecordedRows(rows: 400, distinct: 400))
        (account.recovery, account.warnings) = (.seconds(1), 3)
        account.slow = SlowReading(period: .seconds(1), delay: .seconds(1), requests: 1)
        (account.owed, account.whole) = (3, 4)
        for _ in 0..<10 { account.before.cycleTime.record(.milliseconds(5)) }
        account.after.cycleTime = account.before.cycleTime
        for _ in 0..<5 { account.after.cycleTime.record(.milliseconds(1010)) }
        return Seen(account: account)
    }

    private func planted(_ number: String, _ good: Seen = good) -> PlantedDefects<Seen> {
        PlantedDefects(id: "FI-\(number)", good: good) { seen, run in
            try await run.fault("planted") { seen.bites }
            seen.account.note(run)
            seen.commands.note(run)
            seen.recipes.note(run)
        }
    }

    private let defects: [PlantedDefects<Seen>.Defect] = [
        (["lost or doubled"], { $0.account.recorded = RecordedRows(rows: 399, distinct: 399) }),
        (["lost or doubled"], { $0.account.recorded = RecordedRows(rows: 401, distinct: 400) }),
        // One is lost, and another one there twice: the sum is right.
        (["lost or doubled"], { $0.account.recorded = RecordedRows(rows: 400, distinct: 399) }),
        (["recovery"], { $0.account.recovery = .seconds(30) }),
        (["violations without a record"], { $0.account.end.missed[.plc] = 6 }),
        (["violations without a record"], { $0.account.explained[.plc] = nil }),
        // One has no record, and another one has two: the sum is right.
        (
            ["violations without a record"],
            { seen in
                seen.account.explained[.plc] = 4
                seen.account.explained[.late] = 3
            }
        ),
        (["cycles"], { $0.account.end.cycles = 0 }),
        (["events lost"], { $0.commands.lose() }), (["events lost"], { $0.commands.pretend() }),
        (["events doubled"], { $0.commands.double() }),
    ]

    /// Of a controller that is slow.
    private let missing: [PlantedDefects<Seen>.Defect] = [
        (["readings missing under the fault"], { $0.account.whole = 2 }),
        (["readings off the grid"], { $0.account.offGrid = 1 }), (["events failed"], { $0.commands.fail() }),
    ]

    /// Of a recipe.
    private let unsafe: [PlantedDefects<Seen>.Defect] = [
        (["recipes"], { $0.recipes.runs = [] }), (["valves left open"], { $0.recipes.openValves = 1 }),
        (["recipes ended without a reason"], { $0.recipes.runs[1].error = "" }),
        (["recipes ended without a reason"], { $0.recipes.runs[0].status = "running" }),
    ]

    @Test("rows, instants and commands that are lost or doubled, and terminals that do not come back")
    func always() async throws {
        try await planted("PD-03").expectFound(defects, and: missing)
        try await planted("NL-04").expectFound(defects + missing, and: unsafe)
        try await planted("NL-03").expectFound(
            defects.filter { !$0.measures.contains { $0.hasPrefix("events") } },
            and: missing.filter { $0.measures != ["events failed"] })
    }

    @Test("a slow controller of which nobody notices that it is slow, or of which nothing is recorded")
    func degradation() async throws {
        let recorded = "recorded of what was due under the fault"
        try await planted("PD-01").expectFound(
            defects + missing, and: [(["violations"], { $0.account.before.missed = $0.account.after.missed })])
        // Those that are recorded late are violations, too.
        let late = try await planted("PD-01").result { seen in
            seen.account.before.missed = seen.account.after.missed
            seen.account.after.late = 1
        }
        #expect(late.verdict == .pass, "\(late.reasons)")
        try await planted("PD-04").expectFound(
            defects + missing,
            and: [
                (["violations", recorded], { $0.account.before.missed = $0.account.after.missed }),
                (
                    ["cycle time under the fault p50"],
                    { seen in
                        seen.account.after.cycleTime = seen.account.before.cycleTime
                        seen.account.after.cycleTime.record(.milliseconds(400))
                    }
                ),
            ])
    }

    @Test("trouble that nobody notices, or of which no instant is said to have been missed")
    func notices() async throws {
        try await planted("NL-01").expectFound(
            defects + missing + unsafe,
            and: [
                (["errors logged"], { $0.account.warnings = 0 }),
                (["violations"], { $0.account.before.missed = $0.account.after.missed }),
            ])
    }

    @Test(
        "an instant that is missed for the sake of the database, or of a controller that is slow with writes only",
        arguments: ["DT-01", "DT-02", "RD-02", "PF-02", "PD-02"])
    func recordsAll(number: String) async throws {
        var good = Self.good
        good.account.after.missed = good.account.before.missed
        (good.account.end.missed, good.account.explained) = ([.late: 1], [.late: 1])
        let kept = "violations for want of controller or disk"
        func miss(_ cause: CollectionGap.Cause) -> @Sendable (inout Seen) -> Void {
            { seen in
                seen.account.after.missed[cause, default: 0] += 1
                seen.account.end.missed[cause, default: 0] += 1
                seen.account.explained[cause, default: 0] += 1
            }
        }
        let others = defects.filter { $0.measures != ["violations without a record"] }
        // Where commands are slow, none may fail; a database in trouble is to be noticed.
        let own: PlantedDefects<Seen>.Defect =
            number == "PD-02"
            ? (["events failed"], { $0.commands.fail() }) : (["errors logged"], { $0.account.warnings = 0 })
        try await planted(number, good).expectFound(
            others,
            and: [
                ([kept], miss(.plc)), ([kept], miss(.spool)), own,
                (["violations without a record"], { $0.account.explained = [:] }),
            ])
        // That this machine was late is not the terminals' fault.
        let late = try await planted(number, good).result(miss(.late))
        #expect(late.verdict == .pass, "\(late.reasons)")
    }

    @Test("trouble that has hit nothing, and terminals that were never seen to come back, show nothing")
    func unknown() async throws {
        try await planted("PD-03").expectUnknown("had no effect") { $0.bites = 0 }
        try await planted("PD-03").expectUnknown("recovery was not measured") { $0.account.recovery = nil }
    }

    @Test("what a slow controller owes: readings that have the time they need, after some that had not")
    func slowReading() {
        func count(_ delay: Double, _ requests: Int, _ seconds: Double) -> Int {
            SlowReading(period: .seconds(1), delay: .seconds(delay), requests: requests).count(in: .seconds(seconds))
        }
        // Within the first patience, each second; the trouble may begin just after an instant.
        #expect(count(0.5, 1, 4) == 3)
        // One is given up after 0.8 s; then each takes a second and may take the next instant with it.
        #expect(count(1, 1, 6) == 2 && count(1, 1, 4) == 1 && count(1, 1, 3.9) == 0)
        // Given up after 0.8, 1.6 and 3.2 s.
        #expect(count(1, 4, 13) == 1 && count(1, 4, 12.9) == 0)
        let slow = SlowReading(period: .seconds(1), delay: .seconds(1), requests: 4)
        #expect(slow.shortest == .seconds(13) && slow.count(in: slow.shortest) == 1)
        // One by one until the first, then every fifth second.
        #expect(slow.count(in: .seconds(600)) == (600 - 8) / 5)
    }

    @Test("instants that drift are off the grid, those that are a little late are not")
    func grid() {
        func offGrid(_ seconds: [Double]) -> Int {
            let instants = seconds.map { Timestamp(microseconds: Int64($0 * 1_000_000)) }
            return TroubleAccount.offGrid(instants, period: .seconds(1))
        }
        #expect(offGrid([]) == 0 && offGrid([10, 11, 12.2, 15.25, 18]) == 0)
        #expect(offGrid([10.2, 11, 12]) == 0, "the first was late")
        #expect(offGrid([10, 11.4, 12.5, 13.6]) == 3)
    }

    @Test("a terminal that always gives up before the next instant is found, whatever it records afterwards")
    func impatient() async throws {
        var scenario = try #require(Catalogue.scenario("FI-NL-03"))
        scenario.work = TerminalsUnderFault(
            controller: .latency(.seconds(1)...(.seconds(1))), commands: false,
            tables: [.inputRegisters], slowReadTimeout: .milliseconds(1))
        let host = ScenarioHost()
        try await withCleanup {
            let result = await ScenarioRunner(host: host).run(scenario)
            #expect(result.verdict == .fail, "\(result.line)")
            let failed = result.findings.filter { $0.verdict != .pass }.map(\.criterion.measure)
            #expect(failed == ["readings missing under the fault"], "\(result.reasons)")
            #expect(result.measurement("whole readings under the fault") == 0)
        } cleanup: {
            try await host.stop()
        }
    }

    @Test("each trouble is told by what it alone does, and of two the one that did less counts")
    func bites() {
        typealias Progress = TroubleAccount.Progress
        func bites(
            _ database: TerminalsUnderFault.DatabaseTrouble?, _ controller: TerminalsUnderFault.ControllerTrouble?,
            _ now: Progress, slowed: Int = 0, _ bitten: [ProxyFault: Int] = [:]
        ) -> Int {
            TerminalsUnderFault(database: database, controller: controller)
                .bites(Progress(missed: [.plc: 1], failedDeliveries: 1), now, slowed: slowed) { bitten[$0] ?? 0 }
        }
        let idle = Progress(missed: [.plc: 1], failedDeliveries: 1)
        var (late, away, refused) = (idle, idle, idle)
        late.missed[.late] = 4
        away.missed[.plc] = 4
        refused.failedDeliveries = 3
        let slow = Duration.milliseconds(100)...(.milliseconds(200))
        // This machine was late; the controller did not slow anything.
        #expect(bites(nil, .latency(slow), late) == 0 && bites(nil, .latency(slow), idle, slowed: 2) == 2)
        #expect(bites(nil, .gone, late, slowed: 9) == 0 && bites(nil, .gone, away) == 3)
        #expect(bites(.latency(slow), nil, refused) == 0 && bites(.latency(slow), nil, idle, [.latency: 5]) == 5)
        #expect(bites(.resets(every: .seconds(1)), nil, refused) == 0)
        #expect(bites(.resets(every: .seconds(1)), nil, idle, [.reset: 1]) == 1)
        for (trouble, fault) in [(TerminalsUnderFault.DatabaseTrouble.gone, ProxyFault.down), (.silent, .freeze)] {
            #expect(bites(trouble, nil, idle, [fault: 7]) == 0 && bites(trouble, nil, refused) == 0)
            #expect(bites(trouble, nil, refused, [fault: 7]) == 2)
        }
        #expect(bites(.lockedLedger, nil, idle, [.down: 1]) == 0 && bites(.lockedLedger, nil, refused) == 2)
        #expect(bites(.lockedLedger, .gone, refused) == 0 && bites(.lockedLedger, .gone, away) == 0)
        #expect(bites(nil, nil, refused) == 0)
    }
}
