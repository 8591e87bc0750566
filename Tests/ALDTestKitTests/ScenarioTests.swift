import ALDCore
import Foundation
import Testing

@testable import ALDTestKit

@Suite("Scenarios") struct ScenarioTests {
    /// The numbers of the requirement documents, group by group.
    private static let groups = [
        "DB-HF": 5, "DB-CE": 4, "DB-BI": 6, "DB-QT": 4, "DB-RT": 5, "PLC-CA": 4, "PLC-PS": 5, "PLC-BG": 4,
        "PLC-CS": 4, "PLC-ML": 4, "ML": 4, "CL": 4, "LR": 4, "RC": 4, "FI-NL": 4, "FI-DT": 4, "FI-PD": 4, "FI-RD": 4,
        "FI-PF": 5, "BENCH-DC": 5, "BENCH-RE": 5, "BENCH-PW": 4, "E2E": 4, "PROF": 5,
    ]
    private static let without = ["DB-RATE", "PLC-CONNECTIONS", "STABILITY-24H", "STABILITY-72H"]

    @Test("all 105 numbers are in the catalogue, and the four without, once each")
    func complete() {
        let numbered = Self.groups.flatMap { group, count in (1...count).map { "\(group)-0\($0)" } }
        #expect(numbered.count == 105)
        let ids = Catalogue.scenarios.map(\.id)
        #expect(Set(ids).count == ids.count)
        #expect(Set(ids).subtracting(numbered).subtracting(Self.without).allSatisfy { $0.hasPrefix("SYNC-") })
        #expect(Set(numbered + Self.without).subtracting(ids) == [])
    }

    @Test("what nobody has written yet is known, and does not pass")
    func implemented() async throws {
        #expect(Catalogue.scenarios.filter { !$0.isImplemented }.map(\.id) == [])
        for scenario in Catalogue.scenarios {
            #expect(!scenario.criteria.isEmpty, "\(scenario.id) demands nothing")
        }
        let host = ScenarioHost()
        let unwritten = Scenario("X", "x", requirement: "x", nominal: .seconds(1), short: .seconds(1))
        let result = await ScenarioRunner(host: host).run(unwritten)
        #expect(result.verdict == .unknown && result.reasons.contains("nobody has written it yet"))
        try await host.stop()
    }

    @Test("what a scenario is set to is read from what it runs")
    func parameters() throws {
        let reading = try #require(Catalogue.scenario("PLC-CA-02")).parameters
        #expect(reading["readers"] == "10" && reading["rate"] == "50", "\(reading)")
        let late = try #require(Catalogue.scenario("FI-NL-03")).parameters
        #expect(late["commands"] == "false" && late["period"] == "1s", "\(late)")
        #expect(late["controller"]?.contains("100ms to 1s") == true && late["database"] == nil, "\(late)")
        // What a test plants is no parameter.
        for scenario in Catalogue.scenarios {
            #expect(!scenario.parameters.values.contains { $0.contains("(Function)") }, "\(scenario.id)")
        }
    }

    @Test(
        "patterns choose", arguments: [("PLC-CA-01", 1), ("plc-ca-*", 4), ("*-ML-0*", 4), ("*", 116), ("DB-*-01", 5)])
    func patterns(pattern: String, count: Int) throws {
        #expect(try Catalogue.matching([pattern]).count == count)
    }

    @Test("a pattern that matches none is an error that says how to find one")
    func unknownPattern() {
        let error = #expect(throws: UnknownScenario.self) { try Catalogue.matching(["DB-HF-*", "DB-XX"]) }
        #expect("\(error.map { "\($0)" } ?? "")".contains("DB-XX"))
    }

    // MARK: Verdicts

    private let bound = [Criterion("jitter", .below, 0.1)]

    @Test("a bound that is kept passes, one that is not fails, one without a number is unknown")
    func verdicts() {
        func judge(_ value: Double?) -> Verdict {
            Judgement(bound, measurements: value.map { [Measurement("jitter", $0, .seconds)] } ?? []).verdict
        }
        #expect(judge(0.05) == .pass)
        #expect(judge(0.1) == .fail)
        #expect(judge(nil) == .unknown)
        #expect(judge(.nan) == .unknown)
    }

    @Test("each relation means what it says")
    func relations() {
        let truths: [(Criterion.Relation, [Double])] = [
            (.below, [1]), (.atMost, [1, 2]), (.above, [3]), (.atLeast, [2, 3]), (.exactly, [2]),
        ]
        for (relation, holding) in truths {
            #expect([1, 2, 3].filter { relation.holds($0, 2) } == holding, "\(relation)")
        }
    }

    @Test("a problem fails whatever the numbers say, a doubt makes a pass unknown and leaves a failure one")
    func reasons() {
        let good = [Measurement("jitter", 0.05, .seconds)]
        let bad = [Measurement("jitter", 0.5, .seconds)]
        #expect(Judgement(bound, measurements: good, problems: ["lost"]).verdict == .fail)
        #expect(Judgement(bound, measurements: good, doubts: ["no bite"]).verdict == .unknown)
        let failure = Judgement(bound, measurements: bad, doubts: ["no bite"])
        #expect(failure.verdict == .fail)
        #expect(failure.reasons == ["jitter is 500 ms, required < 100 ms", "no bite"])
        #expect(Judgement([], measurements: good).verdict == .unknown)
    }

