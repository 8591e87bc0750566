import ALDCore
import Testing

@testable import ALDTestKit

/// What a scenario says of the options that it does not heed is compared with those that it asks for.
@Suite("Options that a scenario does not heed") struct ScenarioStatementTests {
    private struct Saying: ScenarioWork {
        var unheeded: [RunOption: String] = [:]
        var heeds: Set<RunOption>

        func run(_ run: ScenarioRun) async throws {
            if heeds.contains(.duration) { run.sample("duration", run.duration.inSeconds, .seconds) }
            if heeds.contains(.scale) { _ = run.scaled(1) }
        }
    }

    @Test(
        "an option that is not asked for in silence, and one that is asked for although it is said not to be, are found"
    )
    func statements() async throws {
        func wrong(_ work: Saying) async throws -> FalseStatement? {
            var scenario = try #require(Catalogue.scenario("PLC-CONNECTIONS"))
            scenario.work = work
            let heeded = await ScenarioRunner(host: ScenarioHost()).execute(scenario) { _ in }.heeded
            #expect(heeded == work.heeds)
            return FalseStatement(of: scenario, heeded: heeded)
        }
        #expect(try await wrong(Saying(heeds: [.duration, .scale])) == nil)
        #expect(try await wrong(Saying(unheeded: [.scale: "no"], heeds: [.duration])) == nil)
        let silent = try await wrong(Saying(heeds: [.duration]))
        #expect(silent?.silent == [.scale] && silent?.wrong == [])
        #expect(silent?.description == "PLC-CONNECTIONS does not ask for --scale: its `unheeded` is to say why")
        let lying = try await wrong(Saying(unheeded: [.scale: "no"], heeds: [.duration, .scale]))
        #expect(lying?.silent == [] && lying?.wrong == [.scale])
    }
}
