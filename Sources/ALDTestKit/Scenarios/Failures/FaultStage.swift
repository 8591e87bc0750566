import ALDCore
import Modbus
import Synchronization

/// What can be broken, and how.
struct FaultStage: Sendable {
    let proxy: FaultProxy
    /// Not through the proxy.
    let database: PostgresConfiguration
    let server: ModbusServer
    let faults: FaultInjector
    let state = LockHolder()
    private let book = TroubleBook()

    /// What is known so far of those who are in trouble.
    var account: TroubleAccount { book.account.withLock(\.self) }

    func note(_ body: (inout TroubleAccount) -> Void) { book.account.withLock { body(&$0) } }

    /// Requests that were held up.
    var slowed: Int { faults.counts.values.reduce(0, +) }

    func begin(_ work: TerminalsUnderFault, _ run: ScenarioRun) async throws {
        switch work.database {
        case nil: break
        case .latency(let range):
            var slow = StreamFaults()
            slow.latency = (range.lowerBound + range.upperBound) / 2
            slow.jitter = (range.upperBound - range.lowerBound) / 2
            proxy.set(slow, .downstream)
        case .gone: proxy.down()
        case .silent: proxy.freeze()
        case .resets: proxy.reset()
        case .lockedLedger: try await state.lock("ald_history.ingest_batches", database)
        }
        switch work.controller {
        case nil: break
        case .latency(let range, let functions):
            // Several rules of equal share, since a rule has one delay.
            let steps = 8
            for step in 0..<steps {
                let delay = range.lowerBound + (range.upperBound - range.lowerBound) * step / (steps - 1)
                var rule = FaultRule("slow \(step)", .request(.delay(delay)))
                rule.functions = functions
                rule.probability = 1 / Double(steps - step)
                try faults.add(rule)
            }
        case .gone: await server.strike(.reboot(run.duration + .seconds(1)))
        }
    }

    /// What has to be done over and over.
    func goOn(_ work: TerminalsUnderFault, now: MonotonicInstant) async throws {
        if case .resets(let every) = work.database, state.isDue(every, now: now) { proxy.reset() }
    }

    func end(_ work: TerminalsUnderFault) async {
        proxy.heal()
        faults.clear()
        await state.unlock()
        if case .gone = work.controller { await server.strike(.reboot(.zero)) }
    }
}

private final class TroubleBook: Sendable {
    let account = Mutex(TroubleAccount())
}

/// Holds a lock in the database for as long as it is told to.
actor LockHolder {
    private var connection: PostgresConnection?
    private let last = Mutex(MonotonicInstant(nanoseconds: 0))

    func lock(_ table: String, _ database: PostgresConfiguration) async throws {
        let time = SystemTime()
        let made = try await PostgresConnection.connect(
            database, deadline: time.now + .seconds(30), time: time, logger: TestDatabase.quiet)
        connection = made
        _ = try await made.execute(
            script: "BEGIN; LOCK TABLE \(table) IN ACCESS EXCLUSIVE MODE", deadline: time.now + .seconds(30))
    }

    func unlock() async {
        guard let connection else { return }
        self.connection = nil
        await connection.close()
    }

    nonisolated func isDue(_ period: Duration, now: MonotonicInstant) -> Bool {
        last.withLock { last in
            guard now - last >= period else { return false }
            last = now
            return true
        }
    }
}
