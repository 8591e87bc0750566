import ALDCore
import Synchronization
import Testing

@testable import ALDTestKit

/// The checks of the scenarios of the controller find what they are made to find, both ways, and judge a run that is
/// shorter or larger than theirs by what was asked for.
@Suite("Verdicts of the controller's scenarios")
struct ControllerVerdictTests {
    struct Work: ScenarioWork {
        var body: @Sendable (ScenarioRun) async throws -> Void
        func run(_ run: ScenarioRun) async throws { try await body(run) }
    }

    /// The scenario with this number, changed.
    func result(
        _ id: String, on host: ScenarioHost = ScenarioHost(), for duration: Duration? = .milliseconds(500),
        scale: Double = 1, _ work: (any ScenarioWork)? = nil
    ) async throws -> ScenarioResult {
        var scenario = try #require(Catalogue.scenario(id))
        scenario.work = work ?? scenario.work
        var options = ScenarioRunner.Options()
        (options.duration, options.scale) = (duration, scale)
        return await ScenarioRunner(options: options, host: host).run(scenario)
    }

    /// Which criteria do not hold, without the way.
    func broken(_ result: ScenarioResult) -> Set<String> {
        Set(
            result.findings.filter { $0.verdict == .fail }
                .compactMap { $0.criterion.measure.split(separator: ": ").last.map(String.init) })
    }

    // MARK: Accounts with a bug

    private func judge(
        _ id: String, _ way: ControllerWay, _ good: OutageAccount, _ bug: @Sendable (inout OutageAccount) -> Void
    ) async throws -> ScenarioResult {
        var bad = good
        bug(&bad)
        return try await result(
            id,
            Work { [bad] run in
                for each in ControllerWay.allCases { (each == way ? bad : good).note(run, each) }
            })
    }

    @Test("what goes wrong while the database is in trouble is found out", arguments: ControllerWay.allCases)
    func outages(way: ControllerWay) async throws {
        var good = OutageAccount()
        (good.accepted, good.recorded) = (100, RecordedRows(rows: 100, distinct: 100))
        (good.lasted, good.failures, good.warnings) = (.seconds(2), 9, 1)
        (good.breakerOpened, good.recovery) = (true, .seconds(1))
        (good.strangers, good.words) = ([9, 10], ["", "wait for parameters that are not registered: 9, 10; x"])
        for id in ["PLC-BG-01", "PLC-BG-02", "PLC-BG-03", "PLC-BG-04"] {
            #expect(try await judge(id, way, good) { _ in }.verdict == .pass)
            let lost = try await judge(id, way, good) { $0.recorded = RecordedRows(rows: 99, distinct: 99) }
            #expect(lost.verdict == .fail && broken(lost) == ["lost or doubled"])
            // One is lost and another doubled: the sum is right.
            let swapped = try await judge(id, way, good) { $0.recorded = RecordedRows(rows: 100, distinct: 99) }
            #expect(swapped.verdict == .fail && broken(swapped) == ["lost or doubled"])
            #expect(broken(try await judge(id, way, good) { $0.refused = 1 }) == ["refused acceptances"])
        }
        let closed = try await judge("PLC-BG-04", way, good) { $0.breakerOpened = false }
        #expect(closed.verdict == .fail && broken(closed) == ["breaker opened"])
        let eager = try await judge("PLC-BG-04", way, good) { $0.failures = 50 }
        #expect(eager.verdict == .fail && broken(eager) == ["attempts per second"])
        #expect(broken(try await judge("PLC-BG-01", way, good) { $0.warnings = 0 }) == ["errors logged"])
        #expect(try await judge("PLC-BG-01", way, good) { $0.recovery = nil }.verdict == .unknown)
        for words in ["", "not registered: 9", "not registered: 9, 10, 11", "9, 10"] {
            let unnamed = try await judge("PLC-BG-03", way, good) { $0.words = [words] }
            #expect(unnamed.verdict == .fail && broken(unnamed) == ["bad rows not identified"], "\(words)")
        }
        #expect(broken(try await judge("PLC-BG-03", way, good) { $0.goodMissing = 1 }) == ["good rows missing"])
    }

    private func judge(
        _ id: String, _ way: ControllerWay, _ bug: @Sendable (inout RestartAccount) -> Void
    ) async throws -> ScenarioResult {
        let accounts = ControllerWay.allCases.map { each in
            var account = restarted(id, each)
            if each == way { bug(&account) }
            return (each, account)
        }
        return try await result(id, Work { run in for (each, account) in accounts { account.note(run, each) } })
    }

