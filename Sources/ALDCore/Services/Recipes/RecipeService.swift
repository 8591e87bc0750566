public import Logging
public import ServiceLifecycle
import Synchronization

/// Terminal 2: runs the recipes of one machine.
///
/// The table is the record. A notification rings when somebody inserts a command, a sweep finds what it missed, and each
/// command is taken by exactly one terminal. A start command is carried out when the machine is idle, its idle conditions
/// hold and its controller answers; it succeeds when the recipe has run to its end, and says otherwise why not. A
/// ``RecipeRunner`` runs the recipe. What it does is written down beside it, through the ``BatchWriter``, so neither a slow
/// database nor one that is away delays a pulse, and nothing of it is lost.
///
/// When the service starts, what an earlier process may have left open is closed first, and its process is ended as
/// aborted with what is known of it.
public final class RecipeService: Service {
    public struct Configuration: Sendable {
        /// The number under which the machine is registered in the database.
        public var machine: Int32
        /// What must never happen on it, and what it is left in when something goes wrong.
        public var interlocks: Interlocks
        /// Path of a file that says what a run may have left open, in a directory that is there and outlives this process.
        /// One per machine.
        public var journal: String
        /// How a recipe is run.
        public var execution = RecipeMachine.Configuration()
        /// Between two looks at the table while notifications come through. Defaults to 1 s.
        public var sweepInterval: Duration = .seconds(1)
        /// The same while they do not. Defaults to 250 ms.
        public var sweepIntervalWithoutBell: Duration = .milliseconds(250)
        /// How long a command stays this terminal's when it is not heard of any more. Defaults to 10 s.
        public var lease: Duration = .seconds(10)
        /// How long the look at the machine before a start may take. Defaults to 2 s.
        public var gateTimeout: Duration = .seconds(2)
        /// How long a shutdown may take: valves closed, safe state, records handed over. Defaults to 20 s.
        public var shutdownGrace = ShutdownBudget.machine
        /// How long one call to the tables may take. No output ever waits for one. Defaults to 5 s.
        public var tableTimeout: Duration = .seconds(5)

        public init(machine: Int32, interlocks: Interlocks, journal: String) {
            self.machine = machine
            self.interlocks = interlocks
            self.journal = journal
        }

        /// - Throws: every setting that is out of its range.
        public func validate() throws(ConfigurationProblems) {
            var problems: [String] = []
            if machine < 1 { problems.append("machine is \(machine); it must be 1 or more") }
            if journal.isEmpty { problems.append("journal is empty; it must be the path of a file") }
            for (name, value) in [
                ("sweepInterval", sweepInterval), ("sweepIntervalWithoutBell", sweepIntervalWithoutBell),
                ("lease", lease), ("gateTimeout", gateTimeout), ("shutdownGrace", shutdownGrace),
                ("tableTimeout", tableTimeout),
            ] where value <= .zero {
                problems.append("\(name) is \(value); it must be longer than zero")
            }
            if let problems = ConfigurationProblems(problems) { throw problems }
        }
    }

    let configuration: Configuration
    let plc: any PLC
    let desk: any RecipeTable
    let runner: RecipeRunner
    let writer: BatchWriter
    let time: any TimeSource
    let logger: Logger
    let reach: TableReach
    let state = Mutex(State())
    /// Something may be taken, or the service stops.
    let wakeup = Wakeup()
    /// A command has ended, or the service stops.
    let noting = Wakeup()
    /// The service stops.
    private let stopping = Wakeup()
    private let bell: any Doorbell

    /// What everybody else in this process writes through: it opens no valve that the recipe under way uses or excludes.
    public let guarded: InterlockedPLC

    var tableDeadline: MonotonicInstant { time.now + configuration.tableTimeout }

    /// Nothing is done before ``run()``.
    ///
    /// - Parameters:
    ///   - plc: the machine; a recipe never runs without it.
    ///   - pool: with at least three connections for this service: the bell keeps one.
    ///   - writer: takes the records of runs; it runs beside this service and ends after it.
    /// - Throws: every setting and every interlock that does not fit.
    public convenience init(
        configuration: Configuration, plc: any PLC, pool: ConnectionPool, writer: BatchWriter,
        time: any TimeSource = SystemTime(), logger: Logger
    ) throws(ConfigurationProblems) {
        let (machine, lease) = (configuration.machine, configuration.lease)
        try self.init(
            configuration: configuration, plc: plc, table: RecipeDesk(pool: pool, machine: machine, lease: lease),
            bell: { onRing in
                CommandBell(
                    pool: pool, channel: "ald_recipe_commands_\(machine)", time: time, logger: logger, onRing: onRing)
            }, writer: writer, time: time, logger: logger)
    }

