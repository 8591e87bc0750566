extension PostgresConnection {
    /// Runs `body` between `BEGIN` and `COMMIT`; when it throws, nothing of it remains.
    nonisolated(nonsending) func inTransaction<Result>(
        deadline: MonotonicInstant, _ body: nonisolated(nonsending) () async throws -> Result
    ) async throws -> Result {
        _ = try await execute(script: "BEGIN", deadline: deadline)
        do {
            let result = try await body()
            _ = try await execute(script: "COMMIT", deadline: deadline)
            return result
        } catch {
            // The server undoes everything; should even this fail, the connection is closed and that undoes it too.
            do { _ = try await execute(script: "ROLLBACK", deadline: deadline) } catch { await close() }
            throw error
        }
    }

    /// Runs `body` in a transaction and undoes whatever it did.
    nonisolated(nonsending) func rehearsing<Result>(
        deadline: MonotonicInstant, _ body: nonisolated(nonsending) () async throws -> Result
    ) async throws -> Result {
        _ = try await execute(script: "BEGIN", deadline: deadline)
        return try await withCleanup {
            try await body()
        } cleanup: {
            do {
                _ = try await execute(script: "ROLLBACK", deadline: deadline)
            } catch {
                // A session that is closed is undone as well.
                await close()
            }
        }
    }
}
