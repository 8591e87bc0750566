import Foundation

/// The seed of a randomised test.
public enum TestSeed {
    /// `ALD_SEED` when it is set, otherwise drawn by chance. Printed either way, so that a failing run can be replayed.
    public static func draw(_ test: String = #function) -> UInt64 {
        // The upper half is left free, so that a test may count up from its seed.
        let seed =
            ProcessInfo.processInfo.environment["ALD_SEED"].flatMap { UInt64($0) } ?? .random(in: 0...(.max / 2))
        print("seed of \(test): \(seed) (ALD_SEED=\(seed) replays it)")
        return seed
    }

    /// To be called in every round of a long computation: the tests of a process share two or so threads, and one that
    /// never lets go starves all that wait for a socket or a process.
    public static func letOthersRun(round: Int) async {
        if round.isMultiple(of: 50) { await Task.yield() }
    }
}
