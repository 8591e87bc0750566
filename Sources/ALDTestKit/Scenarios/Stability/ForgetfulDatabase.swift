import ALDCore
import Foundation
import Synchronization

/// The database of a ``VirtualPlant``: it counts what is done and keeps nothing of it, so that whatever grows is the
/// terminals' own. What somebody asks for is kept until it is done.
final class ForgetfulDatabase: Sendable {
    private struct State {
        /// Names of batches, the newest: what is sent again is recognised.
        var names: [BatchID] = []
        var landed = 0
        var rows = 0
        var repeated = 0
        var order = RecordOrder()
        /// From reading to landing, of the batches since somebody asked.
        var delay = Duration.zero
        var scans = 0
        // Commands.
        var asked = 0
        var pending: [CommandDesk.Taken] = []
        var executing: [Int64: CommandDesk.Taken] = [:]
        var ended: [String: Int] = [:]
        // Recipes.
        var recipesAsked = 0
        var waiting: [RecipeDesk.Taken] = []
        var starting: RecipeDesk.Taken?
        var processes: Int64 = 0
        /// Of the newest process; empty while it runs.
        var ending = ""
        var recipeEnds: [String: Int] = [:]
        var traces: SeededGenerator
    }

    /// More than can be under way.
    private static let mostNames = 1000
    static let patience = Duration.seconds(300)

    let faults: VirtualFaults
    private let time: any TimeSource
    private let recipe: Recipe?
    private let state: Mutex<State>

    /// - Parameter recipe: the one that is asked for.
    init(faults: VirtualFaults, recipe: Recipe?, seed: UInt64, time: any TimeSource) {
        (self.faults, self.recipe, self.time) = (faults, recipe, time)
        state = Mutex(State(traces: SeededGenerator(seed: seed)))
    }

    // MARK: What a test sees and does

    /// Records that are in, each once, and the readings among them.
    var landed: Int { state.withLock(\.landed) }
    var rows: Int { state.withLock(\.rows) }
    /// Records that came again, in whatever batch.
    var repeated: Int { state.withLock(\.repeated) }
    var asked: Int { state.withLock(\.asked) }
    var recipesAsked: Int { state.withLock(\.recipesAsked) }
    /// By how they have ended.
    var commandEnds: [String: Int] { state.withLock(\.ended) }
    var recipeEnds: [String: Int] { state.withLock(\.recipeEnds) }
    var isIdle: Bool {
        state.withLock { $0.pending.isEmpty && $0.executing.isEmpty && $0.waiting.isEmpty && $0.starting == nil }
    }

    /// From reading to landing, the mean of all batches since this was asked last; `nil` when there were none.
    func takeDelay() -> Duration? {
        state.withLock { state in
            defer { (state.delay, state.scans) = (.zero, 0) }
            return state.scans > 0 ? state.delay / state.scans : nil
        }
    }

    func ask(_ target: SetPoint) {
        let now = time.wallClock
        state.withLock { state in
            state.asked += 1
            state.pending.append(
                CommandDesk.Taken(
                    id: Int64(state.asked), trace: UUID(from: &state.traces), target: target, tolerance: nil,
                    executingAt: now, remaining: Self.patience))
        }
    }

    func askForRecipe() {
        state.withLock { state in
            state.recipesAsked += 1
            state.waiting.append(
                RecipeDesk.Taken(
                    id: Int64(state.recipesAsked), trace: UUID(from: &state.traces), kind: .start, recipe: 1,
                    version: 1,
                    process: nil, requestedBy: "shift", reason: ""))
        }
    }

    private func call<Answer: Sendable>(
        _ deadline: MonotonicInstant, _ body: @Sendable (inout State) -> Answer
    ) async throws -> Answer {
        do throws(VirtualFaults.Refusal) {
            try await faults.reachDatabase(deadline: deadline)
        } catch {
            switch error {
            case .down: throw PostgresError(.connectionFailed, "the database cannot be reached", effect: .notSent)
            case .limited: throw PostgresError(.queryFailed, "too many requests", effect: .notApplied)
            case .late: throw PostgresError(.timedOut, "no answer by the deadline", effect: .notApplied)
            }
        }
        return state.withLock { body(&$0) }
    }
}

// MARK: Records

extension ForgetfulDatabase: BatchSink {
    func deliver(_ batches: [Batch], deadline: MonotonicInstant) async throws(SinkFault) -> [BatchLanding] {
        do throws(VirtualFaults.Refusal) {
            try await faults.reachDatabase(deadline: deadline)
        } catch {
            switch error {
            case .down: throw SinkFault(.unsent, "the database cannot be reached")
            case .limited: throw SinkFault(.resource, "too many requests")
            case .late: throw SinkFault(.inDoubt, "no answer by the deadline")
            }
        }
        let now = time.wallClock
        return state.withLock { state in batches.map { Self.land($0, &state, now) } }
    }

    private static func land(_ batch: Batch, _ state: inout State, _ now: Timestamp) -> BatchLanding {
        if state.names.contains(batch.id) { return .known }
        state.names.append(batch.id)
        if state.names.count > mostNames { state.names.removeFirst(mostNames / 2) }
        let repeated = state.order.repetitions(in: batch.records)
        state.repeated += repeated
        state.landed += batch.records.count - repeated
        switch batch.records {
        case .history(let rows):
            state.rows += rows.count - repeated
            guard let first = rows.first else { break }
            state.delay += .microseconds(now.microseconds - first.time.microseconds)
            state.scans += 1
        case .processEvents(let events):
            for event in events
            where event.kind == .state && ["completed", "failed", "aborted"].contains(event.text)
                && event.process == state.processes && state.ending.isEmpty
            {
                state.ending = event.text
                state.recipeEnds[event.text, default: 0] += 1
            }
        default: break
        }
        return .landed
    }

