import ALDCore
import Foundation

/// What people ask of the recipe service, in its tables.
struct RecipeRequests {
    let connection: PostgresConnection
    let machine: Int32
    let deadline: MonotonicInstant
    private let time = SystemTime()

    /// Between two looks at a command that is waited for.
    private static let interval: Duration = .milliseconds(200)

    /// - Throws: ``Failure`` that says what keeps a recipe from starting.
    func requireIdle() async throws {
        let result = try await connection.query(
            "SELECT status, process_id, failure FROM ald.machine_state WHERE machine_id = $1", [.int4(machine)],
            deadline: deadline)
        guard let row = result.first else {
            throw Failure(.configuration, "the database knows no machine \(machine); `ald database seed` registers it")
        }
        let status: String = try row.decode(0)
        switch status {
        case "error":
            throw Failure(
                .mismatch,
                "the machine is in error: \(try row.decode(2, as: String?.self) ?? "no reason was given")\n"
                    + "When its cause is gone, say so: ald recipe clear --reason \"…\"")
        case "processing":
            throw Failure(
                .temporary,
                "process \(try row.decode(1, as: Int64?.self) ?? 0) is under way; `ald recipe stop` ends it")
        case "offline": throw Failure(.temporary, "the machine is out of service")
        default: return
        }
    }

    /// The process under way.
    func process() async throws -> Int64 {
        let result = try await connection.query(
            "SELECT process_id FROM ald.machine_state WHERE machine_id = $1 AND process_id IS NOT NULL",
            [.int4(machine)], deadline: deadline)
        guard let row = result.first else { throw Failure(.mismatch, "no recipe is under way") }
        return try row.decode(0)
    }

    func start(
        _ version: RecipeStore.Version, within patience: Duration, author: String, reason: String
    ) async throws -> Int64 {
        try await request(
            "start", [.int8(version.recipe), .int4(version.version), .null], within: patience, author: author,
            reason: reason)
    }

    func change(
        _ kind: String, _ process: Int64, within patience: Duration, author: String, reason: String
    ) async throws -> Int64 {
        try await request(kind, [.null, .null, .int8(process)], within: patience, author: author, reason: reason)
    }

    private func request(
        _ kind: String, _ object: [PostgresValue], within patience: Duration, author: String, reason: String
    ) async throws -> Int64 {
        let result = try await connection.query(
            "SELECT ald.request_recipe_command($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            [.int4(machine), .uuid(UUID()), .text(kind)] + object
                + [.float8(patience.inSeconds), .text(author), .text(reason)], deadline: deadline)
        guard let row = result.first else { throw Failure(.software, "the database did not answer") }
        return try row.decode(0)
    }

    /// Waits until a command has ended, and tells of its process meanwhile.
    func end(of command: Int64, showing line: ProgressLine) async throws -> CommandEnd {
        var line = line
        while true {
            let result = try await connection.query(
                """
                SELECT c.status, c.error, coalesce(c.process_id, e.process_id), s.completed_steps, s.total_steps,
                    e.status, p.step_kind, p.step_name, p.loop_iterations, c.not_after < clock_timestamp()
                FROM ald.recipe_commands c
                LEFT JOIN ald.process_executions e ON e.machine_id = c.machine_id AND e.command_id = c.command_id
                LEFT JOIN ald.process_execution_state s ON s.machine_id = e.machine_id AND s.process_id = e.process_id
                LEFT JOIN ald.process_progress p ON p.machine_id = e.machine_id AND p.process_id = e.process_id
                WHERE c.machine_id = $1 AND c.command_id = $2
                """, [.int4(machine), .int8(command)], deadline: deadline)
            guard let row = result.first else { throw Failure(.software, "command \(command) is not there any more") }
            var end = CommandEnd(
                command: command, process: try row.decode(2), status: try row.decode(0), error: try row.decode(1),
                steps_done: try row.decode(3))
            let isTooLate: Bool = try row.decode(9)
            // Nobody begins it any more; who looks next notes so.
            if end.status == "pending", isTooLate { end.status = "expired" }
            if !["pending", "claimed", "executing"].contains(end.status) {
                line.clear()
                return end
            }
            line.show(
                process: end.process, status: try row.decode(5), done: end.steps_done, total: try row.decode(4),
                kind: try row.decode(6), name: try row.decode(7), iterations: try row.decode(8) ?? [])
            try await time.sleep(for: Self.interval)
        }
    }

    /// Takes the machine out of its error state.
    ///
    /// - Returns: what the failure was; `nil` when it was in none.
    func clear(author: String, reason: String) async throws -> String? {
        let result = try await connection.query(
            """
            WITH noted AS (SELECT set_config('ald.acting_for', $2, false), set_config('ald.reason', $3, false)),
                before AS (SELECT machine_id, failure FROM ald.machine_state, noted
                    WHERE machine_id = $1 AND status = 'error' FOR UPDATE OF machine_state)
            UPDATE ald.machine_state s SET status = 'idle', failure = NULL, failed_component = NULL
            FROM before b WHERE s.machine_id = b.machine_id RETURNING b.failure
            """, [.int4(machine), .text(author), .text(reason)], deadline: deadline)
        return try result.first?.decode(0)
    }
}

/// One line that says where a run is: redrawn on a terminal, otherwise told now and then.
struct ProgressLine {
    let isShown: Bool
    private let isTerminal = isatty(STDERR_FILENO) == 1
    private var shown = ""
    private var toldAt: MonotonicInstant?

    init(isShown: Bool) {
        self.isShown = isShown
    }

    mutating func show(
        process: Int64?, status: String?, done: Int64?, total: Int64?, kind: String?, name: String?, iterations: [Int32]
    ) {
        guard isShown else { return }
        var text = "waiting for the recipe service"
        if let process {
            let (done, total) = (done ?? 0, total ?? 0)
            let share = total > 0 ? Int(Double(done) / Double(total) * 100) : 0
            text =
                "process \(process) \(status ?? "running"): \(TextTable.grouped(done)) of "
                + "\(TextTable.counted(total, "step")), \(share) %"
            if let kind { text += ", \(name.flatMap { $0.isEmpty ? nil : $0 } ?? kind)" }
            if !iterations.isEmpty { text += " (\(iterations.map(String.init).joined(separator: "/")))" }
        }
        guard text != shown else { return }
        let now = SystemTime().now
        if isTerminal {
            StandardStream.error.write("\r\u{1B}[K" + text)
        } else if toldAt.map({ now - $0 >= .seconds(5) }) ?? true {
            StandardStream.error.write(text + "\n")
            toldAt = now
        }
        shown = text
    }

    mutating func clear() {
        if isShown, isTerminal, !shown.isEmpty { StandardStream.error.write("\r\u{1B}[K") }
    }
}