    /// - Parameter table: gives a lease of ``Configuration/lease``.
    package init(
        configuration: Configuration, plc: any PLC, table: any RecipeTable, bell: DoorbellMaker, writer: BatchWriter,
        time: any TimeSource, logger: Logger
    ) throws(ConfigurationProblems) {
        try configuration.validate()
        var logger = logger
        logger[metadataKey: "service"] = "recipes"
        logger[metadataKey: "machine"] = "\(configuration.machine)"
        self.configuration = configuration
        self.plc = plc
        self.writer = writer
        self.time = time
        self.logger = logger
        guarded = InterlockedPLC(plc, interlocks: configuration.interlocks)
        runner = try RecipeRunner(
            plc: plc, guarded: guarded, interlocks: configuration.interlocks,
            journal: RecipeJournal(path: configuration.journal), configuration: configuration.execution, time: time,
            logger: logger)
        reach = TableReach("the table of recipe commands", time: time, logger: logger)
        desk = table
        let wakeup = wakeup
        self.bell = bell { wakeup.signal() }
    }

    /// Carries out recipe commands until shutdown or cancellation. Then the recipe under way is aborted, its valves are
    /// closed, the machine is brought into its safe state, and what is known is written down and noted: all of it within
    /// ``Configuration/shutdownGrace``.
    public func run() async throws {
        await withTaskCancellationOrGracefulShutdownHandler {
            // What makes the machine safe must not be cancelled with its caller.
            await uncancellable { await self.serve() }
        } onCancelOrGracefulShutdown: {
            let deadline = self.time.now + self.configuration.shutdownGrace
            self.state.withLock { ($0.isStopping, $0.stopsBy) = (true, $0.stopsBy ?? deadline) }
            self.stopping.signal()
            self.wakeup.signal()
            self.noting.signal()
        }
    }

    private func serve() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.bell.run() }
            group.addTask { await self.keepHouse() }
            group.addTask { await self.recover() }
            await self.work()
            group.cancelAll()
        }
        state.withLock { $0.isEnded = true }
    }

    private func work() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.noteEnds() }
            // Beside the rest: a table that does not answer delays no valve.
            group.addTask { await self.endRun() }
            // What comes while the machine is made safe waits for a while, and is then told why it cannot be done.
            let patience = tableDeadline
            while !state.withLock({ $0.isRecovered || $0.isStopping }), time.now < patience {
                await wakeup.wait(until: patience, time: time)
            }
            while !state.withLock(\.isStopping) {
                if let command = await take() {
                    begin(command, in: &group)
                } else {
                    // A command may have been taken whose answer was lost: it is asked for again soon.
                    let interval =
                        bell.isWorking && reach.problem == nil
                        ? configuration.sweepInterval : configuration.sweepIntervalWithoutBell
                    await wakeup.wait(until: time.now + interval, time: time)
                }
            }
        }
    }

    private func take() async -> RecipeDesk.Taken? {
        let known = state.withLock(\.executing).sorted()
        return await reach.reaching("recipe commands cannot be taken") {
            try await desk.take(known: known, deadline: tableDeadline)
        } ?? nil
    }

    private func begin(_ command: RecipeDesk.Taken, in group: inout DiscardingTaskGroup) {
        // One whose lease had ended may have been adopted meanwhile: then it is judged, not carried out.
        guard state.withLock({ $0.executing.insert(command.id).inserted }) else { return }
        let log = logger(for: command)
        log.info("\(command.kind.rawValue) was asked for", metadata: ["by": "\(command.words)"])
        switch command.kind {
        case .start:
            if let obstacle = state.withLock({ $0.claim(command) }) {
                return finish(command, error: obstacle)
            }
            group.addTask { await self.perform(command, log) }
        case .stop: group.addTask { await self.stop(command) }
        case .pause: group.addTask { await self.tell(command, .pause) }
        case .resume: group.addTask { await self.tell(command, .resume) }
        }
    }

    func logger(for command: RecipeDesk.Taken) -> Logger {
        var log = logger
        log[metadataKey: "trace"] = "\(command.trace)"
        log[metadataKey: "command"] = "\(command.id)"
        return log
    }

    /// When the service stops: tells the run under way, until it has ended.
    private func endRun() async {
        while !state.withLock(\.isStopping) { await stopping.wait() }
        guard let deadline = state.withLock(\.stopsBy) else { return }
        // Time is left for what has to be written down.
        let safeBy = deadline - configuration.shutdownGrace / 4
        while state.withLock({ $0.run != nil }), time.now < deadline {
            // Again and again: a run that is just beginning hears nothing yet.
            runner.tell(.shutDown(by: safeBy))
            await stopping.wait(until: time.now + .milliseconds(20), time: time)
        }
    }

    // MARK: Status

    public var status: Status {
        let (progress, hearsBell, problem) = (runner.progress, bell.isWorking, reach.problem)
        return state.withLock { state in
            var status = state.status
            status.hearsBell = hearsBell
            status.problem = problem
            status.unnoted = state.finished.count
            status.process = state.run?.process
            status.recipe = state.run?.recipe
            status.progress = state.run == nil ? nil : progress
            status.phase = state.phase
            return status
        }
    }
}
