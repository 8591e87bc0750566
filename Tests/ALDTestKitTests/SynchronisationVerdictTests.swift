import ALDCore
import Testing

@testable import ALDTestKit

/// The checks of the synchronisation's scenarios find what they are made to find: each defect is planted in what a run has
/// seen, and judged by the criteria of the catalogue.
@Suite("Verdicts of the synchronisation's scenarios") struct SynchronisationVerdictTests {
    /// Notes what a run has seen, without one.
    private struct Seen: ScenarioWork {
        var note: @Sendable (ScenarioRun) -> Void
        func run(_ run: ScenarioRun) async throws { note(run) }
    }

    func result(
        _ id: String, _ note: @escaping @Sendable (ScenarioRun) -> Void
    ) async throws -> ScenarioResult {
        var scenario = try #require(Catalogue.scenario(id))
        scenario.work = Seen(note: note)
        return await ScenarioRunner(host: ScenarioHost()).run(scenario)
    }

    /// The measure that a run has failed by, alone.
    func expectFailure(
        _ result: ScenarioResult, by measure: String, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(result.verdict == .fail, "\(result.line)", sourceLocation: sourceLocation)
        let failed = result.findings.filter { $0.verdict != .pass }.map(\.criterion.measure)
        #expect(failed == [measure], sourceLocation: sourceLocation)
    }

    // MARK: Pool

    @Test("workers that fail or are never done, and a connection that is left")
    func pool() async throws {
        func result(_ bug: (inout PoolAccount) -> Void) async throws -> ScenarioResult {
            var load = LoadReport()
            (load.succeeded, load.failed) = (496, 4)
            var account = PoolAccount(load: load, asked: 500, connectionsLeft: 0)
            bug(&account)
            return try await self.result("SYNC-POOL") { [account] in account.note($0) }
        }
        let good = try await result { _ in }
        #expect(good.verdict == .pass, "\(good.reasons)")
        expectFailure(try await result { ($0.load.succeeded, $0.load.failed) = (495, 5) }, by: "failed operations")
        expectFailure(try await result { $0.load.succeeded = 495 }, by: "failed operations")
        expectFailure(try await result { $0.connectionsLeft = 1 }, by: "connections left")
    }

    // MARK: Loads

    @Test("stages go on with twice the rate until one fails or time is over, and what was stable is what was held")
    func escalation() {
        let stages = Array(LoadEscalation.stages.suffix(2))
        let doubled = LoadEscalation.Stage(parameters: 1000, rate: 400)
        var escalation = Escalation(stages)
        #expect(escalation.first == .drive(stages[0], place: 0))
        #expect(escalation.driven(.stable, hasTime: false) == .drive(stages[1], place: 1))
        #expect(escalation.driven(.degraded, hasTime: true) == .drive(doubled, place: 2))
        var late = escalation
        #expect(late.driven(.stable, hasTime: false) == .end(held: doubled, broken: nil))
        #expect(escalation.driven(.failed, hasTime: true) == .end(held: stages[0], broken: doubled))
        #expect(escalation.driven == 3)
        var endless = Escalation(stages)
        var step = endless.first
        while case .drive = step { step = endless.driven(.stable, hasTime: true) }
        #expect(step == .end(held: LoadEscalation.Stage(parameters: 1000, rate: 12_800), broken: nil))
    }

    @Test("a breaking point that was not reached is said to be so, with the highest load that was held")
    func unbroken() async throws {
        let (held, broken) = (LoadEscalation.stages[2], LoadEscalation.stages[3])
        let found = try await result("SYNC-ESCALATION") { LoadEscalation.note($0, held: held, broken: broken) }
        #expect(found.measurement("breaking point") == 50_000 && found.measurement("breaking points reached") == 1)
        #expect(!found.notes.contains { $0.hasPrefix("breaking point not reached") })
        let none = try await result("SYNC-ESCALATION") { LoadEscalation.note($0, held: held, broken: nil) }
        #expect(none.measurement("highest load held") == 10_000 && none.measurement("breaking point") == nil)
        #expect(none.measurement("breaking points reached") == 0)
        #expect(none.notes.contains { $0.hasPrefix("breaking point not reached: 200 parameters") })
    }

