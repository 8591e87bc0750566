import Foundation

/// What the environment asks of a test run.
public enum Gate {
    /// `ALD_SLOW=1`: nominal durations up to an hour instead of seconds.
    public static let isSlow = ProcessInfo.processInfo.environment["ALD_SLOW"] == "1"

    /// Not with `ALD_ROOT=0`: it leaves out what only root may do, also when run as root.
    public static let mayUseRoot = ProcessInfo.processInfo.environment["ALD_ROOT"] != "0"

    /// How often to repeat something: `short` by default, `nominal` under `ALD_SLOW`.
    public static func rounds(_ short: Int, nominal: Int) -> Int { isSlow ? nominal : short }
}
