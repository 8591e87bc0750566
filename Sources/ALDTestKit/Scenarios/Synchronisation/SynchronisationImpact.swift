/// What it means for a machine to keep current values beside the history.
public enum SynchronisationImpact: String, Sendable, Codable {
    /// Below 10 % of the throughput and 15 % of the latency.
    case low = "LOW"
    /// Below 25 % of the throughput and 40 % of the latency.
    case medium = "MEDIUM"
    case high = "HIGH"

    /// Whoever wants to know a class needs so many cycles with synchronisation, and as many without.
    public static let fewestCycles = 100

    /// Both as a part of what it is without, positive when it gets worse.
    public init(throughputReduction: Double, latencyIncrease: Double) {
        self =
            switch (throughputReduction, latencyIncrease) {
            case (..<0.1, ..<0.15): .low
            case (..<0.25, ..<0.4): .medium
            default: .high
            }
    }
}