    func void(
        _ batch: Batch, as cut: BatchCut, deadline: MonotonicInstant
    ) async throws(SinkFault) -> BatchClosing { .closed(cut) }
}

// MARK: Commands

extension ForgetfulDatabase: ParameterCommandTable {
    func take(limit: Int, known: Set<Int64>, deadline: MonotonicInstant) async throws -> [CommandDesk.Taken] {
        try await call(deadline) { state in
            var given = state.executing.values.filter { !known.contains($0.id) }
            var busy = Set(state.executing.values.map(\.target.parameter))
            state.pending.removeAll { command in
                guard given.count < limit, busy.insert(command.target.parameter).inserted else { return false }
                state.executing[command.id] = command
                given.append(command)
                return true
            }
            return given.sorted { $0.id < $1.id }
        }
    }

    func adopt(deadline: MonotonicInstant) async throws -> [CommandDesk.Taken] { try await call(deadline) { _ in [] } }

    func begun(deadline: MonotonicInstant) async throws -> [Int64] {
        try await call(deadline) { $0.executing.keys.sorted() }
    }

    func renew(_ ids: [Int64], deadline: MonotonicInstant) async throws -> Set<Int64> {
        try await call(deadline) { _ in [] }
    }

    func finish(_ finished: [CommandDesk.Finished], deadline: MonotonicInstant) async throws -> Set<Int64> {
        try await call(deadline) { state in
            for end in finished where state.executing.removeValue(forKey: end.id) != nil {
                state.ended[end.ending.words.status, default: 0] += 1
            }
            return Set(finished.map(\.id))
        }
    }
}

// MARK: Recipes

/// The same database as the recipe service sees it: both tables have functions of one name.
struct ForgetfulRecipes: RecipeTable {
    let database: ForgetfulDatabase

    func take(known: [Int64], deadline: MonotonicInstant) async throws -> RecipeDesk.Taken? {
        try await database.takeRecipe(known: known, deadline: deadline)
    }

    func adopt(deadline: MonotonicInstant) async throws -> [RecipeDesk.Taken] { [] }
    func renew(_ ids: [Int64], deadline: MonotonicInstant) async throws {}

    func finish(_ finished: RecipeDesk.Finished, deadline: MonotonicInstant) async throws -> Bool? {
        try await database.finishRecipe(finished, deadline: deadline)
    }

    func load(_ command: RecipeDesk.Taken, deadline: MonotonicInstant) async throws -> Recipe {
        try await database.loadRecipe(deadline: deadline)
    }

    func idleConditions(deadline: MonotonicInstant) async throws -> [IdleCondition] { [] }
    func readbackTolerances(deadline: MonotonicInstant) async throws -> [ParameterID: Double] { [:] }

    func begin(
        _ command: RecipeDesk.Taken, steps: Int64, valves: [Int32], deadline: MonotonicInstant
    ) async throws -> Result<Int64, RecipeStore.Problem> {
        .success(try await database.beginProcess(deadline: deadline))
    }

    func open(deadline: MonotonicInstant) async throws -> [RecipeDesk.LeftProcess] { [] }

    func outcome(
        of command: RecipeDesk.Taken, deadline: MonotonicInstant
    ) async throws -> (process: Int64, status: String, error: String?)? {
        try await database.processOutcome(deadline: deadline)
    }
}

extension ForgetfulDatabase {
    fileprivate func takeRecipe(known: [Int64], deadline: MonotonicInstant) async throws -> RecipeDesk.Taken? {
        try await call(deadline) { state in
            if let starting = state.starting { return known.contains(starting.id) ? nil : starting }
            guard !state.waiting.isEmpty else { return nil }
            state.starting = state.waiting.removeFirst()
            return state.starting
        }
    }

    fileprivate func finishRecipe(
        _ finished: RecipeDesk.Finished, deadline: MonotonicInstant
    ) async throws -> Bool? {
        try await call(deadline) { state in
            if finished.process != nil, state.ending.isEmpty { return false }
            // One that never began has no process that could say so.
            if finished.process == nil, finished.error != nil { state.recipeEnds["refused", default: 0] += 1 }
            if state.starting?.id == finished.id { state.starting = nil }
            return true
        }
    }

    fileprivate func loadRecipe(deadline: MonotonicInstant) async throws -> Recipe {
        guard let recipe else { throw RecipeStore.Problem(code: .notFound, description: "there is no recipe") }
        return try await call(deadline) { _ in recipe }
    }

    fileprivate func beginProcess(deadline: MonotonicInstant) async throws -> Int64 {
        try await call(deadline) { state in
            state.processes += 1
            state.ending = ""
            return state.processes
        }
    }

    fileprivate func processOutcome(
        deadline: MonotonicInstant
    ) async throws -> (process: Int64, status: String, error: String?)? {
        try await call(deadline) { state in
            state.processes == 0 ? nil : (process: state.processes, status: state.ending, error: nil)
        }
    }
}

/// A bell that nobody rings: commands are looked for now and then.
final class SilentBell: Doorbell {
    private let silence = Wakeup()

    let isWorking = true

    func run() async { await silence.wait() }
}
