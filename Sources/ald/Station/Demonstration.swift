import ALDCore
import Logging
import ServiceLifecycle

/// Runs the demonstration recipe on the simulated machine, again and again until shutdown: what `make run` shows. It asks
/// for it as an operator does, in the table of recipe commands.
struct Demonstration: Service {
    let file: String
    let settings: Settings
    let map: RegisterMap
    let database: PostgresConfiguration
    let time: any TimeSource
    let logger: Logger

    private static let author = "demonstration"
    /// Between two runs, and before the next try.
    private static let pause: Duration = .seconds(2)

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do {
                    try await self.runOnce()
                } catch {
                    if Task.isCancelled { return }
                    self.logger.info("the demonstration recipe did not start", metadata: ["reason": "\(error)"])
                }
                do { try await self.time.sleep(for: Self.pause) } catch { return }
            }
        }
    }

    private func runOnce() async throws {
        let recipe = try RecipeFile(path: file, map: map).recipe
        let connection = try await PostgresConnection.connect(
            database, deadline: time.now + .seconds(10), time: time, logger: logger)
        try await withCleanup {
            let deadline = time.now + DatabaseAccess.noLimit
            let store = RecipeStore(machine: settings.machineID)
            let version = try await store.store(recipe, author: Self.author, on: connection, deadline: deadline).version
            let requests = RecipeRequests(connection: connection, machine: settings.machineID, deadline: deadline)
            // Nobody but this simulation is in that state.
            _ = try await requests.clear(author: Self.author, reason: "the demonstration begins anew")
            try await requests.requireIdle()
            let command = try await requests.start(
                version, within: .seconds(30), author: Self.author, reason: "demonstration")
            let end = try await requests.end(of: command, showing: ProgressLine(isShown: false))
            logger.notice(
                "the demonstration recipe has ended",
                metadata: ["status": "\(end.status)", "reason": "\(end.error ?? "")"])
        } cleanup: {
            await connection.close()
        }
    }
}
