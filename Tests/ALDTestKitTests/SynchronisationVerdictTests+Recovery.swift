import ALDCore
import Testing

@testable import ALDTestKit

extension SynchronisationVerdictTests {
    /// Ten deliveries that were given up at their timeout, for each of the requirement's.
    private static var timeouts: [TimeoutAccount] {
        TimeoutRecovery.timeouts.map { seconds in
            let attempt = TimeoutAccount.Attempt(took: .seconds(Double(seconds) * 1.01), problem: "timed out")
            return TimeoutAccount(
                nominal: seconds, timeout: .seconds(seconds), attempts: Array(repeating: attempt, count: 10),
                recovery: .milliseconds(20))
        }
    }

    private func recovered(
        after recovery: Duration = .seconds(1), rollbacks: Int = 5,
        timeout: (inout TimeoutAccount) -> Void = { _ in }, rows: (inout LandingAudit) -> Void = { _ in }
    ) async throws -> ScenarioResult {
        var (audit, timeouts) = (PlantedRows.well, Self.timeouts)
        rows(&audit)
        timeout(&timeouts[1])
        return try await result("SYNC-RECOVERY") { [audit, timeouts] run in
            run.note("recovery", recovery)
            run.note("transactions rolled back", count: rollbacks)
            for timeout in timeouts { timeout.note(run) }
            audit.note(run)
        }
    }

    @Test("a writer that loses or doubles a row, recovers late, or of which nothing was rolled back")
    func recovery() async throws {
        let good = try await recovered()
        #expect(good.verdict == .pass, "\(good.reasons)")
        expectFailure(try await recovered(after: .seconds(31)), by: "recovery")
        expectFailure(try await recovered(rollbacks: 0), by: "transactions rolled back")
        for bug in PlantedRows.bugs { expectFailure(try await recovered(rows: bug), by: "lost or doubled") }
    }

    @Test("a delivery that outlives its timeout, fails before it, or is not made good in time")
    func timeouts() async throws {
        let timedOut = "timeout of 3 s: timed out"
        expectFailure(try await recovered(timeout: { $0.attempts[4].problem = nil }), by: timedOut)
        expectFailure(try await recovered(timeout: { $0.attempts[4].took = .seconds(1) }), by: timedOut)
        expectFailure(try await recovered(timeout: { _ = $0.attempts.popLast() }), by: timedOut)
        expectFailure(
            try await recovered(timeout: { $0.recovery = .seconds(31) }), by: "timeout of 3 s: recovered within")
        let never = try await recovered(timeout: { $0.recovery = nil })
        #expect(never.verdict == .unknown)
    }

    @Test("timeouts are the requirement's in a run of nominal length, and a tenth of them at the least")
    func parts() {
        let parts = [3, 6, 30, 60, 600].map {
            TimeoutRecovery.part(of: .seconds($0), nominal: .seconds(60))
        }
        #expect(parts == [0.1, 0.1, 0.5, 1, 1])
    }

    // MARK: With a database

    /// The scenario itself with a bug, on a server of its own.
    private func run(_ work: WriterDisturbance) async throws -> ScenarioResult {
        var scenario = try #require(Catalogue.scenario("SYNC-RECOVERY"))
        scenario.work = work
        var options = ScenarioRunner.Options()
        options.duration = .milliseconds(300)
        let host = ScenarioHost()
        return try await withCleanup {
            await ScenarioRunner(options: options, host: host).run(scenario)
        } cleanup: {
            try await host.stop()
        }
    }

    @Test("what was rolled back before does not count, though its session has not told the server yet; what is, does")
    func rollbackCount() async throws {
        try await TestDatabase.withDatabase { lease in
            let database = lease.configuration
            try await TestDatabase.withConnection(database) { early, deadline in
                for _ in 0..<3 { _ = try? await early.execute(script: "SELECT 1/0", deadline: deadline) }
                let count = try await RollbackCount(in: database)
                let before = try await count.read()
                #expect(before == 0)
                try await TestDatabase.withConnection(database) { late, deadline in
                    for _ in 0..<2 { _ = try? await late.execute(script: "SELECT 1/0", deadline: deadline) }
                    let after = try await count.read()
                    #expect(after == 2)
                }
            }
        }
    }

    @Test("a disturbance that rolls nothing back is found out, whatever the start was refused")
    func undisturbed() async throws {
        let result = try await run(WriterDisturbance(disturbances: []))
        #expect(result.verdict == .fail, "\(result.line)")
        #expect(result.reasons.contains("transactions rolled back is 0, required ≥ 1"), "\(result.reasons)")
    }

    /// Says that all is well at once, and that a time is over that never began.
    private struct HastySink: ForwardingSink {
        let sink: any BatchSink
        var gives: Answer

        enum Answer: Sendable { case landed, nothing }

        func deliver(_ batches: [Batch], deadline: MonotonicInstant) async throws(SinkFault) -> [BatchLanding] {
            // Those that have much time are repetitions.
            guard deadline - SystemTime().now < .seconds(20) else {
                return try await sink.deliver(batches, deadline: deadline)
            }
            switch gives {
            case .landed: return batches.map { _ in .landed }
            case .nothing: throw SinkFault(.inDoubt, "planted")
            }
        }
    }

    @Test("deliveries that are not held up, and those that give up before their timeout without having tried")
    func hasty() async throws {
        for answer in [HastySink.Answer.landed, .nothing] {
            let result = try await run(
                WriterDisturbance(disturbances: [.ended], around: { HastySink(sink: $0, gives: answer) }))
            #expect(result.verdict == .fail, "\(result.line)")
            for seconds in TimeoutRecovery.timeouts {
                #expect(result.measurement("timeout of \(seconds) s: timed out") == 0)
            }
            #expect(result.reasons.contains { $0.contains("had no effect") }, "\(result.reasons)")
        }
    }
}
