public import Logging
public import ServiceLifecycle
import Synchronization

/// Keeps the set points of the database as the machine has them: the machine wins.
///
/// Part of Terminal 1 and not essential to it: while the controller or the database is slow it looks less often, so that
/// the readings have the link for themselves. With each look it learns what people have changed of the parameters, their
/// limits for instance. A command in flight on a parameter keeps it away from that one, so the two cannot undo each
/// other's work. What nobody here has asked for is noted in `set_point_changes` and in the log.
public final class SetPointSynchroniser: Service {
    public struct Configuration: Hashable, Sendable {
        /// Between two looks. Defaults to 1 s.
        public var interval: Duration = .seconds(1)
        /// The same in degraded mode. Defaults to 10 s.
        public var degradedInterval: Duration = .seconds(10)
        /// How long the machine may take to say its set points. Defaults to 500 ms.
        public var readTimeout: Duration = .milliseconds(500)
        /// How long one call to the database may take. Defaults to 1 s.
        public var callTimeout: Duration = .seconds(1)

        public init() {}

        /// - Throws: every setting that is out of its range.
        public func validate() throws(ConfigurationProblems) {
            let durations = [
                ("interval", interval), ("degradedInterval", degradedInterval), ("readTimeout", readTimeout),
                ("callTimeout", callTimeout),
            ]
            var problems = durations.filter { $0.1 <= .zero }.map { "\($0.0) is \($0.1); it must be longer than zero" }
            if degradedInterval < interval {
                problems.append("degradedInterval is \(degradedInterval); it must not be shorter than the interval")
            }
            if let problems = ConfigurationProblems(problems) { throw problems }
        }
    }

    /// What it has done since it was created.
    public struct Statistics: Hashable, Sendable {
        public internal(set) var rounds = 0
        /// Looks that came to nothing.
        public internal(set) var failures = 0
        public internal(set) var synchronised = 0
        /// Changes that nobody here had asked for.
        public internal(set) var external = 0
        /// Left alone because a command was under way.
        public internal(set) var busy = 0
        /// Set points at the machine that no command may write, in the last round.
        public internal(set) var refused = 0
        /// Why the last look came to nothing; `nil` when it did not.
        public internal(set) var problem: String?
        /// Whether the database is slow.
        public internal(set) var isDatabaseSlow = false
    }

    private struct State {
        var statistics = Statistics()
        var decisions = SetPointSynchronisation()
        var database = DegradedMode()
        var reports = ReportThrottle<String>()
    }

    private let plc: any PLC
    private let desk: SetPointDesk
    private let metadata: MetadataCache
    private let configuration: Configuration
    private let isDegraded: @Sendable () -> Bool
    private let time: any TimeSource
    private let logger: Logger
    private let state = Mutex(State())

    /// - Parameters:
    ///   - metadata: is renewed with every look.
    ///   - isDegraded: whether the essential work needs the link; must not wait.
    /// - Throws: every setting that is out of its range.
    public init(
        plc: any PLC, pool: ConnectionPool, machine: Int32, metadata: MetadataCache,
        configuration: Configuration = Configuration(), isDegraded: @escaping @Sendable () -> Bool = { false },
        time: any TimeSource = SystemTime(), logger: Logger
    ) throws(ConfigurationProblems) {
        try configuration.validate()
        self.plc = plc
        desk = SetPointDesk(pool: pool, machine: machine)
        self.metadata = metadata
        self.configuration = configuration
        self.isDegraded = isDegraded
        self.time = time
        self.logger = logger
    }

    public var statistics: Statistics { state.withLock(\.statistics) }

    /// Looks until shutdown or cancellation; never two looks at a time.
    public func run() async throws {
        await cancelWhenGracefulShutdown {
            // Between two readings of a collection that began with us, not beside one.
            var next = self.time.now + self.configuration.interval / 2
            while !Task.isCancelled {
                do { try await self.time.sleep(until: next) } catch { return }
                await self.look()
                let isSlow = self.isDegraded() || self.statistics.isDatabaseSlow
                let interval = isSlow ? self.configuration.degradedInterval : self.configuration.interval
                // A look that took longer than its interval makes those that it covered fall out.
                repeat { next = next + interval } while next <= self.time.now
            }
        }
    }

