import ALDCore
import Testing

@testable import ALDTestKit

extension SynchronisationVerdictTests {
    @Test("memory that grows from round to round, and not one round that needed more; a moment that needs too much")
    func memory() async throws {
        func result(
            growing: Int = 0, churning: Int = 0, outlier: Int = 0, most: Double = 80e6,
            _ bug: (inout LandingAudit) -> Void = { _ in }
        ) async throws -> ScenarioResult {
            var (growth, churn, audit) = (RoundGrowth(), RoundGrowth(), PlantedRows.well)
            for round in 0..<50 {
                growth.add(20_000_000 + growing * round + (round == 24 ? outlier : 0), round: round)
                churn.add(20_000_000 + churning * round, round: round)
            }
            bug(&audit)
            return try await self.result("SYNC-MEMORY") { [growth, churn, audit] run in
                growth.note(run, as: "growth per round")
                churn.note(run, as: "growth per churn")
                run.note("memory above the beginning", most, .bytes)
                audit.note(run)
            }
        }
        let good = try await result(growing: 1000, outlier: 50_000_000)
        #expect(good.verdict == .pass, "\(good.reasons)")
        expectFailure(try await result(growing: 110_000), by: "growth per round")
        expectFailure(try await result(churning: 110_000), by: "growth per churn")
        expectFailure(try await result(most: 500e6), by: "memory above the beginning")
        for bug in PlantedRows.bugs { expectFailure(try await result(bug), by: "lost or doubled") }
    }
}
