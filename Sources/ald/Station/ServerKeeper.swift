import ALDCore
import Logging
import ServiceLifecycle

/// Looks after the private database server: one that has died is started again while recording goes on.
struct ServerKeeper: Service {
    let server: LocalPostgres
    let time: any TimeSource
    let logger: Logger

    /// Between two looks. The rows of this time, and of the server's recovery, wait in the spool.
    private static let interval: Duration = .seconds(2)

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while true {
                do { try await time.sleep(for: Self.interval) } catch { return }
                do {
                    if try await server.revive() {
                        logger.warning("the private database server had died and was started again")
                    }
                } catch {
                    logger.error("the private database server cannot be started again", metadata: ["error": "\(error)"])
                }
            }
        }
    }
}
