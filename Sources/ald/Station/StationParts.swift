import ALDCore

/// What a running station consists of, for whoever shows it. Terminals that were started anew are the newest ones.
struct StationParts: Sendable {
    var hasBegun = false
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
