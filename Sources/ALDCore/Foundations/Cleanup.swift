/// Runs `body` and then `cleanup`, whatever became of the body: what `defer` does, for cleaning up that has to wait.
///
/// `cleanup` runs in the caller's task, also when that is cancelled, so what it calls must not give up on
/// cancellation.
///
/// - Throws: what `body` threw, otherwise what `cleanup` threw.
nonisolated(nonsending) package func withCleanup<Result>(
    _ body: nonisolated(nonsending) () async throws -> Result, cleanup: nonisolated(nonsending) () async throws -> Void
) async throws -> Result {
    let result: Result
    do {
        result = try await body()
    } catch {
        // The body's error says why; one from cleaning up after it would only hide it.
        do { try await cleanup() } catch {}
        throw error
    }
    try await cleanup()
    return result
}