    /// One look: database, machine, and the database again where they differ.
    func look() async {
        var spent = Duration.zero
        do {
            let known = try await timed(&spent) {
                try await self.desk.fetch(deadline: self.time.now + self.configuration.callTimeout)
            }
            guard let asOf = known.asOf else { return failed("the database has no parameters of this machine") }
            if metadata.renew(
                MachineMetadata(machine: desk.machine, entries: known.points.mapValues(\.entry)))
            {
                logger.info("the parameters' limits and tolerances are others now")
            }
            let seen = try await plc.readSetPoints(deadline: time.now + configuration.readTimeout)
            let different = SetPointSynchronisation.differences(seen: seen, known: known.points)
            var outcomes: [SetPointSynchronisation.Outcome] = []
            if !different.isEmpty {
                let previous = state.withLock { state in
                    different.map { state.decisions.previous($0.parameter) }
                }
                outcomes = try await timed(&spent) {
                    try await self.desk.synchronise(
                        different, previous: previous, since: asOf,
                        deadline: self.time.now + self.configuration.callTimeout)
                }
            }
            state.withLock { $0.decisions.keep(seen, different: different, outcomes) }
            succeeded(outcomes, seen: seen, databaseTook: spent)
        } catch {
            if Task.isCancelled { return }
            if error is PLCError { note(databaseTook: spent) } else { note(databaseTook: configuration.callTimeout) }
            failed("\(error)")
        }
    }

    private func timed<Value: Sendable>(
        _ spent: inout Duration, _ body: () async throws -> Value
    ) async throws -> Value {
        let began = time.now
        let value = try await body()
        spent += time.now - began
        return value
    }

    private func note(databaseTook spent: Duration) {
        let change = state.withLock { state in
            defer { state.statistics.isDatabaseSlow = state.database.isDegraded }
            return state.database.happened(took: spent, of: configuration.callTimeout)
        }
        switch change {
        case .begins: logger.warning("the database is slow; set points are compared less often")
        case .ends: logger.notice("the database is fast again")
        case nil: break
        }
    }

    private func succeeded(
        _ outcomes: [SetPointSynchronisation.Outcome], seen: [ParameterID: Double], databaseTook spent: Duration
    ) {
        note(databaseTook: spent)
        let news = state.withLock { state -> [SetPointSynchronisation.Outcome] in
            func count(_ kind: SetPointSynchronisation.Outcome.Kind) -> Int { outcomes.count { $0.kind == kind } }
            state.statistics.rounds += 1
            state.statistics.problem = nil
            state.reports.reset()
            state.statistics.synchronised += count(.synchronised)
            state.statistics.external += count(.external)
            state.statistics.busy += count(.busy)
            state.statistics.refused = count(.refused)
            state.decisions.keepRefusals(Set(outcomes.filter { $0.kind == .refused }.map(\.parameter)))
            return outcomes.filter { state.decisions.isNews($0, of: seen[$0.parameter]) }
        }
        for outcome in news {
            let name = plc.registerMap[outcome.parameter]?.qualifiedName ?? "\(outcome.parameter)"
            var metadata: Logger.Metadata = [
                "parameter": "\(name)", "was": "\(outcome.previous.map { "\($0)" } ?? "not known")",
                "is": "\(seen[outcome.parameter].map { "\($0)" } ?? "")",
            ]
            if let problem = outcome.problem { metadata["problem"] = "\(problem)" }
            if outcome.kind == .external {
                logger.notice("a set point was changed at the machine", metadata: metadata)
            } else {
                logger.warning("the machine has a set point that no command may write", metadata: metadata)
            }
        }
    }

    private func failed(_ reason: String) {
        let isDue = state.withLock { state in
            state.statistics.failures += 1
            state.statistics.problem = reason
            return state.reports.isDue("look", now: time.now)
        }
        if isDue { logger.info("set points were not compared", metadata: ["reason": "\(reason)"]) }
    }
}
