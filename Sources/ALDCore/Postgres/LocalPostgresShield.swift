/// Does work that the cancellation of the caller's task must not reach, and waits for its end.
///
/// In a task of its own, because programs started from a cancelled task are killed at once, and whoever is cancelled
/// has to stop its server all the same.
func uncancellable<R: Sendable>(
    _ work: @escaping @Sendable () async throws(PostgresError) -> R
) async throws(PostgresError) -> R {
    let outcome = await Task { () -> Result<R, PostgresError> in
        do throws(PostgresError) {
            return .success(try await work())
        } catch {
            return .failure(error)
        }
    }.value
    return try outcome.get()
}
