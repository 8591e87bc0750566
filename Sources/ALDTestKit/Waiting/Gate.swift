import Foundation

/// What the environment asks of a test run.
public enum Gate {
    /// `ALD_SLOW=1`: nominal durations up to an hour instead of seconds.
    public static let isSlow = ProcessInfo.processInfo.environment["ALD_SLOW"] == "1"

    /// How often to repeat something: `short` by default, `nominal` under `ALD_SLOW`.
    public static func rounds(_ short: Int, nominal: Int) -> Int { isSlow ? nominal : short }
}
