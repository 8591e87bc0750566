import ArgumentParser
import Foundation
import Testing

@testable import ALDTestKit
@testable import ald

/// `ald stress`, `ald report` and `ald simulate`, as people and scripts run them.
@Suite("ald stress", .timeLimit(.minutes(3))) struct StressCommandTests {
    private static func ald(
        _ arguments: [String], _ changes: [String: String?] = [:],
        _ body: (RunningChild) async throws -> Void = { _ in }
    ) async throws -> ChildResult {
        var environment = AldProcess(dataDirectory: "", machine: "").environment
        environment.merge(changes) { $1 }
        return try await ChildProcess.run(
            try Executables.ald(), arguments, environment: environment, endsWithin: .seconds(60), body)
    }

    @Test("a signal ends it in order: the scenario is unknown, file and report are there, no server is left")
    func signal() async throws {
        try await withTemporaryDirectory { directory in
            let (file, page) = (directory + "/r.json", directory + "/r.html")
            let result = try await Self.ald(
                [
                    "stress", "PLC-PS-01", "DB-HF-01", "DB-HF-02", "--duration", "60s", "--output", file, "--report",
                    page,
                ],
                ["TMPDIR": directory]
            ) { child in
                try await eventually("it runs", within: .seconds(60)) {
                    child.errors.contains { $0.hasPrefix("[1/3]") }
                }
                child.send(SIGTERM)
            }
            #expect(result.exitCode == 130, "\(result.transcript)")
            #expect(result.output.last?.hasPrefix("1 of 3 scenarios") == true, "\(result.transcript)")
            let results = try ResultFile.read(file)
            #expect(results.map(\.verdict) == [.unknown] && results.map(\.reasons) == [["interrupted"]])
            #expect(FileManager.default.fileExists(atPath: page))
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory).sorted() == ["r.html", "r.json"])
        }
    }

    @Test("a server of its own is stopped as well")
    func signalWithServer() async throws {
        try await withTemporaryDirectory { directory in
            let result = try await Self.ald(
                ["stress", "DB-HF-01", "--duration", "60s"], ["TMPDIR": directory]
            ) { child in
                try await eventually("the server runs", within: .seconds(60)) {
                    try FileManager.default.subpathsOfDirectory(atPath: directory).contains {
                        $0.hasSuffix("postmaster.pid")
                    }
                }
                child.send(SIGINT)
            }
            #expect(result.exitCode == 130, "\(result.transcript)")
            #expect(result.transcript.contains("unknown: interrupted"), "\(result.transcript)")
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == [])
        }
    }

    @Test("a file that cannot be written and one that is named twice are refused before anything runs")
    func files() async throws {
        try await withTemporaryDirectory { directory in
            let lost = try await Self.ald(["stress", "PLC-PS-01", "--output", "/nowhere/r.json"])
            #expect(lost.exitCode == 69 && lost.output == [], "\(lost.transcript)")
            #expect(lost.errors.last?.contains("/nowhere/r.json cannot be written") == true, "\(lost.transcript)")
            let page = directory + "/p"
            let twice = try await Self.ald(["stress", "PLC-PS-01", "--output", page, "--report", directory + "/./p"])
            #expect(twice.exitCode == 64, "\(twice.transcript)")
            try "[]".write(toFile: page, atomically: true, encoding: .utf8)
            let own = try await Self.ald(["report", page, "--output", page])
            #expect(own.exitCode == 64 && own.transcript.contains("would replace"), "\(own.transcript)")
            let empty = try await Self.ald(["report", page, "--output", directory + "/q"])
            #expect(empty.exitCode == 69 && empty.transcript.contains("has no results"), "\(empty.transcript)")
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == ["p"])
        }
    }

    @Test(
        "a variable that is no number is refused and named",
        arguments: [("ALD_SCALE", "inf"), ("ALD_SCALE", "zz"), ("ALD_SCALE", "0"), ("ALD_SEED", "abc")])
    func variables(name: String, text: String) async throws {
        let result = try await Self.ald(["stress", "PLC-PS-01"], [name: text])
        #expect(result.exitCode == 64 && result.transcript.contains("\(name) is “\(text)”"), "\(result.transcript)")
    }

    @Test(
        "without a database a scenario is unknown, and says what to do",
        arguments: [
            ["ALD_POSTGRES_BIN": "/nowhere"], ["ALD_DATABASE_URL": "postgresql://localhost:1/x?connect_timeout=2"],
        ])
    func noDatabase(changes: [String: String]) async throws {
        let result = try await Self.ald(["stress", "DB-HF-01"], changes.mapValues { Optional($0) })
        #expect(result.exitCode == 2, "\(result.transcript)")
        #expect(result.transcript.contains("unknown: no database for the scenarios"), "\(result.transcript)")
    }

    @Test("the list can be read by programs")
    func list() async throws {
        let result = try await Self.ald(["stress", "PLC-PS-*", "--list", "--json"])
        struct Row: Decodable {
            var id: String, shortSeconds: Double, gate: String, parameters: [String: String], criteria: [Criterion]
        }
        let rows = try result.output.map { try JSONDecoder().decode(Row.self, from: Data($0.utf8)) }
        #expect(result.exitCode == 0 && rows.count == 5 && rows.allSatisfy { $0.shortSeconds > 0 })
        let scenario = try #require(Catalogue.scenario("PLC-PS-02"))
        let row = try #require(rows.first { $0.id == "PLC-PS-02" })
        #expect(row.gate == "ALD_SLOW" && row.criteria == scenario.criteria)
        #expect(row.parameters["parameters"] == "500")
    }

    @Test("the line that moves is shorter than the terminal is wide")
    func width() {
        let scenario = Scenario(
            "X", String(repeating: "long ", count: 30), requirement: "", nominal: .zero, short: .zero)
        let line = StressDisplay.line(scenario, 0, of: 3, seconds: 12, "some\nwords", width: 80)
        #expect(line.count == 79 && line.hasPrefix("[1/3] X  12 s  long"))
        #expect(StressDisplay.line(scenario, 0, of: 3, seconds: 12, "", width: 0) == "")
    }

    // MARK: Simulated days

    @Test("several runs end with their sum, and the seed is said before they begin")
    func simulate() async throws {
        let result = try await Self.ald([
            "simulate", "--hours", "0.02", "--runs", "2", "--seed", "5", "--faults", "none",
        ])
        #expect(result.exitCode == 0, "\(result.transcript)")
        #expect(result.errors.first?.contains("--seed 5 --hours 0.02 --runs 2") == true, "\(result.transcript)")
        #expect(result.errors.dropFirst().first?.hasPrefix("commit: ") == true, "\(result.transcript)")
        #expect(result.output.last == "2 runs: 2 passed, 0 unknown, 0 failed", "\(result.transcript)")
        let nothing = try await Self.ald(["simulate", "--faults", ","])
        #expect(nothing.exitCode == 64 && nothing.transcript.contains("a name is missing"), "\(nothing.transcript)")
    }

    @Test("a rare state that a fault is there for and that was never reached makes a run unknown")
    func unreached() {
        var report = MachineDay.Report(seed: 1, length: .seconds(1), digest: WorldDigest())
        (report.demanded, report.reached) = (["spool refused", "breaker open"], ["breaker open"])
        #expect(SimulationOutcome(report, nil, took: .zero).verdict == "unknown")
        #expect(SimulationOutcome(report, nil, took: .zero).text().contains("Never"))
        report.reached.insert("spool refused")
        #expect(SimulationOutcome(report, nil, took: .zero).verdict == "pass")
    }

    @Test("a run for programs says its commit, too")
    func simulateForPrograms() async throws {
        let result = try await Self.ald(["simulate", "--hours", "0.01", "--faults", "none", "--json"])
        let line = try #require(result.output.first, "\(result.transcript)")
        let outcome = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
        #expect(outcome?["commit"] as? String == (await Repository.commit()), "\(line)")
    }

    @Test("a signal ends a long day, and the runs before it are counted")
    func interruptedDays() async throws {
        let result = try await Self.ald(["simulate", "--hours", "2000", "--runs", "3", "--faults", "none"]) { child in
            try await eventually("it runs") { !child.errors.isEmpty }
            child.send(SIGTERM)
        }
        #expect(result.exitCode == 130, "\(result.transcript)")
        #expect(result.output == ["0 of 3 runs, interrupted: 0 passed, 0 unknown, 0 failed"], "\(result.transcript)")
    }

    @Test("a broken promise counts before what was never seen, and to be seen in one run is enough for all")
    func tally() {
        var tally = SimulationTally()
        tally.add(isBroken: false, missing: ["a"], seen: [])
        #expect(tally.exit?.rawValue == 2)
        #expect(tally.text(of: 1) == "1 run: 0 passed, 1 unknown, 0 failed; never seen: a")
        tally.add(isBroken: false, missing: [], seen: ["a"])
        #expect(tally.exit == nil)
        tally.add(isBroken: true, missing: ["b"], seen: [])
        #expect(tally.exit?.rawValue == 1)
        #expect(tally.text(of: 3) == "3 runs: 1 passed, 1 unknown, 1 failed; never seen: b")
    }
}
