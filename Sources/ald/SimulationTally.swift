import ALDTestKit
import ArgumentParser

/// What runs of `ald simulate` have come to, all together.
struct SimulationTally: Sendable {
    private(set) var passed = 0
    private(set) var unknown = 0
    private(set) var failed = 0
    var isInterrupted = false
    /// What a run should have come to and did not, and what runs have come to: effects of faults, and rare states.
    private var missing = Set<String>()
    private var seen = Set<String>()

    mutating func add(_ report: MachineDay.Report) {
        add(
            isBroken: !report.problems.isEmpty, missing: report.toothless + report.unreached,
            seen: report.reached.union(report.bites.keys))
    }

    mutating func add(isBroken: Bool, missing: [String], seen: Set<String>) {
        if isBroken {
            failed += 1
        } else if missing.isEmpty {
            passed += 1
        } else {
            unknown += 1
        }
        self.missing.formUnion(missing)
        self.seen.formUnion(seen)
    }

    /// The line that closes several runs.
    func text(of all: UInt64) -> String {
        let done = passed + unknown + failed
        let number = isInterrupted ? "\(done) of \(all) runs, interrupted" : TextTable.counted(done, "run")
        let never = unseen.isEmpty ? "" : "; never seen: " + unseen.joined(separator: ", ")
        return "\(number): \(passed) passed, \(unknown) unknown, \(failed) failed\(never)"
    }

    /// What was to be seen and was seen in no run: what has had no effect in one may have had it in another.
    private var unseen: [String] { missing.subtracting(seen).sorted() }

    /// What the command ends with; `nil` when every promise was kept.
    var exit: ExitCode? {
        if isInterrupted { return .interrupted }
        if failed > 0 { return ExitCode(Failure.Status.mismatch.rawValue) }
        return unseen.isEmpty ? nil : ExitCode(2)
    }
}
