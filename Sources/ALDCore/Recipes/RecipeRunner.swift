public import Logging
import Synchronization

/// Runs recipes on a controller, one at a time.
///
/// It does what a ``RecipeMachine`` decides. Before the first output is written the ``RecipeJournal`` holds what the
/// recipe may open, and only when everything is closed again does it say so: after a crash ``recover(by:observer:)``
/// closes what the earlier process may have left open.
public final class RecipeRunner: Sendable {
    public typealias Ending = RecipeMachine.Ending

    /// What a run tells as it goes on: called after every action, from one task, in order. It must not wait; what takes
    /// time is handed on.
    public typealias Observer = @Sendable ([RecipeMachine.Record], RecipeMachine.Progress) -> Void

    private let plc: any PLC
    private let guarded: InterlockedPLC?
    private let interlocks: Interlocks
    private let configuration: RecipeMachine.Configuration
    /// What is read to see whether the controller is there.
    private let sign: ParameterID?
    private let journal: RecipeJournal
    private let time: any TimeSource
    private let logger: Logger
    private let state = Mutex(State())
    private let wakeup = Wakeup()

    private struct State {
        var isRunning = false
        /// A run of this process that has ended with everything closed, and whose journal could not say so.
        var closed: RecipeJournal.Entry?
        /// Runs of which it was said that they opened what nobody here can close.
        var strange: Set<String> = []
        var events: [RecipeMachine.Event] = []
        var progress: RecipeMachine.Progress?
    }

    /// How long a run that is cancelled may take to bring the machine into its safe state.
    private static let cancellationGrace: Duration = .seconds(10)

    /// - Parameter guarded: what everybody else in this process writes through. It keeps the valves of a run from them.
    /// - Throws: everything that is wrong with the interlocks or the configuration.
    public init(
        plc: any PLC, guarded: InterlockedPLC? = nil, interlocks: Interlocks, journal: RecipeJournal,
        configuration: RecipeMachine.Configuration = RecipeMachine.Configuration(), time: any TimeSource = SystemTime(),
        logger: Logger
    ) throws(ConfigurationProblems) {
        try configuration.validate()
        if let problems = ConfigurationProblems(interlocks.problems(on: plc.registerMap)) { throw problems }
        self.plc = plc
        sign = plc.registerMap.parameters.first(where: \.isWritable)?.id
        self.guarded = guarded
        self.interlocks = interlocks
        self.configuration = configuration
        self.journal = journal
        self.time = time
        self.logger = logger
    }

    /// Why a run did not begin. Nothing was written.
    public enum Refusal: Error, Hashable, Sendable, CustomStringConvertible {
        /// Another run is under way.
        case busy
        case unsound([RecipeRules.Problem])
        /// The controller could not be read: a recipe never runs without hardware.
        case controller(String)
        /// A valve of an exclusive group that the recipe uses is open.
        case open([ParameterID])
        /// What an earlier run may have left open is not closed yet.
        case unsecured([SetPoint])
        case journal(String)

        public var description: String {
            switch self {
            case .busy: "another recipe is running; stop it first"
            case .unsound(let problems): "the recipe cannot run: \(problems.map(\.description).joined(separator: "; "))"
            case .controller(let reason): "the controller cannot be read, and no recipe runs without it: \(reason)"
            case .open(let valves):
                "open already, and interlocked with valves of the recipe: \(valves.map(\.description).joined(separator: ", "))"
            case .unsecured(let points):
                "an earlier run may have left open: \(points.map(\.parameter.description).joined(separator: ", ")); "
                    + "reach the controller first"
            case .journal(let reason): "the journal cannot be written, so a crash could leave a valve open: \(reason)"
            }
        }
    }

    /// Where the run under way is; `nil` between runs.
    public var progress: RecipeMachine.Progress? { state.withLock(\.progress) }

