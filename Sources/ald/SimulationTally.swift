import ALDTestKit
import ArgumentParser

/// What runs of `ald simulate` have come to, all together.
struct SimulationTally: Sendable {
    private(set) var passed = 0
    private(set) var unknown = 0
    private(set) var failed = 0
    var isInterrupted = false
    private var toothless = Set<String>()
    private var bitten = Set<String>()

    mutating func add(_ report: MachineDay.Report) {
        add(isBroken: !report.problems.isEmpty, toothless: report.toothless, bitten: Array(report.bites.keys))
    }

    mutating func add(isBroken: Bool, toothless: [String], bitten: [String]) {
        if isBroken {
            failed += 1
        } else if toothless.isEmpty {
            passed += 1
        } else {
            unknown += 1
        }
        self.toothless.formUnion(toothless)
        self.bitten.formUnion(bitten)
    }

    /// The line that closes several runs.
    func text(of all: UInt64) -> String {
        let done = passed + unknown + failed
        let number = isInterrupted ? "\(done) of \(all) runs, interrupted" : TextTable.counted(done, "run")
        return "\(number): \(passed) passed, \(unknown) unknown, \(failed) failed"
    }

    /// What the command ends with; `nil` when every promise was kept.
    var exit: ExitCode? {
        if isInterrupted { return .interrupted }
        if failed > 0 { return ExitCode(Failure.Status.mismatch.rawValue) }
        // What had no effect in one run may have had it in another.
        return toothless.isSubset(of: bitten) ? nil : ExitCode(2)
    }
}