    /// Three starts. In the scenario of failures one of them has met one, and says so.
    private func restarted(_ id: String, _ way: ControllerWay) -> RestartAccount {
        var account = RestartAccount(due: 3, isAtOnce: id == "PLC-CS-03")
        account.starts = [60, 0, 40].map { RestartAccount.Start(took: .seconds(1), rows: $0) }
        account.recorded = RecordedRows(rows: 100, distinct: 100)
        guard id == "PLC-CS-04" else { return account }
        account.starts[1].failure = .controller
        account.starts[1].error =
            way == .wired
            ? "no connection to 127.0.0.1:1: connection refused"
            : "the PLC cannot be reached: the simulated machine is switched off"
        return account
    }

    @Test("what goes wrong with a start is found out", arguments: ControllerWay.allCases)
    func restarts(way: ControllerWay) async throws {
        for id in ["PLC-CS-01", "PLC-CS-02", "PLC-CS-03", "PLC-CS-04"] {
            #expect(try await judge(id, way) { _ in }.verdict == .pass)
            let left = try await judge(id, way) { $0.connectionsLeft = 1 }
            #expect(left.verdict == .fail && broken(left) == ["connections left"])
            let doubled = try await judge(id, way) { $0.recorded.rows += 1 }
            #expect(doubled.verdict == .fail && broken(doubled) == ["lost or doubled"])
            #expect(broken(try await judge(id, way) { $0.starts[2].rows += 1 }) == ["lost or doubled"])
            let missing = try await judge(id, way) { $0.due = 4 }
            #expect(missing.verdict == .fail && broken(missing) == ["missing starts"])
        }
        for id in ["PLC-CS-01", "PLC-CS-02"] {
            #expect(try await judge(id, way) { $0.starts[1].error = "no" }.verdict == .fail)
        }
        #expect(broken(try await judge("PLC-CS-03", way) { $0.deadlocks = 1 }) == ["database deadlocks"])
        for words in ["", "it did not work", "connection refused", "switched off"] {
            let silent = try await judge("PLC-CS-04", way) { $0.starts[1].error = words }
            #expect(silent.verdict == .fail && broken(silent) == ["errors that do not say why"], "\(words)")
        }
        let unharmed = try await judge("PLC-CS-04", way) { $0.starts[1].error = nil }
        #expect(unharmed.verdict == .fail && broken(unharmed) == ["failures without effect"])
        let own = try await judge("PLC-CS-04", way) { $0.starts[1].failure = nil }
        #expect(own.verdict == .fail && broken(own).contains("failed starts without a failure"))
    }

    // MARK: Components with a bug

    private struct BuggySink: ForwardingSink {
        enum Bug {
            /// Loses the last reading of every delivery.
            case dropsTheTail
            /// Writes every delivery once more under a name of its own.
            case writesAgain
        }

        let sink: any BatchSink
        let bug: Bug

        func deliver(_ batches: [Batch], deadline: MonotonicInstant) async throws(SinkFault) -> [BatchLanding] {
            switch bug {
            case .dropsTheTail:
                var batches = batches
                if let last = batches.indices.last, case .history(let rows) = batches[last].records, rows.count > 1 {
                    batches[last].records = .history(rows.dropLast())
                }
                return try await sink.deliver(batches, deadline: deadline)
            case .writesAgain:
                let landings = try await sink.deliver(batches, deadline: deadline)
                _ = try await sink.deliver(
                    batches.map { batch in
                        var batch = batch
                        batch.id.number += 1 << 40
                        return batch
                    }, deadline: SystemTime().now + .seconds(30))
                return landings
            }
        }
    }

    @Test("a writer with a bug is found out in a run")
    func writers() async throws {
        let host = ScenarioHost()
        try await withCleanup {
            let lost = try await result(
                "PLC-BG-01", on: host,
                BackgroundWrites(trouble: .refused, around: { BuggySink(sink: $0, bug: .dropsTheTail) }))
            #expect(lost.verdict == .fail && broken(lost).contains("lost or doubled"), "\(lost.reasons)")
            let doubled = try await result(
                "PLC-CS-01", on: host, scale: 0.1,
                RestartCycles(count: 10, around: { BuggySink(sink: $0, bug: .writesAgain) }))
            #expect(doubled.verdict == .fail && broken(doubled).contains("lost or doubled"), "\(doubled.reasons)")
        } cleanup: {
            try await host.stop()
        }
    }

    /// A machine of which every third reading has a hole.
    private struct HoledPLC: PLC {
        let plc: any PLC
        let scans = Count()

        final class Count: Sendable {
            private let value = Mutex(0)
            func next() -> Int {
                value.withLock { value in
                    value += 1
                    return value
                }
            }
        }

        var registerMap: RegisterMap { plc.registerMap }

        func scan(deadline: MonotonicInstant) async throws(PLCError) -> Scan {
            var scan = try await plc.scan(deadline: deadline)
            if scans.next() % 3 == 2 {
                scan.readings[0] = Reading(parameter: scan.readings[0].parameter, value: nil, quality: .bad)
            }
            return scan
        }

