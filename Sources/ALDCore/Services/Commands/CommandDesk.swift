package import Foundation

/// Where parameter commands are taken from and where their ends are noted: the table of one machine, as one terminal
/// sees it.
package struct CommandDesk: ParameterCommandTable {
    /// A command whose record says that this terminal executes it.
    package struct Taken: Hashable, Sendable {
        package var id: Int64
        /// Made by whoever asked; the trace of the command.
        package var trace: UUID
        package var target: SetPoint
        /// Largest difference when it is read back, as the parameter says; `nil`: what the data type rounds.
        package var tolerance: Double?
        /// When the record was changed, by the database's clock.
        package var executingAt: Timestamp
        /// How long it may still be written, by the database's clock.
        package var remaining: Duration

        package init(
            id: Int64, trace: UUID, target: SetPoint, tolerance: Double?, executingAt: Timestamp, remaining: Duration
        ) {
            (self.id, self.trace, self.target, self.tolerance) = (id, trace, target, tolerance)
            (self.executingAt, self.remaining) = (executingAt, remaining)
        }
    }

    /// The end of a command, for its record.
    package struct Finished: Hashable, Sendable {
        package var id: Int64
        package var ending: ParameterCommandMachine.Ending
        /// By the database's clock: when it was taken and what passed since on our own.
        package var writtenAt: Timestamp?
        package var verifiedAt: Timestamp?
    }

    private let pool: ConnectionPool
    private let machine: Int32
    /// This terminal's name in the records; no other terminal, and no earlier start of this one, has it.
    private let worker = Self.worker()
    private let lease: Duration

    /// - Parameter lease: how long a command is ours without another word.
    init(pool: ConnectionPool, machine: Int32, lease: Duration) {
        self.pool = pool
        self.machine = machine
        self.lease = lease
    }

    static func worker() -> String {
        let process = ProcessInfo.processInfo
        return "\(process.hostName)/\(process.processIdentifier)/\(UUID().uuidString.prefix(8))"
    }

    /// Claims and begins up to `limit` commands, at most one per parameter. All that are returned are to be executed.
    ///
    /// - Parameter known: commands of this terminal that were returned before and whose end is not noted yet. Others that
    ///   it has begun are returned again.
    /// - Throws: `PostgresError`. When the answer is lost, commands may have been taken nonetheless; the next call returns
    ///   them.
    package func take(limit: Int, known: Set<Int64>, deadline: MonotonicInstant) async throws -> [Taken] {
        try await commands(
            "retake_parameter_commands($1, $2, $3, $4, $5) c", [.int4(Int32(limit))], [.int8Array(known.sorted())],
            deadline: deadline)
    }

    /// What somebody was executing whose lease has ended: to find out how it ended, never to do it again.
    package func adopt(deadline: MonotonicInstant) async throws -> [Taken] {
        try await commands("adopt_parameter_commands($1, $2, $3) c", deadline: deadline)
    }

    private func commands(
        _ function: String, _ limit: [PostgresValue] = [], _ known: [PostgresValue] = [], deadline: MonotonicInstant
    ) async throws -> [Taken] {
        let statement = """
            SELECT command_id, request_id, parameter_id, target_value, executing_at,
                (extract(epoch FROM not_after - clock_timestamp()) * 1000000)::int8,
                (SELECT p.readback_tolerance FROM ald.component_parameters p
                 WHERE p.machine_id = c.machine_id AND p.parameter_id = c.parameter_id)
            FROM ald.\(function)
            """
        let parameters = [.int4(machine), .text(worker)] + limit + [.float8(lease.inSeconds)] + known
        return try await pool.withConnection(holder: "commands", lane: .commandListener, deadline: deadline) {
            connection in
            try await connection.query(statement, parameters, deadline: deadline).map { row in
                Taken(
                    id: try row.decode(0), trace: try row.decode(1),
                    target: SetPoint(ParameterID(rawValue: try row.decode(2)), try row.decode(3)),
                    tolerance: try row.decode(6),
                    executingAt: try row.decode(4), remaining: .microseconds(try row.decode(5, as: Int64.self)))
            }
        }
    }

    /// Which commands say that this terminal began them and executes them. Changes nothing.
    package func begun(deadline: MonotonicInstant) async throws -> [Int64] {
        try await pool.withConnection(holder: "commands", lane: .commandListener, deadline: deadline) { connection in
            try await connection.query(
                """
                SELECT command_id FROM ald.parameter_control_commands
                WHERE machine_id = $1 AND claimed_by = $2 AND status = 'executing' AND NOT adopted ORDER BY command_id
                """, [.int4(machine), .text(worker)], deadline: deadline
            ).map { try $0.decode(0) }
        }
    }

    /// Prolongs the leases of commands that are being executed.
    ///
    /// - Returns: those whose lease had ended before.
    package func renew(_ ids: [Int64], deadline: MonotonicInstant) async throws -> Set<Int64> {
        try await pool.withConnection(holder: "commands", lane: .commandListener, deadline: deadline) { connection in
            let result = try await connection.query(
                "SELECT id FROM unnest($3::int8[]) id WHERE NOT ald.renew_parameter_command($1, id, $2, $4)",
                [.int4(machine), .text(worker), .int8Array(ids), .float8(lease.inSeconds)], deadline: deadline)
            return Set(try result.map { try $0.decode(0, as: Int64.self) })
        }
    }

    /// Notes how commands ended. Safe to repeat.
    ///
    /// - Returns: those whose records say so now; the others are not this terminal's any more.
    package func finish(_ finished: [Finished], deadline: MonotonicInstant) async throws -> Set<Int64> {
        let words = finished.map(\.ending.words)
        let parameters: [PostgresValue] = [
            .int4(machine), .text(worker), .int8Array(finished.map(\.id)), .textArray(words.map(\.status)),
            .array(try PostgresArray(words.map(\.error))), .float8Array(words.map(\.actual)),
            .array(try PostgresArray(finished.map(\.writtenAt))), .array(try PostgresArray(finished.map(\.verifiedAt))),
        ]
        return try await pool.withConnection(holder: "commands", lane: .commandListener, deadline: deadline) {
            connection in
            let result = try await connection.query(
                "SELECT ald.finish_parameter_commands($1, $2, $3, $4, $5, $6, $7, $8)", parameters, deadline: deadline)
            return Set(try result.map { try $0.decode(0, as: Int64.self) })
        }
    }
}

extension ParameterCommandMachine.Ending {
    /// What the record says. An error is never empty, and has no U+0000, which PostgreSQL cannot store.
    package var words: (status: String, error: String?, actual: Double?) {
        switch self {
        case .succeeded(let actual): ("succeeded", nil, finite(actual))
        case .failed(let reason, let actual): ("failed", said(reason), actual.flatMap(finite))
        case .unknown(let reason, let actual): ("unknown", said(reason), actual.flatMap(finite))
        }
    }

    private func said(_ reason: String) -> String {
        reason.isEmpty ? "no reason was given" : reason.storable
    }

    /// A set point register may hold anything; the record holds numbers.
    private func finite(_ value: Double) -> Double? { value.isFinite ? value : nil }
}
