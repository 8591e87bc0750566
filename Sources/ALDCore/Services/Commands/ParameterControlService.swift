public import Logging
public import ServiceLifecycle
import Synchronization

/// Terminal 3: carries out the parameter commands of one machine.
///
/// The table is the record. A notification rings when somebody inserts a command; a sweep every second, or every
/// quarter of one while the bell is broken, finds what it missed. A command is taken by one transaction that says it is
/// being executed, carried out by a ``ParameterCommandMachine``, and its end is noted. Commands for different parameters
/// run side by side, those for one parameter one after the other in the order of their numbers.
///
/// A terminal that dies leaves commands that say they are being executed. The next one reads back what became of
/// them; it never writes them again. A terminal that only stood still finds its leases ended when it goes on, by its own
/// clock and before it has asked anybody: what it has not written by then it does not write.
public final class ParameterControlService: Service {
    public struct Configuration: Sendable {
        /// Commands that are carried out at the same time, 1 to 1000. Defaults to 16.
        public var concurrency = 16
        /// Between two looks at the table while notifications come through. Defaults to 1 s.
        public var sweepInterval: Duration = .seconds(1)
        /// The same while they do not. Defaults to 250 ms.
        public var sweepIntervalWithoutBell: Duration = .milliseconds(250)
        /// How long a command stays this terminal's when it is not heard of any more. Defaults to 10 s: whoever is
        /// started again after a crash knows within half a minute how every command has ended. Nothing is written in its
        /// last quarter: clocks differ, and what was sent in the last moment still has to arrive.
        public var lease: Duration = .seconds(10)
        /// How long a shutdown waits for what is under way and for its record; no call to the controller may take
        /// longer. Defaults to ``ShutdownBudget/commands``.
        public var shutdownGrace = ShutdownBudget.commands
        /// How a command is carried out.
        public var execution = ParameterCommandMachine.Configuration()
        /// Largest difference when a parameter is read back, in its unit; overrides that of the
        /// database, which overrides that of ``execution``.
        public var tolerances: [ParameterID: Double] = [:]

        public init() {}

        /// - Throws: every setting that is out of its range.
        public func validate() throws(ConfigurationProblems) {
            var problems: [String] = []
            if !(1...1000).contains(concurrency) {
                problems.append("concurrency is \(concurrency); allowed are 1 to 1000")
            }
            for (name, value) in [
                ("sweepInterval", sweepInterval), ("sweepIntervalWithoutBell", sweepIntervalWithoutBell),
                ("lease", lease), ("shutdownGrace", shutdownGrace), ("execution.callTimeout", execution.callTimeout),
                ("execution.retryInterval", execution.retryInterval),
                ("execution.confirmationTime", execution.confirmationTime),
            ] where value <= .zero {
                problems.append("\(name) is \(value); it must be longer than zero")
            }
            for (id, tolerance) in tolerances.sorted(by: { $0.key < $1.key }) where !(tolerance >= 0) {
                problems.append("the tolerance of parameter \(id) is \(tolerance); it must not be below zero")
            }
            if execution.callTimeout > shutdownGrace {
                problems.append(
                    "execution.callTimeout is \(execution.callTimeout); it must not be longer than shutdownGrace, "
                        + "\(shutdownGrace)")
            }
            if let problems = ConfigurationProblems(problems) { throw problems }
        }

        /// How long after the table was asked its lease is relied on.
        var reliedOn: Duration { lease - lease / 4 }
        /// Between two renewals, and after one that failed: so that a lease outlives a lost answer.
        var renewal: (interval: Duration, again: Duration) { (lease / 3, lease / 12) }
        /// How long a question for commands may take: what it brings during a shutdown has to be noted in the other half.
        var takeTimeout: Duration { min(ParameterControlService.tableTimeout, shutdownGrace / 2) }
    }

