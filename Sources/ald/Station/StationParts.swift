import ALDCore

/// What a running station consists of, for whoever shows it. Of a terminal that was made again it is the newest one;
/// Terminal 2 is made once, and started again as it is.
struct StationParts: Sendable {
    var hasBegun = false
    /// Everybody is told to end, one after the other.
    var isEnding = false
    var plc: ModbusPLC?
    var plcPlace = ""
    var databasePlace = ""
    var startedAt: Timestamp?
    var started: MonotonicInstant?
    /// Of the terminals that record.
    var writers: [Terminal: BatchWriter] = [:]
    var collection: CollectionUnit?
    var commands: ParameterControlService?
    var recipes: RecipeService?
    var supervisors: [Terminal: Supervisor] = [:]
    var registry: TerminalRegistry?
    /// Terminals whose places other processes have.
    var displaced: [TerminalRegistry.Displaced] = []
    /// Rows of this run that the database itself counted at the end.
    var counted: Int?
    /// Records that were found on disk at the end.
    var recounted: Int?
}
