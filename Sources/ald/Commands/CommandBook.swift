import ALDCore
import Foundation

/// What became of one command, as `parameter_command_traces` says.
struct CommandTrace: Sendable {
    var id: Int64
    var trace: UUID
    var parameter: String
    var target: Double
    var actual: Double?
    var status: String
    var error: String?
    var requestedBy: String
    var insertedAt: Timestamp
    /// Until it was detected, validated, written, confirmed and finalised, each from the one before, in milliseconds.
    var stages: [Double?]
    var total: Double?

    var hasEnded: Bool { !["pending", "claimed", "executing"].contains(status) }
}

/// The table of parameter commands of one machine, as people use it.
struct CommandBook {
    let connection: PostgresConnection
    let machine: Int32
    let deadline: MonotonicInstant
    let time = SystemTime()

    private static let columns = """
        SELECT command_id, trace_id, parameter, target_value, actual_value, status, error, requested_by, inserted_at,
            t1_detection_ms::float8, t2_validation_ms::float8, t3_write_ms::float8, t4_confirmation_ms::float8,
            t5_finalisation_ms::float8, total_ms::float8
        FROM ald.parameter_command_traces WHERE machine_id = $1
        """

    /// - Throws: ``Failure`` with the names that come closest.
    func parameter(named name: String) async throws -> Int32 {
        let rows = try await connection.query(
            """
            SELECT parameter_id, component || '.' || name FROM ald.component_parameters
            WHERE machine_id = $1 ORDER BY parameter_id
            """, [.int4(machine)], deadline: deadline)
        let known = try rows.map { (try $0.decode(0, as: Int32.self), try $0.decode(1, as: String.self)) }
        if let found = known.first(where: { $0.1 == name }) { return found.0 }
        guard !known.isEmpty else {
            throw Failure(.mismatch, "the database knows no machine \(machine); see `ald database status`")
        }
        let wanted = name.lowercased()
        let close = known.map(\.1).filter {
            $0.lowercased().contains(wanted) || wanted.contains($0.lowercased())
        }
        let hint =
            close.isEmpty
            ? "names look like \"\(known[0].1)\""
            : "did you mean \(close.prefix(3).map { "\"\($0)\"" }.joined(separator: " or "))?"
        throw Failure(.mismatch, "machine \(machine) has no parameter \"\(name)\"; \(hint)")
    }

    func ask(
        _ parameter: Int32, _ value: Double, within patience: Duration, by person: String, because reason: String
    ) async throws -> Int64 {
        do {
            let row = try await connection.query(
                "SELECT ald.request_parameter_command($1, $2, $3, $4, $5, $6, $7)",
                [
                    .int4(machine), .uuid(UUID()), .int4(parameter), .float8(value), .float8(patience.inSeconds),
                    .text(person), .text(reason),
                ], deadline: deadline
            ).first
            guard let row else { throw Failure(.software, "the database returned no number for the command") }
            return try row.decode(0)
        } catch let error as PostgresError where error.sqlState == .checkViolation {
            throw Failure(.mismatch, error.message)
        }
    }

    /// Looks until the command has ended, or could not begin any more.
    func end(of command: Int64, within patience: Duration) async throws -> CommandTrace {
        let limit = time.now + patience + .seconds(15)
        var pause = Duration.milliseconds(5)
        while true {
            let trace = try await trace(of: command)
            if trace.hasEnded { return trace }
            if time.now >= limit || (trace.status == "pending" && time.now >= limit - .seconds(14)) {
                throw Failure(
                    trace.status == "pending" ? .mismatch : .unknownOutcome,
                    "command \(command) \(trace.status == "pending" ? "was not begun in time" : "has not ended"); "
                        + "does Terminal 3 run? See `ald status`")
            }
            try await time.sleep(for: pause)
            pause = min(pause * 2, .milliseconds(200))
        }
    }

    func trace(of command: Int64) async throws -> CommandTrace {
        try await trace("command_id = $2", .int8(command), called: "\(command)")
    }

    /// - Parameter name: the number or the trace of a command.
    func trace(called name: String) async throws -> CommandTrace {
        if let number = Int64(name) { return try await trace(of: number) }
        guard let uuid = UUID(uuidString: name) else {
            throw Failure(.mismatch, "\"\(name)\" is neither the number nor the trace of a command")
        }
        return try await trace("trace_id = $2", .uuid(uuid), called: name)
    }

    private func trace(_ condition: String, _ value: PostgresValue, called name: String) async throws -> CommandTrace {
        let rows = try await connection.query(
            "\(Self.columns) AND \(condition)", [.int4(machine), value], deadline: deadline)
        guard let trace = try rows.first.map(Self.decode) else {
            throw Failure(.mismatch, "machine \(machine) has no command \(name)")
        }
        return trace
    }

    func newest(_ limit: Int, onlyOpen: Bool) async throws -> [CommandTrace] {
        let condition = onlyOpen ? "AND finalised_at IS NULL" : ""
        return try await connection.query(
            "\(Self.columns) \(condition) ORDER BY command_id DESC LIMIT $2", [.int4(machine), .int8(Int64(limit))],
            deadline: deadline
        ).map(Self.decode)
    }

    private static func decode(_ row: PostgresRow) throws -> CommandTrace {
        CommandTrace(
            id: try row.decode(0), trace: try row.decode(1), parameter: try row.decode(2), target: try row.decode(3),
            actual: try row.decode(4), status: try row.decode(5), error: try row.decode(6),
            requestedBy: try row.decode(7), insertedAt: try row.decode(8),
            stages: try (9...13).map { try row.decode($0, as: Double?.self) }, total: try row.decode(14))
    }
}