    /// What Terminal 3 has done since it was created. `taken = executing + succeeded + failed + unknown`.
    public struct Statistics: Hashable, Sendable {
        /// Commands begun, with those that another terminal had left.
        public internal(set) var taken = 0
        public internal(set) var executing = 0
        public internal(set) var succeeded = 0
        public internal(set) var failed = 0
        public internal(set) var unknown = 0
        /// Ends whose record does not say so yet.
        public internal(set) var unnoted = 0
        /// Whether notifications come through.
        public internal(set) var hearsBell = false
        /// Why the table could not be reached; `nil` while it can.
        public internal(set) var problem: String?
    }

    let plc: any PLC
    let desk: any ParameterCommandTable
    let configuration: Configuration
    let time: any TimeSource
    let logger: Logger
    let state = Mutex(State())
    /// Something may be taken.
    let wakeup = Wakeup()
    /// Something has ended, or the service stops.
    let noting = Wakeup()
    private let bell: any Doorbell
    let reach: TableReach

    /// How long one call to the table may take.
    static let tableTimeout: Duration = .seconds(5)

    /// - Parameters:
    ///   - pool: with at least three connections for this service: the bell keeps one.
    ///   - machine: the number under which the machine is registered in the database.
    /// - Throws: every setting that is out of its range.
    public convenience init(
        plc: any PLC, pool: ConnectionPool, machine: Int32, configuration: Configuration = Configuration(),
        time: any TimeSource = SystemTime(), logger: Logger
    ) throws(ConfigurationProblems) {
        try self.init(
            plc: plc, table: CommandDesk(pool: pool, machine: machine, lease: configuration.lease),
            bell: { onRing in
                CommandBell(
                    pool: pool, channel: "ald_commands_\(machine)", time: time, logger: logger, onRing: onRing)
            }, configuration: configuration, time: time, logger: logger)
    }

    /// - Parameter table: gives a lease of ``Configuration/lease``.
    package init(
        plc: any PLC, table: any ParameterCommandTable, bell: DoorbellMaker, configuration: Configuration,
        time: any TimeSource, logger: Logger
    ) throws(ConfigurationProblems) {
        try configuration.validate()
        self.plc = plc
        self.configuration = configuration
        self.time = time
        self.logger = logger
        reach = TableReach("the command table", time: time, logger: logger)
        desk = table
        let wakeup = wakeup
        self.bell = bell { wakeup.signal() }
    }

    public var statistics: Statistics {
        let (hearsBell, problem) = (bell.isWorking, reach.problem)
        return state.withLock { state in
            var statistics = state.statistics
            statistics.executing = state.executing.count
            statistics.unnoted = state.ended.count
            statistics.hearsBell = hearsBell
            statistics.problem = problem
            return statistics
        }
    }

