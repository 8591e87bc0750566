package import Foundation

/// Where recipe commands are taken from and where their ends are noted: the tables of one machine, as one recipe service
/// sees them.
package struct RecipeDesk: RecipeTable {
    package enum Kind: String, Sendable { case start, stop, pause, resume }

    /// A command whose record says that this terminal executes it.
    package struct Taken: Hashable, Sendable {
        package var id: Int64
        /// Made by whoever asked; the trace of the command.
        package var trace: UUID
        package var kind: Kind
        package var recipe: Int64?
        package var version: Int32?
        package var process: Int64?
        package var requestedBy: String
        package var reason: String

        package init(
            id: Int64, trace: UUID, kind: Kind, recipe: Int64?, version: Int32?, process: Int64?, requestedBy: String,
            reason: String
        ) {
            (self.id, self.trace, self.kind) = (id, trace, kind)
            (self.recipe, self.version, self.process) = (recipe, version, process)
            (self.requestedBy, self.reason) = (requestedBy, reason)
        }

        /// For the log and for whoever asks why a run was stopped.
        package var words: String { reason.isEmpty ? requestedBy : "\(requestedBy): \(reason)" }

        /// What the journal calls the run that it starts. With the trace, since another database counts from 1, too.
        package func label(of process: Int64) -> String { RecipeDesk.label(of: process, trace: trace) }
    }

    package static func label(of process: Int64, trace: UUID?) -> String {
        "process \(process)" + (trace.map { " of \($0)" } ?? "")
    }

    /// The end of a command, for its record.
    package struct Finished: Hashable, Sendable {
        package var id: Int64
        /// Why it did not succeed; `nil` when it did.
        package var error: String?
        /// Noted only after this process has ended in the database, too, so that the next command finds it ended.
        package var process: Int64?
        package var isDoubtful = false
    }

    /// How a process that this terminal did not see through ended.
    package struct LeftProcess: Hashable, Sendable {
        package var id: Int64
        package var step: Int32?
        package var completed: Int64
        package var total: Int64
        /// Whether its command was taken by this start of this terminal.
        package var isOurs: Bool
        /// What it may have left open, as the journal would say it.
        package var entry: RecipeJournal.Entry

        package init(
            id: Int64, step: Int32?, completed: Int64, total: Int64, isOurs: Bool, entry: RecipeJournal.Entry
        ) {
            (self.id, self.step, self.completed, self.total) = (id, step, completed, total)
            (self.isOurs, self.entry) = (isOurs, entry)
        }
    }

    private let pool: ConnectionPool
    private let machine: Int32
    private let worker = CommandDesk.worker()
    private let lease: Duration

    init(pool: ConnectionPool, machine: Int32, lease: Duration) {
        self.pool = pool
        self.machine = machine
        self.lease = lease
    }

    private func withConnection<Value: Sendable>(
        _ deadline: MonotonicInstant, _ body: @Sendable (PostgresConnection) async throws -> Value
    ) async throws -> Value {
        try await pool.withConnection(
            holder: "recipe commands", lane: .commandListener, deadline: deadline, body)
    }

    // MARK: Commands

    /// Claims and begins the oldest command. One that is returned is to be executed.
    ///
    /// - Parameter known: commands that were returned before and whose end is not noted yet. One whose answer was lost is
    ///   returned again, unless it was adopted meanwhile or has come too late; a stop always is.
    package func take(known: [Int64], deadline: MonotonicInstant) async throws -> Taken? {
        try await withConnection(deadline) { connection in
            let taken = try await connection.query(
                "SELECT \(Self.columns) FROM ald.take_recipe_command($1, $2, $3, $4)",
                [.int4(machine), .text(worker), .int8Array(known), .float8(lease.inSeconds)], deadline: deadline)
            return try Self.commands(taken).first
        }
    }

    /// What another terminal was executing and whose lease has ended, until its end is noted: to find out how it ended,
    /// never to do it again.
    package func adopt(deadline: MonotonicInstant) async throws -> [Taken] {
        try await withConnection(deadline) { connection in
            try Self.commands(
                try await connection.query(
                    "SELECT \(Self.columns) FROM ald.adopt_recipe_commands($1, $2, $3)",
                    [.int4(machine), .text(worker), .float8(lease.inSeconds)], deadline: deadline))
        }
    }

    private static let columns =
        "command_id, request_id, kind, recipe_id, recipe_version, process_id, requested_by, reason"

    private static func commands(_ result: PostgresResult) throws -> [Taken] {
        try result.compactMap { row in
            let word: String = try row.decode(2)
            guard let kind = Kind(rawValue: word) else { return nil }
            return Taken(
                id: try row.decode(0), trace: try row.decode(1), kind: kind, recipe: try row.decode(3),
                version: try row.decode(4), process: try row.decode(5), requestedBy: try row.decode(6),
                reason: try row.decode(7))
        }
    }

    package func renew(_ ids: [Int64], deadline: MonotonicInstant) async throws {
        _ = try await withConnection(deadline) { connection in
            try await connection.query(
                "SELECT ald.renew_recipe_command($1, id, $2, $4) FROM unnest($3::int8[]) id",
                [.int4(machine), .text(worker), .int8Array(ids), .float8(lease.inSeconds)], deadline: deadline)
        }
    }

    /// Notes how a command ended. Safe to repeat.
    ///
    /// - Returns: whether the record says so now; not yet while its process has not ended there. `nil`: the command is not
    ///   this terminal's any more.
    package func finish(_ finished: Finished, deadline: MonotonicInstant) async throws -> Bool? {
        let status = finished.isDoubtful ? "unknown" : finished.error == nil ? "succeeded" : "failed"
        return try await withConnection(deadline) { connection in
            let result = try await connection.query(
                """
                SELECT ald.finish_recipe_command($1, $2, $3, $4, $5)
                WHERE $6::int8 IS NULL OR EXISTS (SELECT FROM ald.process_executions e
                    WHERE e.machine_id = $1 AND e.process_id = $6 AND e.ended_at IS NOT NULL)
                """,
                [
                    .int4(machine), .int8(finished.id), .text(worker), .text(status),
                    finished.error.map(PostgresValue.text) ?? .null, finished.process.map(PostgresValue.int8) ?? .null,
                ], deadline: deadline)
            guard let row = result.first else { return false }
            return try row.decode(0, as: Bool.self) ? true : nil
        }
    }

    // MARK: Recipes and processes

    package func load(_ command: Taken, deadline: MonotonicInstant) async throws -> Recipe {
        guard let recipe = command.recipe, let version = command.version else {
            throw RecipeStore.Problem(code: .invalid, description: "the command names no recipe")
        }
        return try await withConnection(deadline) { connection in
            try await RecipeStore(machine: machine).load(
                recipe: recipe, version: version, on: connection, deadline: deadline)
        }
    }

    /// What must hold before a recipe starts, as it is in force now.
    package func idleConditions(deadline: MonotonicInstant) async throws -> [IdleCondition] {
        try await withConnection(deadline) { connection in
            try await connection.query(
                """
                SELECT i.parameter_id, i.check_kind, i.min_value, i.max_value, i.note
                FROM ald.machine_idle_conditions c JOIN ald.machine_idle_condition_items i USING (machine_id, condition_id)
                WHERE c.machine_id = $1 AND c.is_active ORDER BY i.priority, i.parameter_id
                """, [.int4(machine)], deadline: deadline
            ).map { row in
                IdleCondition(
                    parameter: ParameterID(rawValue: try row.decode(0)), word: try row.decode(1),
                    minimum: try row.decode(2), maximum: try row.decode(3), note: try row.decode(4))
            }
        }
    }

    package func readbackTolerances(deadline: MonotonicInstant) async throws -> [ParameterID: Double] {
        let rows = try await withConnection(deadline) { connection in
            try await connection.query(
                """
                SELECT parameter_id, readback_tolerance FROM ald.component_parameters
                WHERE machine_id = $1 AND readback_tolerance IS NOT NULL
                """, [.int4(machine)], deadline: deadline
            ).map { (ParameterID(rawValue: try $0.decode(0)), try $0.decode(1, as: Double.self)) }
        }
        return Dictionary(rows) { $1 }
    }

    /// Enters the process, or says why it may not run now. Safe to repeat.
    ///
    /// - Parameter valves: nobody else opens them while it runs.
    package func begin(
        _ command: Taken, steps: Int64, valves: [Int32], deadline: MonotonicInstant
    ) async throws -> Result<Int64, RecipeStore.Problem> {
        try await withConnection(deadline) { connection in
            let result = try await connection.query(
                "SELECT process_id, problem FROM ald.begin_process($1, $2, $3, $4, $5)",
                [.int4(machine), .int8(command.id), .text(worker), .int8(steps), .int4Array(valves)],
                deadline: deadline)
            let problem: String? = try result.first?.decode(1)
            guard problem == nil, let process: Int64 = try result.first?.decode(0) else {
                return .failure(RecipeStore.Problem(code: .invalid, description: problem ?? "no process was entered"))
            }
            return .success(process)
        }
    }

    /// Processes of recipes that the database takes for running; at most one.
    package func open(deadline: MonotonicInstant) async throws -> [LeftProcess] {
        try await withConnection(deadline) { connection in
            try await connection.query(
                """
                SELECT e.process_id, s.step_id, coalesce(s.completed_steps, 0), coalesce(s.total_steps, 0), c.request_id,
                    ARRAY(SELECT p.parameter_id FROM ald.recipe_steps p WHERE p.machine_id = e.machine_id
                            AND p.recipe_id = e.recipe_id AND p.version = e.recipe_version AND p.kind = 'valve'
                        UNION SELECT unnest(e.interlocked_valves) ORDER BY 1),
                    coalesce(c.claimed_by = $2, false)
                FROM ald.process_executions e LEFT JOIN ald.process_execution_state s USING (machine_id, process_id)
                LEFT JOIN ald.recipe_commands c ON c.machine_id = e.machine_id AND c.command_id = e.command_id
                WHERE e.machine_id = $1 AND e.ended_at IS NULL AND e.recipe_id IS NOT NULL
                """, [.int4(machine), .text(worker)], deadline: deadline
            ).map { row in
                let id: Int64 = try row.decode(0)
                let valves: [Int32] = try row.decode(5)
                return LeftProcess(
                    id: id, step: try row.decode(1), completed: try row.decode(2), total: try row.decode(3),
                    isOurs: try row.decode(6),
                    entry: RecipeJournal.Entry(
                        label: Self.label(of: id, trace: try row.decode(4)),
                        valves: valves.map(ParameterID.init(rawValue:)), process: id))
            }
        }
    }

    /// How the process ended that a command is about: of a start command its own, of others the one they name.
    ///
    /// - Returns: `nil` when there is none; an empty status while it has not ended.
    package func outcome(
        of command: Taken, deadline: MonotonicInstant
    ) async throws -> (process: Int64, status: String, error: String?)? {
        try await withConnection(deadline) { connection in
            let result = try await connection.query(
                """
                SELECT process_id, CASE WHEN ended_at IS NULL THEN '' ELSE status END, error FROM ald.process_executions
                WHERE machine_id = $1 AND (command_id = $2 OR process_id = $3)
                """, [.int4(machine), .int8(command.id), command.process.map(PostgresValue.int8) ?? .null],
                deadline: deadline)
            return try result.first.map { (try $0.decode(0), try $0.decode(1), try $0.decode(2)) }
        }
    }
}