    @Test("a bound that holds on the whole and not in every window fails, with the worst window and where it is")
    func windows() {
        func judge(_ relation: Criterion.Relation, _ values: [Double]) -> Judgement {
            let points = values.enumerated().map { Series.Point(at: Double($0.offset * 5), value: $0.element) }
            return Judgement(
                [Criterion("success", .atLeast, 0.5), Criterion("success over time", relation, 0.5, .everyWindow)],
                measurements: [Measurement("success", 0.95, .ratio)],
                series: [Series(name: "success over time", quantity: .ratio, points: points)])
        }
        #expect(judge(.atLeast, [1, 0.5, 1]).verdict == .pass)
        let bad = judge(.atLeast, [1, 0.9, 0.2, 0.4, 1])
        #expect(bad.verdict == .fail && bad.findings.map(\.verdict) == [.pass, .fail])
        #expect(bad.reasons == ["success over time is 20 % at 10 s, required ≥ 50 % in every window"])
        #expect(bad.findings[1].value == 0.2 && bad.findings[1].at == 10 && bad.findings[0].at == nil)
        #expect(judge(.below, [0.1, 0.6, 0.2]).reasons.first?.contains("is 60 % at 5 s") == true)
        #expect(judge(.exactly, [0.5, 0.5, 0.1]).reasons.first?.contains("is 10 % at 10 s") == true)
        #expect(judge(.exactly, [0.5, 0.5]).verdict == .pass)
        for none in [[], [1, .nan]] {
            #expect(judge(.atLeast, none).reasons == ["success over time was not measured"], "\(none)")
        }
    }

    @Test("a criterion from a file of an earlier version holds over the whole run")
    func earlierCriterion() throws {
        let text = #"{"criterion": {"measure": "a", "relation": "<", "bound": 1}, "value": 0.5, "verdict": "pass"}"#
        let finding = try JSONDecoder().decode(Finding.self, from: Data(text.utf8))
        #expect(finding == Finding(criterion: Criterion("a", .below, 1), value: 0.5, verdict: .pass))
    }

    private struct Work: ScenarioWork {
        var body: @Sendable (ScenarioRun) async throws -> Void
        func run(_ run: ScenarioRun) async throws { try await body(run) }
    }

    private func result(_ body: @escaping @Sendable (ScenarioRun) async throws -> Void) async -> ScenarioResult {
        let scenario = Scenario(
            "X", "x", requirement: "x", nominal: .seconds(1), short: .seconds(1), criteria: bound,
            work: Work(body: body))
        return await ScenarioRunner(host: ScenarioHost()).run(scenario)
    }

    @Test("a fault that does nothing, a load that is not reached and an error are no pass")
    func noPass() async {
        let idle = await result { run in
            run.note("jitter", 0.01, .seconds)
            try await run.fault("nothing") { 0 }
        }
        #expect(idle.verdict == .unknown && idle.reasons == ["the fault “nothing” had no effect"])
        let behind = await result { run in
            run.note("jitter", 0.01, .seconds)
            var report = OpenLoop.Report()
            (report.due, report.dropped) = (100, 2)
            run.note("load", report)
        }
        #expect(behind.verdict == .unknown)
        let broken = await result { _ in throw NeverHappened(description: "the sky fell") }
        #expect(broken.verdict == .fail && broken.reasons.first == "the sky fell")
    }

    @Test("a run whose task is cancelled is unknown, whatever it saw")
    func interrupted() async {
        let running = Task {
            await self.result { run in
                run.note("jitter", 0.01, .seconds)
                withUnsafeCurrentTask { $0?.cancel() }
                run.fail("lost by being cut off")
                try Task.checkCancellation()
            }
        }
        let cut = await running.value
        #expect(cut.verdict == .unknown && cut.reasons == ["interrupted"])
        #expect(cut.notes.first == "when it was interrupted: lost by being cut off")
        let own = await self.result { _ in throw CancellationError() }
        #expect(own.verdict == .fail, "nobody has cancelled it: that is an error of its own")
    }

    @Test("variables that are no numbers are named, and nothing runs")
    func options() async {
        let wrong = ScenarioRunner.Options(environment: ["ALD_SCALE": "inf", "ALD_SEED": "abc"])
        #expect(wrong.problems.count == 2 && wrong.scale == 1)
        for text in ["zz", "0", "-1", "nan", "1001", ""] {
            #expect(ScenarioRunner.Options(environment: ["ALD_SCALE": text]).problems.count == 1, "\(text)")
        }
        let good = ScenarioRunner.Options(environment: ["ALD_SCALE": "0.5", "ALD_SEED": "7", "ALD_SLOW": "1"])
        #expect(good.problems == [] && good.scale == 0.5 && good.seed == 7)
        #expect(good.gates == ["ALD_SLOW=1", "--scale 0.5"])
        let scenario = Scenario(
            "X", "x", requirement: "x", nominal: .zero, short: .zero, criteria: bound,
            work: Work { run in run.note("jitter", 0.01, .seconds) })
        let result = await ScenarioRunner(options: wrong, host: ScenarioHost()).run(scenario)
        #expect(result.verdict == .unknown && result.reasons.first?.contains("ALD_SEED is “abc”") == true)
    }