    /// Carries out commands until shutdown or cancellation. A shutdown takes no further command, and waits for those
    /// under way and their records for ``Configuration/shutdownGrace``.
    public func run() async throws {
        await withTaskCancellationOrGracefulShutdownHandler {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await self.bell.run() }
                group.addTask { await self.look() }
                await self.work()
                group.cancelAll()
            }
        } onCancelOrGracefulShutdown: {
            let deadline = self.time.now + self.configuration.shutdownGrace
            self.state.withLock { ($0.isStopping, $0.stopsBy) = (true, $0.stopsBy ?? deadline) }
            self.wakeup.signal()
            self.noting.signal()
        }
    }

    private func work() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.noteEnds() }
            while state.withLock({ $0.beginTaking() }) {
                for command in takeAdopted() { begin(command, asked: nil, in: &group) }
                let free = configuration.concurrency - state.withLock { $0.executing.count }
                let asked = time.now
                let taken = free > 0 ? await take(limit: free) : []
                for command in taken { begin(command, asked: asked, in: &group) }
                // Only now: what came while the service stops is known to be under way, and its end is waited for.
                let isStopping = state.withLock { state in
                    state.isTaking = false
                    return state.isStopping
                }
                if isStopping { noting.signal() }
                // As many as were asked for: there may be more.
                if free > 0, taken.count >= free { continue }
                await rest()
            }
        }
    }

    /// Until somebody rings, or it is time to look without being asked.
    private func rest() async {
        let interval = bell.isWorking ? configuration.sweepInterval : configuration.sweepIntervalWithoutBell
        await wakeup.wait(until: time.now + interval, time: time)
    }

    /// - Parameter asked: before the table was asked for it, so that its deadline is never counted from too late an
    ///   instant, however long the answer was on its way; `nil` when somebody else had begun it.
    private func begin(_ command: CommandDesk.Taken, asked: MonotonicInstant?, in group: inout DiscardingTaskGroup) {
        let isNew = state.withLock { state -> Bool? in
            // Story: the database is restored to a moment before this one was taken. What becomes of it is on its way.
            if state.executing.contains(command.id) || state.ended.contains(where: { $0.id == command.id }) {
                return nil
            }
            state.statistics.taken += 1
            state.executing.insert(command.id)
            state.heldUntil[command.id] = asked.map { $0 + configuration.reliedOn }
            return state.begun.insert(command.trace)
        }
        guard let isNew else { return }
        let takenAt = time.now
        // Story: the database is restored to a moment before its end was noted. It was written, so it is only looked at.
        let notAfter = isNew ? asked.map { $0 + command.remaining } : nil
        group.addTask {
            await self.execute(command, takenAt: takenAt, notAfter: notAfter)
            self.logger.info(
                "a command has ended",
                metadata: [
                    "trace": "\(command.trace)", "command": "\(command.id)",
                    "parameter": "\(command.target.parameter)", "value": "\(command.target.value)",
                    "took": "\(self.time.now - takenAt)",
                ])
        }
    }

    private func take(limit: Int) async -> [CommandDesk.Taken] {
        let known = state.withLock { $0.executing.union($0.ended.map(\.id)) }
        return await reach.reaching("commands cannot be taken") {
            do {
                let taken = try await desk.take(
                    limit: limit, known: known, deadline: time.now + configuration.takeTimeout)
                // What an earlier question had brought is among them.
                if taken.count < limit { state.withLock { $0.doubtUntil = nil } }
                return taken
            } catch {
                let isInDoubt = (error as? PostgresError)?.effect ?? .unknown == .unknown
                if isInDoubt { state.withLock { $0.doubtUntil = time.now + configuration.lease } }
                throw error
            }
        } ?? []
    }

    /// What others have left, found by ``look()``.
    private let adopted = Mutex<[CommandDesk.Taken]>([])

    private func takeAdopted() -> [CommandDesk.Taken] {
        adopted.withLock { adopted in
            defer { adopted = [] }
            return adopted
        }
    }

    /// Keeps our commands ours, and finds those that others have left.
    private func look() async {
        while !Task.isCancelled {
            let (ours, isStopping) = state.withLock { ($0.executing, $0.isStopping) }
            let asked = time.now
            let left = await reach.reaching("commands cannot be looked after") {
                try await renew(ours, asked: asked)
                // Who is about to end leaves them to the next one.
                return isStopping ? [] : try await desk.adopt(deadline: asked + Self.tableTimeout)
            }
            // Story: our own, whose lease had ended, is given to us, and ends and is noted before the answer is here.
            let strangers = state.withLock { state in
                (left ?? []).filter { !ours.contains($0.id) && !state.executing.contains($0.id) }
            }
            if !strangers.isEmpty {
                adopted.withLock { $0 += strangers }
                wakeup.signal()
            }
            let pause = left == nil ? configuration.renewal.again : configuration.renewal.interval
            // Cancelled: the loop ends.
            do { try await time.sleep(for: pause) } catch {}
        }
    }

    /// - Parameter asked: before the table is asked, so that no lease is believed to last longer than it does.
    private func renew(_ ours: Set<Int64>, asked: MonotonicInstant) async throws {
        if ours.isEmpty { return }
        let lost = try await desk.renew(ours.sorted(), deadline: asked + Self.tableTimeout)
        state.withLock { $0.renewed(ours, lost: lost, until: asked + configuration.reliedOn) }
        if !lost.isEmpty {
            logger.warning("leases had ended", metadata: ["commands": "\(lost.sorted())"])
        }
    }
}