    // MARK: Current values

    private static func rows(_ second: Int64, value: Double = 1) -> [HistoryRow] {
        (1...3).map { parameter in
            HistoryRow(
                parameter: ParameterID(rawValue: parameter), time: Timestamp(microseconds: second * 1_000_000),
                value: value, quality: .good)
        }
    }

    /// What both sides have written in a turn, and what is current afterwards.
    private struct Turn {
        var record = CycleRecord()
        var before = CurrentValues()
        var after = CurrentValues()
        var isSynchronized = true
        var recorded = RecordedRows(rows: 6, distinct: 6)
    }

    /// Two cycles that have landed.
    private func turn(_ bug: (inout Turn) -> Void) async throws -> ScenarioResult {
        var turn = Turn()
        for second in [1, 2] { turn.record.land(Self.rows(Int64(second))) }
        turn.after = CurrentValues(Self.rows(2))
        bug(&turn)
        var account = SynchronisationAccount()
        account.add(
            turn.record, isSynchronized: turn.isSynchronized, before: turn.before, after: turn.after)
        return try await result("SYNC-BASELINE") { [account, recorded = turn.recorded] run in
            for measure in ["throughput reduction", "latency increase", "memory increase"] {
                run.note(measure, 0, .ratio)
            }
            run.note("success", 1, .ratio)
            account.note(run, recorded)
        }
    }

    @Test("current values that are not written, are old, wrong or missing, and those that nobody was to write")
    func currentValues() async throws {
        let good = try await turn { _ in }
        #expect(good.verdict == .pass, "\(good.reasons)")
        let wrong = "wrong current values"
        expectFailure(try await turn { $0.after = CurrentValues() }, by: wrong)
        expectFailure(try await turn { $0.after = CurrentValues(Self.rows(1)) }, by: wrong)
        expectFailure(try await turn { $0.after = CurrentValues(Self.rows(2, value: 7)) }, by: wrong)
        expectFailure(try await turn { $0.after.values[2] = nil }, by: wrong)
        // History alone leaves them as they were.
        expectFailure(try await turn { $0.isSynchronized = false }, by: wrong)
        let plain = try await turn { turn in
            turn.isSynchronized = false
            turn.after = turn.before
        }
        #expect(plain.verdict == .pass)
    }

    @Test("history that has a row too few, too many or twice, and a cycle that nobody has heard of")
    func history() async throws {
        for recorded in [(5, 5), (7, 6), (7, 7), (6, 5)] {
            expectFailure(
                try await turn { $0.recorded = RecordedRows(rows: recorded.0, distinct: recorded.1) },
                by: "lost or doubled")
        }
        let unheard: (inout Turn) -> Void = { $0.record.fail(Self.rows(3)) }
        let lost = try await turn(unheard)
        let landed = try await turn { turn in
            unheard(&turn)
            turn.after = CurrentValues(Self.rows(3))
            turn.recorded = RecordedRows(rows: 9, distinct: 9)
        }
        #expect(lost.verdict == .pass && landed.verdict == .pass)
    }

    @Test("a sink that is to keep current values and does not, and one that does where it is not to")
    func sinks() async throws {
        let host = ScenarioHost()
        try await withCleanup {
            for one in [PostgresSink.Recording.historyOnly, .synchronized] {
                var scenario = try #require(Catalogue.scenario("SYNC-BASELINE"))
                scenario.work = SynchronisationCost(parameters: 10) { _ in one }
                var options = ScenarioRunner.Options()
                options.duration = .milliseconds(100)
                let result = await ScenarioRunner(options: options, host: host).run(scenario)
                #expect(result.verdict == .fail, "\(result.line)")
                #expect(result.measurement("wrong current values").map { $0 > 0 } == true)
                #expect(result.measurement("lost or doubled") == 0)
            }
        } cleanup: {
            try await host.stop()
        }
    }
}
