public import Foundation

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

    /// Seeds that follow each other, for a test that goes through several: `short` of them by default, `nominal` under
    /// `ALD_SLOW`, and as many as `ALD_SEEDS` says when it is set.
    ///
    /// - Throws: ``VariableRefused`` when `ALD_SEEDS` is no number: a run of one seed must not look like one of thousands.
    public static func several(
        _ short: Int, nominal: Int? = nil, environment: [String: String] = ProcessInfo.processInfo.environment,
        test: String = #function
    ) throws(VariableRefused) -> Range<UInt64> {
        var count = Gate.rounds(short, nominal: nominal ?? short)
        if let text = environment["ALD_SEEDS"] {
            guard let asked = Int(text), (1...1_000_000).contains(asked) else {
                throw VariableRefused(
                    description: "ALD_SEEDS is “\(text)”; it must be a whole number from 1 to 1000000, or unset")
            }
            count = asked
        }
        let first = draw(test)
        let (end, isTooMuch) = first.addingReportingOverflow(UInt64(count))
        if isTooMuch {
            throw VariableRefused(
                description: "ALD_SEED is “\(first)”; for \(count) seeds that follow each other it is too large")
        }
        return first..<end
    }

    /// A variable of the environment that makes no sense.
    public struct VariableRefused: Error, CustomStringConvertible {
        public var description: String
    }

    /// To be called in every round of a long computation: the tests of a process share two or so threads, and one that
    /// never lets go starves all that wait for a socket or a process.
    public static func letOthersRun(round: Int) async {
        if round.isMultiple(of: 50) { await Task.yield() }
    }
}
