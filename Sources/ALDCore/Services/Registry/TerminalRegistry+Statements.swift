import Foundation
import Synchronization

/// What the registry says to the database.
extension TerminalRegistry {
    func register(
        _ lock: TerminalLock, after predecessor: Int64?, on connection: PostgresConnection,
        by deadline: MonotonicInstant
    ) async throws -> TerminalPulse.Event {
        let process = ProcessInfo.processInfo
        do {
            return try await connection.inTransaction(deadline: deadline) {
                if let predecessor {
                    _ = try await connection.query(
                        """
                        UPDATE ald.terminal_instances SET status = 'crashed', ended_at = clock_timestamp(),
                            status_reason = 'its process has ended without a word'
                        WHERE machine_id = $1 AND instance_id = $2 AND terminal = $3 AND ended_at IS NULL
                        """, [.int4(lock.machine), .int8(predecessor), .text(lock.terminal.rawValue)],
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
                // Before the commit: whoever finds the entry after a crash finds its number here.
                lock.note(instance: instance)
                return .registered(instance)
            }
        } catch let error as PostgresError where error.sqlState?.rawValue == "AL012" {
            return .refused(error.message)
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
                .text(Self.storable(report.reason)),
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
        _ = try await connection.query(
            "SELECT ald.stop_terminal($1, $2, 'stopped in order')", [.int4(lock.machine), .int8(instance)],
            deadline: deadline)
        lock.note(instance: nil)
        return .heard
    }

    /// U+0000 cannot be stored, and an error that is told has words.
    private static func storable(_ text: String) -> String { text.replacing("\0", with: "\u{2400}") }

    private static func optional(_ text: String?) -> PostgresValue {
        guard let text else { return .null }
        return .text(text.isEmpty ? "no reason was given" : storable(text))
    }
}
