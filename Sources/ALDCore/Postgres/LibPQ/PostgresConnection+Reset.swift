import CLibPQ
import Logging

extension PostgresConnection {
    /// Gives the session back what it had when it was new: user and role, settings and time limits; and takes away
    /// cursors, temporary tables, sequence values, advisory locks and listening. What was prepared stays. One round
    /// trip.
    ///
    /// Behind a transaction pooler there is nothing to do: the session is not ours.
    ///
    /// - Parameter deadline: an instant of the connection's time source.
    /// - Returns: whether somebody else can use the connection now.
    func resetSession(deadline: MonotonicInstant) async -> Bool {
        guard isClean else { return false }
        guard !isPooled else { return true }
        let script = Self.resetScript(keeping: timeouts)
        do {
            _ = try await exchange(deadline: deadline, grace: .zero) { PQsendQuery($0, script) == 1 }
        } catch {
            logger.info("a session could not be reset and is closed", metadata: ["error": "\(error)"])
            return false
        }
        hasTrace = false
        return isClean
    }

    /// `DISCARD ALL` would also drop what was prepared, and take the time limits of the configuration.
    static func resetScript(keeping timeouts: PostgresTimeouts) -> String {
        var statements = [
            "SET SESSION AUTHORIZATION DEFAULT", "RESET ROLE", "RESET ALL", "CLOSE ALL", "UNLISTEN *",
            "SELECT pg_catalog.pg_advisory_unlock_all()", "DISCARD TEMP", "DISCARD SEQUENCES",
        ]
        let changes = timeouts.settings.map { "pg_catalog.set_config('\($0.name)', '\($0.milliseconds)', false)" }
        if !changes.isEmpty { statements.append("SELECT " + changes.joined(separator: ", ")) }
        return statements.joined(separator: "; ")
    }
}
