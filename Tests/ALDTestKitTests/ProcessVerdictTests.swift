import ALDCore
import Testing

@testable import ALDTestKit

/// The checks of terminals that are processes of their own find what they are made to find: of those that are killed, and
/// of those that are ended in the midst of their work.
@Suite("Verdicts of terminals as processes") struct ProcessVerdictTests {
    private static func instant(_ milliseconds: Int64) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: milliseconds * 1_000_000)
    }

    /// What is left of a plant in which each terminal was killed once and all is well.
    private static var process: ProcessAccount {
        func verified(_ readings: Int) -> ProcessAccount.Verified {
            .init(
                machines: [
                    .init(
                        spooled: 0, readings_found: readings, gaps: 1, finding_counts: ["missing": 0], findings: [],
                        not_proved: [])
                ])
        }
        return ProcessAccount(
            commands: .planted, verified: ["spool": verified(400), "recipe-spool": verified(0)], holes: 0,
            pulses: [0, 200].map { .init(opened: instant($0), closed: instant($0 + 100)) },
            isValveOpen: false, killed: [.collect: 1, .recipes: 1, .commands: 1],
            crashed: [.collect: 1, .recipes: 1, .commands: 1],
            collected: [.init(cycles: 40, missed: 3, isBalanced: true)])
    }

    // MARK: Killed

    private struct Crash: Sendable {
        var process = ProcessVerdictTests.process
        var share = 0.9
        var errors = 0
        var recovery = Duration.seconds(1)
        var bites = 1
    }

    private func crash(_ id: String) -> PlantedDefects<Crash> {
        PlantedDefects(id: id, good: Crash()) { seen, run in
            try await run.fault("planted") { seen.bites }
            seen.process.note(run)
            run.note("work of the others", seen.share, .ratio)
            run.note("errors of the others", count: seen.errors)
            run.note("recovery", seen.recovery)
        }
    }

    private static func find(_ process: inout ProcessAccount, _ count: Int, in spool: String) {
        process.verified[spool]?.machines[0].finding_counts["doubled"] = count
    }

    private let crashes: [PlantedDefects<Crash>.Defect] = [
        (["lost or doubled"], { ProcessVerdictTests.find(&$0.process, 1, in: "spool") }),
        (["lost or doubled"], { ProcessVerdictTests.find(&$0.process, 1, in: "recipe-spool") }),
        (["violations without a record"], { $0.process.holes = 1 }),
        (["events lost"], { $0.process.commands.lose() }), (["events lost"], { $0.process.commands.pretend() }),
        (["events lost"], { $0.process.commands.commands[1].total = nil }),
        (["events doubled"], { $0.process.commands.double() }),
        (["valves left open"], { $0.process.isValveOpen = true }),
        (["unbalanced accounts"], { $0.process.collected.append(.init(cycles: 1, missed: 0, isBalanced: false)) }),
        (["crashes without a record"], { $0.process.crashed[.recipes] = nil }),
        (["crashes without a record"], { $0.process.crashed[.recipes] = 2 }),
        // One has no record, and another terminal has one too many: the sum is right.
        (
            ["crashes without a record"],
            { seen in
                seen.process.crashed[.recipes] = nil
                seen.process.crashed[.commands] = 2
            }
        ),
        (["cycles"], { $0.process.collected[0].cycles = 0 }), (["recovery"], { $0.recovery = .seconds(31) }),
        (["work of the others"], { $0.share = 0.4 }), (["errors of the others"], { $0.errors = 1 }),
        (
            ["pulse p50"],
            { seen in
                for place in seen.process.pulses.indices {
                    seen.process.pulses[place].closed = seen.process.pulses[place].opened + .milliseconds(30)
                }
            }
        ),
        (
            ["pulse p50"],
            { seen in
                for place in seen.process.pulses.indices {
                    seen.process.pulses[place].closed = seen.process.pulses[place].opened + .milliseconds(300)
                }
            }
        ),
    ]

    @Test("records, commands and crashes that are lost, a valve that is open, and others that are disturbed")
    func crashed() async throws {
        try await crash("FI-PF-05").expectFound(crashes)
        try await crash("FI-PF-03").expectFound(crashes, and: [(["events failed"], { $0.process.commands.fail() })])
    }

    @Test("what was not verified, whoever gave no account, and a fault without effect show nothing")
    func unknown() async throws {
        let crash = crash("FI-PF-05")
        try await crash.expectUnknown("had no effect") { $0.bites = 0 }
        try await crash.expectUnknown("the spool was verified") { $0.process.verified["spool"]?.machines = [] }
        try await crash.expectUnknown("the recipe-spool was verified") {
            $0.process.verified["recipe-spool"]?.machines = []
        }
        try await crash.expectUnknown("readings were verified") {
            $0.process.verified["spool"]?.machines[0].readings_found = 0
        }
        try await crash.expectUnknown("spool: the clock was set") {
            $0.process.verified["spool"]?.machines[0].not_proved = ["the clock was set"]
        }
        try await crash.expectUnknown("pulse p50 was not measured") { $0.process.pulses = [] }
        try await ending(.kill).expectUnknown("a collector has ended in order") { $0.process.collected = [] }
    }

    @Test("an open valve, and a command that came again, are seen in what the machine was told")
    func machine() async throws {
        let log = MachineLog()
        let valve = ParameterID(rawValue: 1)
        for value in [1.0, 0, 1] { log.note(valve, value) }
        let (pulses, isOpen) = log.pulses(of: valve)
        let seen = try await crash("FI-PF-05").result { seen in
            (seen.process.pulses, seen.process.isValveOpen) = (pulses, isOpen)
        }
        #expect(seen.verdict == .fail && seen.measurement("pulses") == 1 && seen.measurement("valves left open") == 1)
    }

    @Test("packets that are lost, and a recipe that ends without a reason")
    func loss() async throws {
        struct Loss: Sendable {
            var crash = Crash()
            var silent = 0
        }
        let reason = "recipes ended without a reason"
        let loss = PlantedDefects(id: "FI-NL-02", good: Loss()) { seen, run in
            try await run.fault("planted") { seen.crash.bites }
            seen.crash.process.note(run)
            run.note("recovery", seen.crash.recovery)
            run.note(reason, count: seen.silent)
        }
        let others: Set<String> = ["work of the others", "errors of the others", "pulse p50"]
        let defects: [PlantedDefects<Loss>.Defect] = crashes.filter { $0.measures.isDisjoint(with: others) }
            .map { defect in (defect.measures, { defect.plant(&$0.crash) }) }
        try await loss.expectFound(defects, and: [([reason], { $0.silent = 1 })])
    }

    // MARK: Ended

    private struct Ending: Sendable {
        var process = ProcessVerdictTests.process
        var end: EndingAccount
        var next = NextStartAccount(
            recovery: .seconds(2), lines: ["1 info at work", "1 warning slow"], openRecipes: 0, files: [], locksHeld: 0)
        var bites = 3

        init(_ cause: TerminalEnding.Cause) {
            end = EndingAccount(
                cause: cause, end: .seconds(1), closing: .seconds(2), databaseConnections: 0, controllerConnections: 0,
                hadRecipe: true, hadCommands: true, processes: 0, locksHeld: 0, tidied: nil)
            guard cause != .kill else { return }
            let last = TerminalProcesses.Kind.allCases.map { ($0, "12:00 notice \(cause.lastWords)") }
            end.tidied = .init(
                openValves: 0, openRecipes: 0, files: [], lastLines: Dictionary(uniqueKeysWithValues: last))
        }
    }

    private func ending(_ cause: TerminalEnding.Cause) -> PlantedDefects<Ending> {
        let id =
            switch cause {
            case .terminate: "RC-01"
            case .interrupt: "RC-02"
            case .kill: "RC-03"
            case .error: "RC-04"
            }
        return PlantedDefects(id: id, good: Ending(cause)) { seen, run in
            try await run.fault("planted") { seen.bites }
            seen.end.note(run)
            seen.next.note(run)
            seen.process.note(run)
        }
    }

    private let anyhow: [PlantedDefects<Ending>.Defect] = [
        (["end"], { $0.end.end = .seconds(30) }), (["connections closed"], { $0.end.closing = .seconds(30) }),
        (["database connections left"], { $0.end.databaseConnections = 1 }),
        (["controller connections left"], { $0.end.controllerConnections = 1 }),
        (["processes left"], { $0.end.processes = 1 }), (["locks held"], { $0.end.locksHeld = 1 }),
        (["recovery"], { $0.next.recovery = .seconds(30) }),
        (["files left over after the next end"], { $0.next.files = ["a.tmp"] }),
        (["locks held after the next end"], { $0.next.locksHeld = 1 }),
        (["recipes without an end"], { $0.next.openRecipes = 1 }),
        (["valves left open"], { $0.process.isValveOpen = true }),
        (["lost or doubled"], { ProcessVerdictTests.find(&$0.process, 1, in: "spool") }),
        (["unbalanced accounts"], { $0.process.collected[0].isBalanced = false }),
        (["violations without a record"], { $0.process.holes = 1 }),
        (["events lost"], { $0.process.commands.lose() }), (["events doubled"], { $0.process.commands.double() }),
    ]

    private let tidied: [PlantedDefects<Ending>.Defect] = [
        (["valves left open at the end"], { $0.end.tidied?.openValves = 1 }),
        (["recipes left running at the end"], { $0.end.tidied?.openRecipes = 1 }),
        (["files left over"], { $0.end.tidied?.files = ["spool.db-wal"] }),
        (["last words missing"], { $0.end.tidied?.lastLines[.recipes] = nil }),
        (["last words missing"], { $0.end.tidied?.lastLines[.recipes] = "12:00 info at work" }),
        (["errors of the next start"], { $0.next.lines.append("1 error spool: damaged") }),
        (["errors of the next start"], { $0.next.lines.append("1 critical spool: damaged") }),
    ]

    @Test("whatever terminals leave that are told to end", arguments: [TerminalEnding.Cause.terminate, .interrupt])
    func told(cause: TerminalEnding.Cause) async throws {
        try await ending(cause).expectFound(
            anyhow + tidied, and: [(["events failed"], { $0.process.commands.fail() })])
    }

    @Test("a command that a terminal turns away because it ends has not failed, but nobody else may turn it away")
    func turnedAway() async throws {
        for (terminalsEnd, verdict) in [(true, Verdict.pass), (false, .fail)] {
            let result = try await ending(.terminate).result { seen in
                seen.process.commands.terminalsEnd = terminalsEnd
                seen.process.commands.fail()
                seen.process.commands.commands[0].error = ParameterCommandMachine.shutDown
            }
            #expect(result.verdict == verdict)
        }
        let told = try await ending(.terminate).result { seen in
            let writes = seen.process.commands.writes
            seen.process.commands.terminalsEnd = true
            seen.process.commands.fail()
            seen.process.commands.commands[0].error = ParameterCommandMachine.shutDown
            seen.process.commands.writes = writes
        }
        #expect(told.verdict == .fail, "the machine was told all the same")
    }

    @Test("whatever they leave behind that are killed, or end by an error")
    func killed() async throws {
        try await ending(.kill).expectFound(anyhow)
        try await ending(.error).expectFound(anyhow + tidied)
        // Those that end by an error have other last words.
        let silent = try await ending(.error).result { $0.end.tidied = Ending(.terminate).end.tidied }
        #expect(silent.verdict == .fail && silent.measurement("last words missing") == 3)
    }

    @Test("an end at which nothing was under way, that ended nobody, or after which nobody can look, shows nothing")
    func nothingToEnd() async throws {
        let ending = ending(.terminate)
        try await ending.expectUnknown("had no effect") { $0.bites = 0 }
        try await ending.expectUnknown("a recipe was under way") { $0.end.hadRecipe = false }
        try await ending.expectUnknown("commands came when nobody was there") { $0.end.hadCommands = false }
        try await ending.expectUnknown("processes left was not measured") { $0.end.processes = nil }
        try await ending.expectUnknown("files left over was not measured") { $0.end.tidied = nil }
    }

    // MARK: Holes

    @Test("a hole is explained by as many instants as gap records in it tell of, and by no fewer")
    func holes() async throws {
        try await TestDatabase.withDatabase { lease in
            let database = lease.configuration
            try await TestDatabase.withConnection(database) { connection, deadline in
                _ = try await Migrator().migrate(connection, deadline: deadline)
                let map = try GeneratedMachine.registerMap(parameters: 3, seed: 1)
                _ = try await MachineRegistration(machine: 1, name: "ALD-1", registerMap: map)
                    .register(connection, deadline: deadline)
                // Ten instants a second, the ones from 1.1 s to 1.9 s missing.
                _ = try await connection.execute(
                    script: """
                        SELECT ald.ensure_history_partitions('2026-01-01', 1);
                        INSERT INTO ald_history.parameter_value_history
                            (machine_id, parameter_id, sampled_at, value, quality)
                        SELECT 1, \(map.parameters[0].id.rawValue),
                            timestamptz '2026-01-01 00:00:00Z' + make_interval(secs => s / 10.0), 1, 192
                        FROM generate_series(0, 30) s WHERE s NOT BETWEEN 11 AND 19
                        """, deadline: deadline)
            }
            func unexplained() async throws -> Int {
                try await RecordingHoles.unexplained(
                    longerThan: .milliseconds(200), everyInstantOf: .milliseconds(100), in: database)
            }
            func addGap(from first: String, to last: String, of instants: Int) async throws {
                try await TestDatabase.withConnection(database) { connection, deadline in
                    _ = try await connection.execute(
                        script: """
                            INSERT INTO ald_history.collection_gaps
                                (machine_id, first_missed_at, last_missed_at, instants, cause, detail)
                            VALUES (1, '2026-01-01 00:00:0\(first)Z', '2026-01-01 00:00:0\(last)Z', \(instants), 'plc', '')
                            """, deadline: deadline)
                }
            }
            #expect(try await unexplained() == 1)
            try await addGap(from: "1.1", to: "1.1", of: 1)
            #expect(try await unexplained() == 1)
            try await addGap(from: "1.2", to: "1.9", of: 8)
            #expect(try await unexplained() == 0)
        }
    }
}