        func readSetPoint(of id: ParameterID, deadline: MonotonicInstant) async throws(PLCError) -> Double {
            try await plc.readSetPoint(of: id, deadline: deadline)
        }

        func write(_ value: Double, to id: ParameterID, deadline: MonotonicInstant) async throws(PLCError) {
            throw .unreachable("planted")
        }
    }

    @Test("readings with a hole and writes that fail are missing, both ways")
    func operations() async throws {
        let work = ControllerMemory(reads: true, writes: true, around: { HoledPLC(plc: $0) })
        let holed = try await result("PLC-ML-03", for: .seconds(6), work)
        let measures = holed.findings.filter { $0.verdict == .fail }.map(\.criterion.measure)
        for way in ["direct", "wired"] {
            #expect(Set(measures).isSuperset(of: ["\(way): missing reads", "\(way): missing writes"]))
        }
    }

    // MARK: Another duration, another scale

    /// Those of speed and of memory depend on what else this process and machine do just now.
    private func counts(_ result: ScenarioResult) -> [Finding] {
        result.findings.filter { $0.criterion.relation == .exactly }
    }

    @Test("what was asked for is what is counted", arguments: ["PLC-ML-01", "PLC-ML-02", "PLC-ML-03", "PLC-ML-04"])
    func shorter(id: String) async throws {
        let host = ScenarioHost()
        try await withCleanup {
            let short = try await result(id, on: host, for: .seconds(5))
            #expect(counts(short).count >= 2 && counts(short).allSatisfy { $0.verdict == .pass }, "\(short.reasons)")
        } cleanup: {
            try await host.stop()
        }
    }

    @Test("a scale changes what is counted, and one that no machine has is said to be so and shows nothing")
    func scaled() async throws {
        let host = ScenarioHost()
        try await withCleanup {
            let small = try await result("PLC-PS-05", on: host, scale: 0.05)
            #expect(counts(small).count == 2 && counts(small).allSatisfy { $0.verdict == .pass }, "\(small.reasons)")
            #expect(small.measurements.first { $0.name == "parameters" }?.value == 25)
            let few = try await result("PLC-CS-01", on: host, scale: 0.2)
            #expect(few.verdict == .pass && few.measurements.first { $0.name == "wired: starts" }?.value == 2)
        } cleanup: {
            try await host.stop()
        }
        for id in ["PLC-PS-01", "PLC-PS-05", "PLC-ML-01", "PLC-ML-04"] {
            let huge = try await result(id, scale: 1000)
            #expect(huge.verdict == .unknown && huge.reasons.count == 1)
            #expect(huge.reasons.first?.contains("a machine has at most 20000 parameters") == true)
        }
        let quick = try await result("PLC-BG-01", scale: 51)
        #expect(quick.verdict == .unknown && quick.reasons.count == 1)
        #expect(quick.reasons.first?.contains("the scale of PLC-BG-01 is at most 50") == true)
    }

    private struct Heedless: ScenarioWork {
        var unheeded: [RunOption: String] { [.duration: "it is over at once", .scale: "there is one of it"] }
        func run(_ run: ScenarioRun) async throws {}
    }

    @Test("what is asked for and changes nothing is said to be so, and only then")
    func heedless() async throws {
        let none = try await result("PLC-CONNECTIONS", for: nil, Heedless())
        #expect(none.notes == [])
        let one = try await result("PLC-CONNECTIONS", for: nil, scale: 2, Heedless())
        #expect(one.notes == ["--scale has no effect here: there is one of it"])
        let both = try await result("PLC-CONNECTIONS", scale: 2, Heedless())
        #expect(both.notes == ["--duration has no effect here: it is over at once"] + one.notes)
        let heedful = try await result("PLC-CONNECTIONS", scale: 2, Work { _ in })
        #expect(heedful.notes == [])
        let unheeded = Catalogue.scenarios.filter { $0.work?.unheeded.isEmpty == false }.map(\.id)
        #expect(Set(unheeded).isSuperset(of: ["PLC-PS-04", "PLC-PS-05", "PLC-CONNECTIONS", "PLC-CS-03"]))
        #expect(!unheeded.contains("PLC-CS-01") && !unheeded.contains("PLC-CA-01"))
        func options(_ id: String) -> Set<RunOption>? { Catalogue.scenario(id)?.work.map { Set($0.unheeded.keys) } }
        // Each is checked when its test runs it; these differ from case to case.
        #expect(options("BENCH-RE-01") == [.scale] && options("BENCH-RE-05") == [.scale, .duration])
        #expect(options("BENCH-PW-01") == [] && options("BENCH-PW-04") == [.scale])
        #expect(options("E2E-01") == [] && options("E2E-02") == [.scale] && options("RC-01") == [.duration])
    }
}
