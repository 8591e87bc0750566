/// What maintenance has to do now. Asking changes nothing.
public struct MaintenancePlan: Hashable, Sendable {
    public struct Partition: Hashable, Sendable {
        public var name: String
        /// With its indexes.
        public var bytes: Int64
    }

    /// Partitions of the history to be made.
    public var partitions: Int64 = 0
    /// Buckets of five minutes, one per machine, to be summed up.
    public var buckets: Int64 = 0
    /// Readings of dropped days to be added to the rollups.
    public var late: Int64 = 0
    /// Rows to be removed from the ledger.
    public var ledgerRows: Int64 = 0
    /// To be dropped once everything is summed up, by name.
    public var dropped: [Partition] = []
    /// Why something that is old enough is not dropped.
    public var hindrance: String?

    /// - Parameter now: at most an hour ahead of the server's clock.
    /// - Throws: `PostgresError`.
    public init(_ connection: PostgresConnection, now: Timestamp, deadline: MonotonicInstant) async throws {
        let rows = try await connection.query(
            "SELECT task, object, amount, bytes FROM ald.maintenance_plan($1)", [.timestamptz(now)],
            deadline: deadline)
        for row in rows {
            let object = try row.decode(1, as: String.self)
            let amount = try row.decode(2, as: Int64?.self) ?? 0
            switch try row.decode(0, as: String.self) {
            case "create": partitions = amount
            case "sum up": buckets = amount
            case "add late": late = amount
            case "prune": ledgerRows = amount
            case "drop": dropped.append(Partition(name: object, bytes: try row.decode(3, as: Int64?.self) ?? 0))
            case "wait": hindrance = object
            case let task:
                throw PostgresError(
                    .decodingFailed, "ald.maintenance_plan says \"\(task)\", which this program does not know",
                    effect: .notApplied)
            }
        }
    }
}
