import ALDCore
import Testing

@testable import ALDTestKit

/// The checks of terminals whose database or controller is in trouble find what they are made to find.
@Suite("Verdicts of terminals under faults") struct FaultVerdictTests {
    private struct Seen: Sendable {
        var account: TroubleAccount
        var commands = CommandAccount.planted
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
        return Seen(account: account)
    }

    private func planted(_ number: String, _ good: Seen = good) -> PlantedDefects<Seen> {
        PlantedDefects(id: "FI-\(number)", good: good) { seen, run in
            try await run.fault("planted") { seen.bites }
            seen.account.note(run)
            seen.commands.note(run)
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

    @Test("rows, instants and commands that are lost or doubled, and terminals that do not come back")
    func always() async throws {
        try await planted("PD-03").expectFound(defects)
        try await planted("NL-04").expectFound(defects)
    }

    @Test("a command that fails, where all are to succeed")
    func commands() async throws {
        try await planted("PD-02").expectFound(defects, and: [(["events failed"], { $0.commands.fail() })])
    }

    @Test("trouble that nobody notices, or of which no instant is said to have been missed")
    func notices() async throws {
        try await planted("NL-01").expectFound(
            defects,
            and: [
                (["errors logged"], { $0.account.warnings = 0 }),
                (["violations"], { $0.account.before.missed = $0.account.after.missed }),
            ])
    }

    @Test("an instant that is missed for the sake of the database", arguments: ["DT-01", "DT-02", "RD-02", "PF-02"])
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
        try await planted(number, good).expectFound(
            others,
            and: [
                ([kept], miss(.plc)), ([kept], miss(.spool)), (["errors logged"], { $0.account.warnings = 0 }),
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