    /// What the run under way can be told.
    public enum Request: Hashable, Sendable {
        /// At once, by whom or why.
        case stop(String)
        /// After the step under way, until it is told to resume.
        case pause
        case resume
        /// The process ends: what can be made safe by then is.
        case shutDown(by: MonotonicInstant)

        var event: RecipeMachine.Event {
            switch self {
            case .stop(let reason): .stop(reason)
            case .pause: .pause
            case .resume: .resume
            case .shutDown(let deadline): .shutDown(by: deadline)
            }
        }
    }

    /// Tells the run under way.
    ///
    /// - Returns: whether there is one; otherwise nothing happens.
    @discardableResult
    public func tell(_ request: Request) -> Bool {
        let isHeard = state.withLock { state in
            if state.isRunning { state.events.append(request.event) }
            return state.isRunning
        }
        wakeup.signal()
        return isHeard
    }

    /// Runs `recipe` from now on, and returns when the machine is safe again. Cancellation aborts the run and is heard at
    /// once; the machine is brought into its safe state all the same, for at most ten seconds.
    ///
    /// - Parameters:
    ///   - label: who started what, for the journal and the log; no two runs share one.
    ///   - process: the run in the database, for the journal.
    ///   - tolerances: how far set points may read back from what was written, in their units, in place of those of the
    ///     configuration.
    /// - Throws: ``Refusal`` before anything is written.
    public func run(
        _ recipe: Recipe, label: String, process: Int64? = nil, tolerances: [ParameterID: Double] = [:],
        observer: @escaping Observer
    ) async throws -> Ending {
        guard claim() else { throw Refusal.busy }
        defer { endClaim() }
        let beingOpened = guarded?.reserve(watched(by: recipe)) ?? []
        guard beingOpened.isEmpty else { throw Refusal.open(beingOpened.sorted()) }
        defer { guarded?.release() }
        try await check(recipe)
        let valves = recipe.outline.compactMap { if case .valve(let valve, _) = $0.step.kind { valve } else { nil } }
        let entry = RecipeJournal.Entry(label: label, valves: Set(valves).sorted(), process: process)
        do throws(RecipeJournal.Failure) {
            try journal.begin(entry)
        } catch {
            throw Refusal.journal("\(error)")
        }
        var configuration = configuration
        configuration.tolerances.merge(tolerances) { $1 }
        let machine = try RecipeMachine(
            recipe, interlocks: interlocks, configuration: configuration, start: time.now)
        return await drive(machine, ending: entry, observer: observer)
    }

    /// Closes what a run of an earlier process may have left open, and brings the machine into its safe state.
    ///
    /// - Returns: that run; `nil` when none was cut off.
    /// - Throws: ``Refusal/unsecured(_:)`` when that did not succeed until `deadline`; call it again.
    public func recover(
        by deadline: MonotonicInstant, observer: @escaping Observer = { _, _ in }
    ) async throws -> RecipeJournal.Entry? {
        guard claim() else { throw Refusal.busy }
        defer { endClaim() }
        guard let entry = try pendingRun() else { return nil }
        try await secure(entry, by: deadline, observer: observer)
        return entry
    }

    /// The same for a run that others say was left and of which the journal may know nothing, because it was begun in
    /// another place.
    ///
    /// - Returns: `nil` when the journal says that everything was closed by then; nothing is written.
    func recover(
        _ entry: RecipeJournal.Entry, by deadline: MonotonicInstant, observer: @escaping Observer
    ) async throws -> RecipeJournal.Entry? {
        guard claim() else { throw Refusal.busy }
        defer { endClaim() }
        do throws(RecipeJournal.Failure) {
            if try journal.lastEnded() == entry.label { return nil }
        } catch {
            throw Refusal.journal("\(error)")
        }
        if let left = try pendingRun() { throw Refusal.unsecured(left.valves.map { SetPoint($0, 0) }) }
        try await secure(entry, by: deadline, observer: observer)
        return entry
    }

