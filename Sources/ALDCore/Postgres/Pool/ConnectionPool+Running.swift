import ServiceLifecycle
import Synchronization

extension ConnectionPool {
    /// Opens, tends and closes the connections. Once per pool.
    ///
    /// - Throws: ``PostgresError/Code/misuse`` when called a second time.
    public func run() async throws {
        let isFirst = state.withLock { state in
            defer { state.hasRun = true }
            return !state.hasRun
        }
        guard isFirst else { throw PostgresError(.misuse, "a connection pool runs once; make a new one") }
        await withTaskCancellationHandler {
            await withGracefulShutdownHandler {
                await performCommands()
            } onGracefulShutdown: {
                self.update { $0.machine.shutDown(reclaimsLeased: false, now: $1) }
            }
        } onCancel: {
            self.update { $0.machine.shutDown(reclaimsLeased: true, now: $1) }
        }
    }

    private func performCommands() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.keepTime() }
            update { $0.machine.start(now: $1) }
            while true {
                switch await commands.next() {
                case .connect(let id): group.addTask { await self.connect(id) }
                case .close(let id): group.addTask { await self.close(id) }
                case .check(let id): group.addTask { await self.check(id) }
                case .cancelStatement(let id): group.addTask { await self.cancelStatement(id) }
                case .finish:
                    group.cancelAll()
                    return
                }
            }
        }
    }
}
