/// Decides when what is not essential has to give way, because something is slow: with two thresholds, so that it
/// does not change its mind with every cycle.
public struct DegradedMode: Sendable {
    public struct Configuration: Hashable, Sendable {
        /// Cycles that take more than this share of the time they have are slow. Defaults to a half.
        public var slowAbove = 0.5
        /// Cycles that take less than this share of it are fast. What lies between changes nothing. Defaults to a
        /// quarter.
        public var fastBelow = 0.25
        /// So many slow ones in a row begin it. Defaults to 3.
        public var slowCycles = 3
        /// So many fast ones in a row end it. Defaults to 10.
        public var fastCycles = 10

        public init() {}
    }

    public enum Change: Hashable, Sendable { case begins, ends }

    private let configuration: Configuration
    private var slow = 0
    private var fast = 0
    public private(set) var isDegraded = false

    public init(_ configuration: Configuration = Configuration()) {
        self.configuration = configuration
    }

    /// A cycle has ended. One that failed took all the time it had.
    public mutating func happened(took: Duration, of budget: Duration) -> Change? {
        let share = took / budget
        slow = share > configuration.slowAbove ? slow + 1 : 0
        fast = share < configuration.fastBelow ? fast + 1 : 0
        if !isDegraded, slow >= configuration.slowCycles {
            isDegraded = true
            return .begins
        }
        if isDegraded, fast >= configuration.fastCycles {
            isDegraded = false
            return .ends
        }
        return nil
    }
}
