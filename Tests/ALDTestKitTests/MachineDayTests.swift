import ALDCore
import ALDTestKit
import Testing

@Suite("A day of a machine in virtual time", .serialized) struct MachineDayTests {
    private func day(
        _ seed: UInt64, _ change: @Sendable (inout MachineDay.Configuration) -> Void = { _ in }
    ) async throws -> MachineDay.Report {
        var configuration = MachineDay.Configuration()
        change(&configuration)
        return try await inBackground { try MachineDay.run(seed: seed, configuration) }
    }

    @Test("a quarter of an hour without faults: every second is recorded and lands")
    func quiet() async throws {
        let report = try await day(1) { ($0.kinds, $0.length) = ([], .seconds(900)) }
        #expect(report.problems == [])
        // The one that was due in the moment of the shutdown is a gap.
        #expect(report.lives == 1 && report.missed <= 1)
        // Half a minute for all to be reached again, and nobody waits longer for the recipe under way than it takes.
        #expect(930..<960 ~= report.cycles + report.missed)
        #expect(report.landed == report.cycles * 10 + report.missed + report.runEvents)
        #expect(report.runs > 1 && report.runEvents > report.runs)
        #expect(Set(report.runEnds.keys).isSubset(of: ["completed", "aborted"]))
        #expect(report.commands > 20)
        #expect(report.commandEnds == ["succeeded": report.commands])
        #expect(report.bites == [:])
    }

    @Test("the same seed gives the same half hour with all its faults, to the last job")
    func replay() async throws {
        let half: @Sendable (inout MachineDay.Configuration) -> Void = {
            ($0.length, $0.isSwarm) = (.seconds(1800), false)
        }
        let (first, again, other) = (try await day(1, half), try await day(1, half), try await day(2, half))
        #expect(Set(first.bites.keys).isSuperset(of: WorldFault.Kind.allCases.map(\.bite)))
        #expect(first.digest == again.digest && first.jobs == again.jobs)
        #expect(first.bites == again.bites && first.accepted == again.accepted)
        #expect(first.commandEnds == again.commandEnds && first.commands > 0)
        #expect(first.runEnds == again.runEnds && first.runs > 0)
        #expect(first.digest != other.digest)
    }

    @Test("the simulated disk stands in for files of SQLite: a day goes the same way on both, to the last job")
    func disks() async throws {
        let seed = TestSeed.draw()
        var reports: [MachineDay.Report] = []
        for keepsFiles in [false, true] {
            let report = try await day(seed) {
                ($0.length, $0.isSwarm, $0.keepsFiles) = (.seconds(1200), false, keepsFiles)
                $0.kinds.removeAll { $0 == .diskFull }
            }
            #expect(report.problems == [], "seed \(seed)")
            reports.append(report)
        }
        #expect(reports[0].digest == reports[1].digest && reports[0].jobs == reports[1].jobs, "seed \(seed)")
        #expect(reports[0].landed == reports[1].landed && reports[0].reached == reports[1].reached, "seed \(seed)")
    }

    @Test("hours with random faults: nothing is lost, doubled, changed or written twice, and everything heals")
    func faults() async throws {
        for seed in try TestSeed.several(1, nominal: 1000) {
            let report = try await day(seed)
            #expect(report.problems == [], "seed \(seed)")
            #expect(report.commandEnds.values.reduce(0, +) == report.commands, "each has one end, seed \(seed)")
        }
    }

    /// The same faults in every run, so that what they have to reach is reached in every run. Once with the spool in files.
    @Test("each fault bites, and the rare states are reached")
    func coverage() async throws {
        var bites: Set<String> = []
        var reached: Set<String> = []
        var demanded: Set<String> = []
        for seed in 0..<3 as Range<UInt64> {
            let report = try await day(seed) {
                ($0.length, $0.isSwarm, $0.keepsFiles) = (.seconds(1800), false, seed == 0)
            }
            #expect(report.problems == [], "seed \(seed)")
            bites.formUnion(report.bites.keys)
            reached.formUnion(report.reached)
            demanded.formUnion(report.demanded)
        }
        #expect(demanded == Set(WorldFault.Kind.allCases.compactMap(\.rareState)) && demanded.isSubset(of: reached))
        #expect(bites == Set(WorldFault.Kind.allCases.map(\.bite)))
        #expect(
            reached == [
                "breaker open", "breaker half_open", "breaker recovering", "backlog", "gap recorded", "stop recorded",
                "instants slept through", "crash with records waiting", "database forgot commits",
                "records resurrected", "delivery in doubt resolved", "sweep found a command",
                "command left and adopted", "command taken without an answer", "recipe command left and adopted",
                "recipe command taken without an answer", "dead letter written", "spool refused",
            ])
    }

    @Test("a bug that breaks a promise is found within a few hours", arguments: MachineDay.PlantedBug.allCases)
    func planted(bug: MachineDay.PlantedBug) async throws {
        for seed in 0..<10 as Range<UInt64> {
            let report = try await day(seed) {
                ($0.length, $0.isSwarm, $0.plantedBug) = (.seconds(1200), false, bug)
                $0.kinds = bug.shownBy
            }
            if report.problems.isEmpty { continue }
            if let sign = bug.sign { #expect(report.problems.contains { $0.contains(sign) }, "\(report.problems)") }
            if bug == .losesTheBell { #expect(report.problems.count == 1) }
            return
        }
        Issue.record("\(bug) was not found in ten runs")
    }
}
