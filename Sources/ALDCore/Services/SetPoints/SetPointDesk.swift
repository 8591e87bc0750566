/// What the database says of set points, and what it is told.
struct SetPointDesk: Sendable {
    struct Known: Sendable {
        var points: [Int32: SetPointSynchronisation.Known] = [:]
        /// By the database's clock, before anything is read from the machine.
        var asOf: Timestamp?
    }

    let pool: ConnectionPool
    let machine: Int32

    func fetch(deadline: MonotonicInstant) async throws -> Known {
        let result = try await pool.withConnection(holder: "set points", lane: .reader, deadline: deadline) {
            connection in
            try await connection.query(
                """
                SELECT parameter_id, set_value, unit, min_value, max_value, is_writable, setpoint_tolerance,
                    statement_timestamp()
                FROM ald.component_parameters WHERE machine_id = $1
                """, [.int4(machine)], deadline: deadline)
        }
        var known = Known()
        for row in result {
            known.points[try row.decode(0, as: Int32.self)] = SetPointSynchronisation.Known(
                setValue: try row.decode(1), unit: try row.decode(2),
                entry: MachineMetadata.Entry(
                    minimum: try row.decode(3), maximum: try row.decode(4), isWritable: try row.decode(5),
                    setPointTolerance: try row.decode(6)))
            known.asOf = try row.decode(7)
        }
        return known
    }

    /// - Parameters:
    ///   - previous: of each of `points`, what the machine said when it was compared last.
    ///   - since: no set point was read from the machine before.
    func synchronise(
        _ points: [SetPoint], previous: [Double?], since: Timestamp, deadline: MonotonicInstant
    ) async throws -> [SetPointSynchronisation.Outcome] {
        let result = try await pool.withConnection(holder: "set points", lane: .reader, deadline: deadline) {
            connection in
            try await connection.query(
                """
                SELECT parameter_id, outcome, previous_value, problem
                FROM ald.synchronise_set_points($1, $2, $3, $4, $5)
                """,
                [
                    .int4(machine), .timestamptz(since), .int4Array(points.map(\.parameter.rawValue)),
                    .float8Array(points.map(\.value)), .float8Array(previous),
                ], deadline: deadline)
        }
        return try result.compactMap { row in
            guard let kind = SetPointSynchronisation.Outcome.Kind(rawValue: try row.decode(1)) else { return nil }
            return SetPointSynchronisation.Outcome(
                parameter: ParameterID(rawValue: try row.decode(0)), kind: kind, previous: try row.decode(2),
                problem: try row.decode(3))
        }
    }
}
