public import NIOCore

/// When a changed cost is worth a new plan: the break-even gap moved by more than a quarter, and the last change is
/// a minute old. A plan that changed with every sample would never be measured.
public struct ReplanRule: Sendable {
    static let pause = TimeAmount.minutes(1)

    private var planned: (gap: Int, since: NIODeadline)?

    /// A rule that accepts the first gap it is asked about.
    public init() {}

    /// Whether to plan anew for `gap`. When true, `gap` is what the plan is taken to be for from now on.
    public mutating func shouldPlan(forGap gap: Int, now: NIODeadline) -> Bool {
        if let planned {
            guard 4 * abs(gap - planned.gap) > planned.gap, planned.since + Self.pause <= now else { return false }
        }
        planned = (gap, now)
        return true
    }
}
