/// When a connection that comes back is made as good as new for the next holder: user, role, settings, cursors,
/// temporary tables, advisory locks and listening. It costs the holder one round trip; a connection for which the server
/// does not answer within ``PoolConfiguration/pingTimeout`` is closed and replaced.
public enum PoolSessionReset: String, Sendable, Hashable, CaseIterable {
    /// Never: what a holder changes in the session, the next one finds.
    case never
    /// When a holder ran a statement that is known to leave something, such as `SET`, `LISTEN`, `CREATE` or `CALL`.
    /// Costs nothing for the others. Functions that change the session from within a `SELECT`, such as
    /// `set_config(…, false)` or `pg_advisory_lock`, are not noticed.
    case whenTouched
    /// After every holder.
    case always
}