    /// Whether a run was cut off, or has not been closed yet.
    func hasPendingRun() throws -> Bool { try pendingRun() != nil }

    /// Closes what a run of an earlier process may have left open, and leaves the journal as it is: somebody who can write
    /// down what was done does it again.
    ///
    /// - Parameter leavesBy: when somebody wants it to end; asked once, when it can be told with ``tell(_:)``.
    /// - Returns: `nil` when no run was cut off.
    func secureWithoutEnd(
        leavesBy: () -> MonotonicInstant?
    ) async throws -> (entry: RecipeJournal.Entry, unsecured: [SetPoint])? {
        guard claim() else { throw Refusal.busy }
        defer { endClaim() }
        guard let entry = try pendingRun() else { return nil }
        var machine = try RecipeMachine(
            securing: known(entry), interlocks: interlocks, configuration: configuration, now: time.now)
        if let deadline = leavesBy() { machine.happened(.shutDown(by: deadline), now: time.now) }
        return (entry, await drive(machine, ending: nil) { _, _ in }.unsecured)
    }

    private func secure(
        _ entry: RecipeJournal.Entry, by deadline: MonotonicInstant, observer: @escaping Observer
    ) async throws {
        var machine = try RecipeMachine(
            securing: known(entry), interlocks: interlocks, configuration: configuration, now: time.now)
        machine.happened(.shutDown(by: deadline), now: time.now)
        let ending = await drive(machine, ending: entry, observer: observer)
        guard ending.unsecured.isEmpty else { throw Refusal.unsecured(ending.unsecured) }
    }

    /// The valves of a run without those that this controller does not have: nobody here can close them.
    private func known(_ entry: RecipeJournal.Entry) -> [ParameterID] {
        let unknown = entry.valves.filter { plc.registerMap[$0]?.isWritable != true }
        if !unknown.isEmpty, state.withLock({ $0.strange.insert(entry.label).inserted }) {
            logger.critical(
                "a run was left that opened what the register map does not have; close it by hand",
                metadata: ["run": "\(entry.label)", "parameters": "\(unknown.map(\.description))"])
        }
        return entry.valves.filter { !unknown.contains($0) }
    }

    private func claim() -> Bool {
        state.withLock { state in
            defer { state.isRunning = true }
            return !state.isRunning
        }
    }

    private func endClaim() {
        state.withLock { $0 = State(closed: $0.closed, strange: $0.strange) }
    }

    /// What the journal calls begun and not ended, but for what this process knows better: that is caught up on here.
    private func pendingRun() throws(Refusal) -> RecipeJournal.Entry? {
        do throws(RecipeJournal.Failure) {
            guard let entry = try journal.pending() else { return nil }
            guard entry == state.withLock(\.closed) else { return entry }
            try journal.end(entry)
            state.withLock { $0.closed = nil }
            return nil
        } catch {
            throw .journal("\(error)")
        }
    }

    /// The gate before a run: the recipe fits the machine, the controller answers, and nothing is open that excludes
    /// what the recipe opens.
    private func check(_ recipe: Recipe) async throws {
        let problems = RecipeRules(plc.registerMap, interlocks: interlocks).problems(of: recipe)
        guard problems.isEmpty else { throw Refusal.unsound(problems) }
        if let left = try pendingRun() { throw Refusal.unsecured(left.valves.map { SetPoint($0, 0) }) }
        var open: [ParameterID] = []
        do throws(PLCError) {
            for valve in watched(by: recipe).sorted() {
                let value = try await plc.readSetPoint(of: valve, deadline: time.now + configuration.callTimeout)
                if value != 0 { open.append(valve) }
            }
            // A recipe of waits alone needs its controller, too.
            _ = try await plc.scan(deadline: time.now + .seconds(1))
        } catch {
            throw Refusal.controller("\(error)")
        }
        guard open.isEmpty else { throw Refusal.open(open) }
    }

