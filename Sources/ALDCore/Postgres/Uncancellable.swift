/// Does work that the cancellation of the caller's task must not reach, and waits for its end: making a machine safe,
/// saying goodbye, stopping a server.
///
/// In a task of its own, which is awaited here: in a cancelled one every wait ends at once, and programs that it starts
/// are killed. It runs where ``PreferredExecutor`` says.
func uncancellable<R: Sendable, Failure: Error>(
    _ work: @escaping @Sendable () async throws(Failure) -> R
) async throws(Failure) -> R {
    let outcome = await Task(executorPreference: PreferredExecutor.current) { () -> Result<R, Failure> in
        do throws(Failure) {
            return .success(try await work())
        } catch {
            return .failure(error)
        }
    }.value
    return try outcome.get()
}
