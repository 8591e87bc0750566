/// Whether a statement may have left something in its session that outlives it, as far as its command tag tells.
///
/// Listed is what leaves nothing; whatever else there is or will be counts as a trace. What a `SELECT` does by calling a
/// function (`set_config`, `pg_advisory_lock`) cannot be seen.
enum SessionTrace {
    private static let traceless: Set<String> = [
        "", "SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "COPY", "BEGIN", "START TRANSACTION", "COMMIT", "ROLLBACK",
        "SAVEPOINT", "RELEASE", "FETCH", "MOVE", "CLOSE CURSOR", "SHOW", "EXPLAIN", "LOCK TABLE", "TRUNCATE TABLE",
        "NOTIFY", "UNLISTEN", "DEALLOCATE", "VACUUM", "ANALYZE",
    ]

    /// - Parameter tag: as the server sends it: `INSERT 0 5`.
    static func isLeft(by tag: String) -> Bool {
        let words = tag.prefix { !$0.isNumber }
        return !traceless.contains(String(words).trimmed)
    }
}
