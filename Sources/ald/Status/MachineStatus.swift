import ALDCore
import Foundation

/// What the database says of one machine: its terminals, its process and what waits for them.
struct MachineStatus: Sendable {
    struct TerminalRow: Sendable {
        var terminal: String
        var status: String
        var reason: String
        var hostname: String
        var process: Int32
        var version: String
        var startedAt: Timestamp
        var silence: Duration
        var heartbeat: Duration
        var processed: Int64
        var errors: Int64
        var lastError: String?
        var controllerFault: String?

        var hasEnded: Bool { ["stopped", "crashed"].contains(status) }
        /// It promised to be heard of and was not, three times.
        var isSilent: Bool { !hasEnded && silence > heartbeat * 3 }
    }

    struct ProcessRow: Sendable {
        var id: Int64
        var recipe: String?
        var status: String
        var step: String?
        var completed: Int64?
        var total: Int64?
        var startedAt: Timestamp
    }

    struct Queue: Sendable {
        var pending: Int64 = 0
        var underWay: Int64 = 0
        var oldest: Duration?
        var lastHour: [String: Int64] = [:]
        var recipeCommands: Int64 = 0
    }

    var name: String
    var state: String
    var failure: String?
    var terminals: [TerminalRow] = []
    var process: ProcessRow?
    var queue = Queue()

    /// - Throws: ``Failure`` when there is no such machine.
    init(_ connection: PostgresConnection, machine: Int32, deadline: MonotonicInstant) async throws {
        let key: [PostgresValue] = [.int4(machine)]
        let row = try await connection.query(
            """
            SELECT m.name, s.status, s.failure FROM ald.machines m LEFT JOIN ald.machine_state s USING (machine_id)
            WHERE m.machine_id = $1
            """, key, deadline: deadline
        ).first
        guard let row else {
            throw Failure(.mismatch, "the database knows no machine \(machine); see `ald database status`")
        }
        name = try row.decode(0)
        state = try row.decode(1, as: String?.self) ?? "unknown"
        failure = try row.decode(2)
        terminals = try await connection.query(
            """
            SELECT DISTINCT ON (t.terminal) t.terminal, t.status, t.status_reason, t.hostname, t.os_pid, t.version,
                t.started_at, (extract(epoch FROM clock_timestamp() - t.last_heartbeat_at) * 1000)::int8,
                t.heartbeat_seconds, t.commands_processed, t.errors, t.last_error, h.plc_error
            FROM ald.terminal_instances t LEFT JOIN ald.machine_health h USING (machine_id, terminal)
            WHERE t.machine_id = $1 ORDER BY t.terminal, t.instance_id DESC
            """, key, deadline: deadline
        ).map { row in
            TerminalRow(
                terminal: try row.decode(0), status: try row.decode(1), reason: try row.decode(2),
                hostname: try row.decode(3), process: try row.decode(4), version: try row.decode(5),
                startedAt: try row.decode(6), silence: .milliseconds(try row.decode(7, as: Int64.self)),
                heartbeat: .seconds(Int64(try row.decode(8, as: Int32.self))), processed: try row.decode(9),
                errors: try row.decode(10), lastError: try row.decode(11), controllerFault: try row.decode(12))
        }
        process = try await connection.query(
            """
            SELECT process_id, recipe, status, coalesce(nullif(step_name, ''), step_kind), completed_steps, total_steps,
                started_at
            FROM ald.process_progress WHERE machine_id = $1 ORDER BY (ended_at IS NULL) DESC, process_id DESC LIMIT 1
            """, key, deadline: deadline
        ).first.map { row in
            ProcessRow(
                id: try row.decode(0), recipe: try row.decode(1), status: try row.decode(2), step: try row.decode(3),
                completed: try row.decode(4), total: try row.decode(5), startedAt: try row.decode(6))
        }
        queue = try await Self.queue(connection, key, deadline)
    }

    private static func queue(
        _ connection: PostgresConnection, _ key: [PostgresValue], _ deadline: MonotonicInstant
    ) async throws -> Queue {
        var queue = Queue()
        let open = try await connection.query(
            """
            SELECT count(*) FILTER (WHERE status = 'pending'), count(*) FILTER (WHERE status <> 'pending'),
                (extract(epoch FROM clock_timestamp() - min(created_at)) * 1000)::int8,
                (SELECT count(*) FROM ald.recipe_commands r WHERE r.machine_id = $1
                    AND r.status IN ('pending', 'claimed', 'executing'))
            FROM ald.parameter_control_commands
            WHERE machine_id = $1 AND status IN ('pending', 'claimed', 'executing')
            """, key, deadline: deadline
        ).first
        if let open {
            (queue.pending, queue.underWay) = (try open.decode(0), try open.decode(1))
            queue.oldest = try open.decode(2, as: Int64?.self).map { .milliseconds($0) }
            queue.recipeCommands = try open.decode(3)
        }
        let ended = try await connection.query(
            """
            SELECT status, count(*) FROM ald.parameter_control_commands
            WHERE machine_id = $1 AND finished_at > clock_timestamp() - interval '1 hour' GROUP BY 1
            """, key, deadline: deadline)
        for row in ended { queue.lastHour[try row.decode(0)] = try row.decode(1, as: Int64.self) }
        return queue
    }
}
