/// What Terminal 1 has done since it was created.
///
/// Every instant that was due is in exactly one place: `due = cycles + missedLate + missedPLC + missedSpool`.
public struct CollectionStatistics: Sendable {
    /// Instants whose readings were accepted.
    public internal(set) var cycles = 0
    /// Those of them that were late: the reading began later than ``DataCollectionService/Configuration/mostLateness`` after
    /// its instant, or it took longer than the period until the readings were accepted.
    public internal(set) var lateCycles = 0
    /// Rows accepted, one per parameter and cycle.
    public internal(set) var rows = 0
    /// Rows among them that carry no value, because that part of the machine could not be read.
    public internal(set) var badRows = 0
    /// Instants at which the collector was not there in time.
    public internal(set) var missedLate = 0
    /// Instants at which the controller could not be read, or was still busy with an earlier one.
    public internal(set) var missedPLC = 0
    /// Instants whose readings could not be stored on this machine.
    public internal(set) var missedSpool = 0
    /// Gap records accepted; each covers one or more missed instants.
    public internal(set) var gapRecords = 0
    /// How far the interval between two collections was from the period.
    public internal(set) var jitter = DurationHistogram()
    /// From the start of a reading to its acceptance on disk.
    public internal(set) var cycleTime = DurationHistogram()
    /// When the collection ended; `nil` while it runs.
    public internal(set) var endedAt: MonotonicInstant?
    /// Why the last cycle recorded nothing; `nil` when it did.
    public internal(set) var lastFailure: String?

    public init() {}

    /// Instants that went by without readings, whatever the cause.
    public var missed: Int { missedLate + missedPLC + missedSpool }
    /// Instants that were missed, and those that were recorded late.
    public var violations: Int { missed + lateCycles }
    /// Instants that were due.
    public var due: Int { cycles + missed }
}
