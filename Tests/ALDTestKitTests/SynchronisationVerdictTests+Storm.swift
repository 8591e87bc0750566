import ALDCore
import Testing

@testable import ALDTestKit

extension SynchronisationVerdictTests {
    private func storm(_ bug: (inout StormAccount) -> Void) async throws -> ScenarioResult {
        var account = StormAccount(succeeded: 96, failed: 4, audits: [PlantedRows.well, PlantedRows.well])
        account.inFlight = Dictionary(uniqueKeysWithValues: TransactionStorm.crowds.map { ($0, $0) })
        account.tally.asked = 2
        account.tally.taken = [.init(machine: 1, number: 1): 1, .init(machine: 2, number: 1): 1]
        account.commands = 2
        bug(&account)
        return try await result("SYNC-STORM") { [account] in account.note($0) }
    }

    @Test("transactions that meet in a circle, fail, or lose or double a row, a command or what is newer")
    func storm() async throws {
        let good = try await storm { _ in }
        #expect(good.verdict == .pass, "\(good.reasons)")
        expectFailure(try await storm { $0.deadlocks = 1 }, by: "database deadlocks")
        expectFailure(try await storm { ($0.succeeded, $0.failed) = (95, 5) }, by: "success")
        expectFailure(try await storm { $0.wrongCurrentValues = 1 }, by: "wrong current values")
        expectFailure(try await storm { $0.inFlight[100] = 99 }, by: "100 at a time: in flight")
        for bug in PlantedRows.bugs {
            expectFailure(try await storm { bug(&$0.audits[1]) }, by: "lost or doubled")
        }
        // What one machine has too much does not make up for what another one has lost.
        expectFailure(
            try await storm { account in
                for (bug, index) in zip(PlantedRows.bugs, account.audits.indices) { bug(&account.audits[index]) }
            }, by: "lost or doubled")
        let commands = "commands lost or doubled"
        expectFailure(try await storm { $0.commands = 1 }, by: commands)
        expectFailure(try await storm { $0.waiting = 1 }, by: commands)
        expectFailure(try await storm { $0.tally.taken[.init(machine: 2, number: 1)] = 2 }, by: commands)
        // Of some that have failed nobody has heard what became of them.
        let unheard = try await storm { account in
            account.audits[0].sent = 140
            (account.audits[0].rows, account.audits[0].inLedger) = (120, 120)
        }
        #expect(unheard.verdict == .pass, "\(unheard.reasons)")
    }

    // MARK: With a database

    /// Some of the scenario itself, for a moment, on a server of its own.
    private func run(
        _ works: [TransactionStorm], environment: [String: String]? = nil
    ) async throws -> [ScenarioResult] {
        let host = environment.map { ScenarioHost(environment: $0) } ?? ScenarioHost()
        return try await withCleanup {
            var results: [ScenarioResult] = []
            for work in works {
                var scenario = try #require(Catalogue.scenario("SYNC-STORM"))
                scenario.work = work
                var options = ScenarioRunner.Options()
                options.duration = .milliseconds(300)
                results.append(await ScenarioRunner(options: options, host: host).run(scenario))
            }
            return results
        } cleanup: {
            try await host.stop()
        }
    }

    private func finding(_ measure: String, _ result: ScenarioResult) -> Verdict? {
        result.findings.first { $0.criterion.measure == measure }?.verdict
    }

    /// Two sessions that change the current values of two machines, each in another order.
    @Sendable private static func deadlock(_ database: PostgresConfiguration) async throws {
        func change(_ machine: Int) -> String {
            "UPDATE ald_history.current_readings SET newest_at = newest_at WHERE machine_id = \(machine)"
        }
        try await eventually("two machines have current values") {
            try await TestDatabase.number(
                "SELECT count(*) FROM ald_history.current_readings WHERE machine_id IN (1, 2)", database) == 2
        }
        try await TestDatabase.withConnection(database) { first, deadline in
            try await TestDatabase.withConnection(database) { second, _ in
                _ = try await first.execute(script: "BEGIN; " + change(1), deadline: deadline)
                _ = try await second.execute(script: "BEGIN; " + change(2), deadline: deadline)
                async let one = first.execute(script: change(2), deadline: deadline)
                async let other = second.execute(script: change(1), deadline: deadline)
                // One of them is chosen, and the other one goes on.
                let refusals = [try? await one, try? await other].count { $0 == nil }
                #expect(refusals == 1)
            }
        }
    }

    @Test("two sessions that really wait for each other, a pool that is too small, and writers that take no turns")
    func plantedStorms() async throws {
        var (circle, small, unruly) = (TransactionStorm(), TransactionStorm(), TransactionStorm())
        (circle.crowds, circle.beside) = ([5], Self.deadlock)
        (small.crowds, small.mostConnections, small.patience) = ([5], 3, .milliseconds(500))
        (unruly.crowds, unruly.machines) = ([20], 1)
        unruly.before = { database in
            try await TestDatabase.withConnection(database) {
                _ = try await $0.execute(
                    script: """
                        CREATE OR REPLACE FUNCTION ald_history.take_turn(p_machine_id int) RETURNS void
                        LANGUAGE sql AS 'SELECT'
                        """, deadline: $1)
            }
        }
        let results = try await run([circle, small, unruly])
        for result in results { #expect(result.verdict == .fail, "\(result.line)") }
        #expect(results[0].measurement("database deadlocks") == 1, "\(results[0].line)")
        #expect(finding("database deadlocks", results[0]) == .fail && results[0].measurement("lost or doubled") == 0)
        #expect(results[0].measurement("5 at a time: in flight") == 5)
        // Never more than the pool has connections, and so never all of them.
        #expect(finding("5 at a time: in flight", results[1]) == .fail, "\(results[1].line)")
        #expect(results[1].measurement("5 at a time: in flight").map { $0 <= 3 } == true, "\(results[1].line)")
        #expect(results[1].measurement("database deadlocks") == 0)
        #expect(results[2].measurement("20 at a time: in flight") == 20)
        #expect(results[2].measurement("wrong current values").map { $0 > 0 } == true, "\(results[2].line)")
    }

    @Test("a server without room for a hundred shows nothing of a hundred at a time")
    func room() async throws {
        try await TestDatabase.withPrivateServer { _, lease in
            var work = TransactionStorm()
            work.crowds = [2, 100]
            let result = try await run([work], environment: ["ALD_DATABASE_URL": "\(lease.configuration)"])[0]
            #expect(result.verdict == .unknown, "\(result.line)")
            #expect(result.measurement("2 at a time: in flight") == 2)
            #expect(result.measurement("100 at a time: in flight") == nil)
            #expect(result.reasons.contains { $0.contains("so 100 transactions at a time were not tried") })
        }
    }
}
