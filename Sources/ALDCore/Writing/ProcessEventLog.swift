/// Reads what was recorded of processes.
///
/// Errors are those of the connection: `PostgresError`.
public struct ProcessEventLog: Sendable {
    private let connection: PostgresConnection

    public init(_ connection: PostgresConnection) {
        self.connection = connection
    }

    /// An event and where it is in the order of its process.
    public struct Item: Hashable, Sendable {
        public var event: ProcessEvent
        /// Its place in the chain of the machine, which is the order in which events have landed.
        public var sequence: Int64
    }

    /// The events of a process in order.
    ///
    /// - Parameters:
    ///   - after: only those behind this one, for the next page.
    ///   - limit: at most so many.
    public func events(
        machine: Int32, process: Int64, after: Item? = nil, limit: Int, deadline: MonotonicInstant
    ) async throws -> [Item] {
        var parameters: [PostgresValue] = [.int4(machine), .int8(process), .int8(Int64(limit))]
        if let after {
            parameters += [.timestamptz(after.event.time), .int8(after.event.number), .int8(after.sequence)]
        }
        let result = try await connection.query(
            """
            SELECT process_id, event_number, happened_at, kind, step_id, loop_iterations, message, details::text, seq
            FROM ald.process_events WHERE machine_id = $1 AND process_id = $2
                \(after == nil ? "" : "AND (happened_at, event_number, seq) > ($4, $5, $6)")
            ORDER BY happened_at, event_number, seq LIMIT $3
            """, parameters, deadline: deadline)
        return try result.map { row throws(PostgresError) in
            let word: String = try row.decode(3)
            guard let kind = ProcessEvent.Kind(rawValue: word) else {
                throw PostgresError(
                    .decodingFailed, "a process event is of kind \"\(word)\", which this version does not know",
                    effect: .notApplied)
            }
            let event = ProcessEvent(
                process: try row.decode(0), number: try row.decode(1), time: try row.decode(2), kind: kind,
                step: try row.decode(4, as: Int32?.self), iterations: try row.decode(5, as: [Int32].self),
                text: try row.decode(6), json: try row.decode(7))
            return Item(event: event, sequence: try row.decode(8))
        }
    }
}