    /// The valves of the recipe and those that they exclude.
    private func watched(by recipe: Recipe) -> Set<ParameterID> {
        var valves: Set<ParameterID> = []
        for (step, _) in recipe.outline {
            guard case .valve(let valve, _) = step.kind else { continue }
            valves.insert(valve)
            valves.formUnion(interlocks.excluded(by: valve))
        }
        return valves
    }

    // MARK: Driving

    /// - Parameter entry: what the journal says is over when everything is closed; `nil` leaves the journal alone.
    private func drive(
        _ machine: RecipeMachine, ending entry: RecipeJournal.Entry?, observer: @escaping Observer
    ) async -> Ending {
        await withTaskCancellationHandler {
            // What makes the machine safe must not be cancelled with its caller.
            await uncancellable { await self.act(machine, ending: entry, observer: observer) }
        } onCancel: {
            self.tell(.shutDown(by: self.time.now + Self.cancellationGrace))
        }
    }

    private func act(
        _ machine: RecipeMachine, ending entry: RecipeJournal.Entry?, observer: Observer
    ) async -> Ending {
        var machine = machine
        while true {
            for event in takeEvents() { machine.happened(event, now: time.now) }
            let action = machine.next(now: time.now)
            publish(&machine, observer)
            switch action {
            case .write(let point, let deadline):
                let failure = await plc.tryWriting(point, by: deadline)
                machine.happened(failure.map { .writeFailed($0) } ?? .written, now: time.now)
            case .readBack(let parameter, let deadline):
                switch await plc.tryReading(parameter, by: deadline) {
                case .success(let value): machine.happened(.readBack(value), now: time.now)
                case .failure(let error): machine.happened(.readBackFailed("\(error)"), now: time.now)
                }
            case .look(let valves, let deadline):
                switch await untilTold({ await self.plc.tryLooking(at: valves, by: deadline) }) {
                case .success(let values)?: machine.happened(.saw(values), now: time.now)
                case .failure(let error)?: machine.happened(.sawNothing("\(error)"), now: time.now)
                case nil: machine.happened(.sawNothing(Self.givenUp), now: time.now)
                }
            case .probe(let deadline):
                let silence = await untilTold { await self.plc.tryReaching(self.sign, by: deadline) } ?? Self.givenUp
                machine.happened(silence.map { .absent($0) } ?? .present, now: time.now)
            case .wait(let until): await wakeup.wait(until: until, time: time)
            case .listen: await wakeup.wait()
            case .finish(let ending):
                if let entry, ending.unsecured.isEmpty { closeJournal(entry) }
                return ending
            }
        }
    }

    /// Asks something that nobody depends on: whoever wants something of the run is heard at once, and the question is given
    /// up.
    ///
    /// - Returns: `nil` when it was.
    private func untilTold<Answer: Sendable>(_ question: @escaping @Sendable () async -> Answer) async -> Answer? {
        await withTaskGroup(of: Answer?.self) { group in
            group.addTask { await question() }
            group.addTask {
                await self.wakeup.wait()
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first
        }
    }

    private static let givenUp = "the question was given up for something more urgent"

    private func takeEvents() -> [RecipeMachine.Event] {
        state.withLock { state in
            defer { state.events = [] }
            return state.events
        }
    }

    private func publish(_ machine: inout RecipeMachine, _ observer: Observer) {
        let (records, progress) = (machine.takeRecords(), machine.progress)
        state.withLock { $0.progress = progress }
        if !records.isEmpty { observer(records, progress) }
    }

    /// The machine is safe; a journal that cannot say so is caught up on before the next run, or makes the next process close
    /// valves that are closed.
    private func closeJournal(_ entry: RecipeJournal.Entry) {
        do throws(RecipeJournal.Failure) {
            try journal.end(entry)
        } catch {
            state.withLock { $0.closed = entry }
            logger.error(
                "the recipe journal cannot be emptied", metadata: ["run": "\(entry.label)", "reason": "\(error)"])
        }
    }
}