    @Test("no database is unknown for who runs it, and no excuse for a test")
    func noDatabase() async throws {
        for environment in [
            ["ALD_POSTGRES_BIN": "/nowhere"], ["ALD_DATABASE_URL": "postgresql://127.0.0.1:1/x"],
        ] {
            let host = ScenarioHost(environment: environment)
            let scenario = Scenario(
                "X", "x", requirement: "x", nominal: .zero, short: .zero, criteria: bound,
                work: Work { run in try await run.host.withDatabase { _ in } })
            let result = await ScenarioRunner(host: host).run(scenario)
            try await host.stop()
            #expect(result.verdict == .unknown, "\(result.reasons)")
            #expect(result.unavailable?.kind == .database && result.unavailable?.excusesTests == false)
        }
    }

    @Test(
        "a file that holds no result is refused with what is wrong and where",
        arguments: [
            ("[]", "it has no results"), ("{}", "“version” is missing"), ("[{\"version\": \"1\"}]", "at [0].version"),
            ("no", "it is no JSON"), ("", "it is no JSON"),
        ])
    func badFile(text: String, complaint: String) async throws {
        try await withTemporaryDirectory { directory in
            let path = directory + "/r.json"
            try text.write(toFile: path, atomically: true, encoding: .utf8)
            let error = #expect(throws: NeverHappened.self) { try ResultFile.read(path) }
            let sentence = error?.description ?? ""
            #expect(sentence.contains(complaint) && sentence.contains("ald stress --output"), "\(sentence)")
            #expect(!sentence.contains("DecodingError") && !sentence.contains("CodingKeys"), "\(sentence)")
        }
    }

    @Test("a result comes back from its file as it was")
    func file() async throws {
        let result = await result { run in
            run.note("jitter", 0.01, .seconds)
            run.sample("queue", 3, .count)
            try await run.fault("cut") { 7 }
        }
        try await withTemporaryDirectory { directory in
            try ResultFile.write(result, to: directory)
            #expect(try ResultFile.read(directory + "/X.json") == [result])
            let path = directory + "/other.json"
            try "{}".write(toFile: path, atomically: true, encoding: .utf8)
            let error = #expect(throws: NeverHappened.self) { try ResultFile.read(path) }
            #expect(error?.description.contains(path) == true)
        }
    }

    // MARK: Load

    /// Runs the load in virtual time, in which each operation takes as long as it says.
    private func load(
        _ loop: OpenLoop, _ operation: @escaping @Sendable (_ number: Int) -> (Duration, (any Error)?)
    ) throws -> OpenLoop.Report {
        let world = World(seed: 1)
        let node = world.node("load")
        let time = node.time
        let task = node.spawn {
            try await loop.run(time: time) { _, number in
                let (duration, error) = operation(number)
                await Wakeup().wait(until: time.now + duration, time: time)
                if let error { throw error }
            }
        }
        try world.run { task.isDone }
        return try #require(task.outcome).get()
    }

    @Test("latency counts from when an operation was due: a stall is seen by all that were due during it")
    func openLoop() throws {
        // The first of ten operations, due every 10 ms, blocks the only client for long.
        let loop = OpenLoop(rate: 100, duration: .milliseconds(100), clients: 1)
        let report = try load(loop) { number in (.milliseconds(number == 0 ? 300 : 1), nil) }
        #expect(report.due == 10 && report.succeeded == 10 && report.failed == 0 && report.dropped == 0)
        #expect(report.latency.percentile(50) >= .milliseconds(200))
        #expect(report.service.percentile(50) < .milliseconds(2))
    }

    @Test("what cannot be begun in time is dropped and counted, and a failure is counted with its first error")
    func dropped() throws {
        var loop = OpenLoop(rate: 100, duration: .milliseconds(100), clients: 1)
        loop.patience = .milliseconds(50)
        let report = try load(loop) { _ in (.milliseconds(75), NeverHappened(description: "no")) }
        // At 75 ms those that were due before 25 ms are late by more than 50 ms; the next one is begun.
        #expect(report.dropped > 0 && report.failed > 0 && report.failed + report.dropped == 10)
        #expect(report.firstError == "no" && report.failureRatio == 1)
    }

    // MARK: Numbers

    @Test("numbers are written for people")
    func quantities() {
        #expect(Quantity.seconds.text(0.0123) == "12.3 ms")
        #expect(Quantity.seconds.text(90) == "90 s" && Quantity.seconds.text(300) == "5 min")
        #expect(Quantity.seconds.text(259_200) == "72 h")
        #expect(Quantity.ratio.text(0.031) == "3.1 %")
        #expect(Quantity.bytes.text(1_500_000) == "1.5 MB")
        #expect(Quantity.count.text(12) == "12")
        #expect(Quantity.perSecond.text(1234) == "1234/s")
    }
}
