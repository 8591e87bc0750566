import Foundation
public import Logging
import Synchronization

/// What the registry says to the database.
extension TerminalRegistry {
    func register(
        _ lock: TerminalLock, after predecessors: [Int64], unless own: [Int64], on connection: PostgresConnection,
        by deadline: MonotonicInstant
    ) async throws -> TerminalPulse.Event {
        let refusal: String
        do {
            return try await enter(lock, after: predecessors, on: connection, by: deadline)
        } catch let error as PostgresError where error.sqlState?.rawValue == "AL012" {
            refusal = error.message
        }
        // The answer to an earlier commit was lost, and the one that lives is this one.
        guard let alive = try await living(lock, of: own, on: connection, by: deadline) else {
            return .refused(refusal)
        }
        lock.note(instances: [alive])
        return .registered(alive)
    }

    private func enter(
        _ lock: TerminalLock, after predecessors: [Int64], on connection: PostgresConnection,
        by deadline: MonotonicInstant
    ) async throws -> TerminalPulse.Event {
        let process = ProcessInfo.processInfo
        let event = try await connection.inTransaction(deadline: deadline) { () -> TerminalPulse.Event in
            if !predecessors.isEmpty {
                _ = try await connection.query(
                    """
                    UPDATE ald.terminal_instances SET status = 'crashed', ended_at = clock_timestamp(),
                        status_reason = 'its process has ended without a word'
                    WHERE machine_id = $1 AND instance_id = ANY ($2) AND terminal = $3 AND ended_at IS NULL
                    """, [.int4(lock.machine), .int8Array(predecessors), .text(lock.terminal.rawValue)],
                    deadline: deadline)
            }
            let row = try await connection.query(
                "SELECT ald.register_terminal($1, $2, $3, $4, $5, $6, $7)",
                [
                    .int4(lock.machine), .text(lock.terminal.rawValue), .text(process.hostName),
                    .int4(process.processIdentifier), .text(configuration.version),
                    .text(configuration.environment),
                    .int4(Int32(configuration.heartbeatInterval.inSeconds.rounded(.up))),
                ], deadline: deadline
            ).first
            guard let row else {
                throw PostgresError(.decodingFailed, "register_terminal returned nothing", effect: .notApplied)
            }
            let instance = try row.decode(0, as: Int64.self)
            // Before the commit: whoever finds the entry after a crash, or a lost answer, finds its number here.
            let entries = state.withLock { state in
                state.pulses[lock.terminal]?.happened(.entering(instance))
                return state.pulses[lock.terminal]?.entries ?? []
            }
            lock.note(instances: entries)
            return .registered(instance)
        }
        if case .registered(let instance) = event { lock.note(instances: [instance]) }
        return event
    }

    /// The one of these entries that the database takes for the terminal.
    private func living(
        _ lock: TerminalLock, of own: [Int64], on connection: PostgresConnection, by deadline: MonotonicInstant
    ) async throws -> Int64? {
        guard !own.isEmpty else { return nil }
        return try await connection.query(
            """
            SELECT instance_id FROM ald.terminal_instances
            WHERE machine_id = $1 AND instance_id = ANY ($2) AND terminal = $3 AND ended_at IS NULL
            """, [.int4(lock.machine), .int8Array(own), .text(lock.terminal.rawValue)], deadline: deadline
        ).first?.decode(0, as: Int64.self)
    }

    /// Who is this terminal on another host, or in another directory, and was heard of lately; for who has to know it before
    /// everything else, and does not wait for it.
    ///
    /// - Returns: `nil` when there is nobody, or the database does not say by the deadline.
    public static func rival(
        of lock: TerminalLock, in database: PostgresConfiguration, by deadline: MonotonicInstant,
        time: any TimeSource = SystemTime(), logger: Logger
    ) async -> String? {
        do {
            let connection = try await PostgresConnection.connect(
                database.withApplicationName("ald registry"), deadline: deadline, time: time, logger: logger)
            return try await withCleanup {
                try await connection.query(
                    """
                    SELECT format('%s of machine %s runs already: process %s on %s', terminal, machine_id, os_pid, hostname)
                    FROM ald.terminal_instances
                    WHERE machine_id = $1 AND terminal = $2 AND ended_at IS NULL AND instance_id <> ALL ($3)
                        AND last_heartbeat_at > clock_timestamp() - make_interval(secs => 3 * heartbeat_seconds)
                    """, [.int4(lock.machine), .text(lock.terminal.rawValue), .int8Array(lock.predecessors)],
                    deadline: deadline
                ).first?.decode(0, as: String.self)
            } cleanup: {
                await connection.close()
            }
        } catch {
            logger.info("nobody knows whether another terminal runs", metadata: ["reason": "\(error)"])
            return nil
        }
    }

    func heartbeat(
        _ lock: TerminalLock, _ instance: Int64, on connection: PostgresConnection, by deadline: MonotonicInstant
    ) async throws -> TerminalPulse.Event {
        let report = state.withLock { $0.reports[lock.terminal] }?() ?? TerminalReport()
        let row = try await connection.query(
            """
            SELECT ald.heartbeat($1, $2, $3, $4, $5, $6, $7), ald.report_health($1, $8, $9, $10, $11)
            """,
            [
                .int4(lock.machine), .int8(instance), .text(report.status.rawValue),
                .text(report.reason.storable),
                .int8(Int64(report.processed)), .int8(Int64(report.errors)), Self.optional(report.lastError),
                .text(lock.terminal.rawValue), .bool(report.controllerFault == nil),
                Self.optional(report.controllerFault), .bool(report.hearsBell),
            ], deadline: deadline
        ).first
        return try row?.decode(0, as: Bool.self) == true ? .heard : .unknown
    }

    func goodbye(
        _ lock: TerminalLock, _ instance: Int64, on connection: PostgresConnection, by deadline: MonotonicInstant
    ) async throws -> TerminalPulse.Event {
        let row = try await connection.query(
            "SELECT ald.stop_terminal($1, $2, 'stopped in order')", [.int4(lock.machine), .int8(instance)],
            deadline: deadline
        ).first
        // An entry that is not there may still come: its commit was never answered.
        if try row?.decode(0, as: Bool.self) == true { lock.note(instances: []) }
        return .heard
    }

    /// An error that is told has words.
    private static func optional(_ text: String?) -> PostgresValue {
        guard let text else { return .null }
        return .text(text.isEmpty ? "no reason was given" : text.storable)
    }
}
