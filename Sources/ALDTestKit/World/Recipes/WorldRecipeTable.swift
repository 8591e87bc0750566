import ALDCore
import Foundation
import Synchronization

/// The tables of recipe commands and processes in a ``World``'s database: the ``RecipeQueueModel`` behind the faults of
/// its server. A restore does not reach them: what becomes of a run that its database forgets is left to real ones.
final class WorldRecipeTable: Sendable {
    private struct State {
        var queue: RecipeQueueModel
        var traces: SeededGenerator
    }

    private let server: WorldServer
    /// Of the terminals that run recipes.
    let bells: WorldBells
    private let recipes: [Recipe]
    private let state: Mutex<State>

    /// - Parameter recipes: those that may be asked for, numbered from 1.
    init(_ database: WorldDatabase, recipes: [Recipe], lease: Duration) {
        (server, self.recipes) = (database.server, recipes)
        bells = WorldBells(server)
        state = Mutex(
            State(
                queue: RecipeQueueModel(lease: lease), traces: database.server.world.stream("traces of recipes")))
        database.onProcessEvents { [weak self] events in self?.follow(events) }
    }

    var queue: RecipeQueueModel { state.withLock(\.queue) }
    var isIdle: Bool { state.withLock { $0.queue.openCommands == 0 && $0.queue.running == nil } }
    var running: Int64? { state.withLock { $0.queue.running?.id } }

    /// Somebody asks for a recipe, or for the end of a process, while the server is there.
    func ask(_ kind: RecipeDesk.Kind, recipe: Int64? = nil, process: Int64? = nil, timeout: Duration) {
        if server.faults.isDown { return }
        let id = state.withLock { state in
            let command = RecipeQueueModel.Command(
                id: 0, trace: UUID(from: &state.traces), kind: kind, recipe: recipe, process: process,
                notAfter: server.now + timeout)
            return state.queue.ask(command)
        }
        server.world.note("recipe command \(id): \(kind.rawValue) \(recipe ?? process ?? 0) within \(timeout)")
        bells.ring()
    }

    private func follow(_ events: [ProcessEvent]) {
        for event in events where event.kind == .state {
            server.world.note("process \(event.process) is \(event.text)")
        }
        state.withLock { $0.queue.follow(events) }
    }

    /// The tables as the terminal called `worker` sees them.
    func desk(of worker: String) -> some RecipeTable { Desk(table: self, worker: worker) }

    private struct Desk: RecipeTable {
        let table: WorldRecipeTable
        let worker: String

        func take(known: [Int64], deadline: MonotonicInstant) async throws -> RecipeDesk.Taken? {
            try await table.call(deadline) { queue, now in
                let taken = queue.take(worker, known: Set(known), now: now)
                if let taken { table.server.world.note("recipe command \(taken.id) is given to \(worker)") }
                return taken.map { RecipeDesk.Taken($0) }
            }
        }

        func adopt(deadline: MonotonicInstant) async throws -> [RecipeDesk.Taken] {
            try await table.call(deadline) { queue, now in
                queue.adopt(worker, now: now).map { command in
                    table.server.world.note("recipe command \(command.id) is left to \(worker)")
                    return RecipeDesk.Taken(command)
                }
            }
        }

        func renew(_ ids: [Int64], deadline: MonotonicInstant) async throws {
            try await table.call(deadline) { $0.renew(ids, worker, now: $1) }
        }

        func finish(_ finished: RecipeDesk.Finished, deadline: MonotonicInstant) async throws -> Bool? {
            try await table.call(deadline) { queue, _ in queue.finish(finished, worker) }
        }

        func load(_ command: RecipeDesk.Taken, deadline: MonotonicInstant) async throws -> Recipe {
            let recipe = command.recipe.flatMap { number in
                table.recipes.indices.contains(Int(number) - 1) ? table.recipes[Int(number) - 1] : nil
            }
            guard let recipe else { throw RecipeStore.Problem(code: .notFound, description: "there is no such recipe") }
            return try await table.call(deadline) { _, _ in recipe }
        }

        func idleConditions(deadline: MonotonicInstant) async throws -> [IdleCondition] {
            try await table.call(deadline) { _, _ in [] }
        }

        func readbackTolerances(deadline: MonotonicInstant) async throws -> [ParameterID: Double] {
            try await table.call(deadline) { _, _ in [:] }
        }

        func begin(
            _ command: RecipeDesk.Taken, steps: Int64, valves: [Int32], deadline: MonotonicInstant
        ) async throws -> Result<Int64, RecipeStore.Problem> {
            try await table.call(deadline) { queue, now in
                let valves = valves.map(ParameterID.init(rawValue:))
                return queue.begin(command.id, worker, steps: steps, valves: valves, now: now)
            }
        }

        func open(deadline: MonotonicInstant) async throws -> [RecipeDesk.LeftProcess] {
            try await table.call(deadline) { queue, _ in
                guard let process = queue.running, let command = queue.commands[process.command] else { return [] }
                let label = RecipeDesk.label(of: process.id, trace: command.trace)
                return [
                    RecipeDesk.LeftProcess(
                        id: process.id, step: nil, completed: 0, total: process.steps, isOurs: command.worker == worker,
                        entry: RecipeJournal.Entry(label: label, valves: process.valves, process: process.id))
                ]
            }
        }

        func outcome(
            of command: RecipeDesk.Taken, deadline: MonotonicInstant
        ) async throws -> (process: Int64, status: String, error: String?)? {
            try await table.call(deadline) { queue, _ in
                queue.outcome(of: command).map { (process: $0.id, status: $0.ending ?? "", error: $0.error) }
            }
        }
    }

    private func call<Answer: Sendable>(
        _ deadline: MonotonicInstant,
        _ body: @escaping @Sendable (inout RecipeQueueModel, MonotonicInstant) -> Answer
    ) async throws -> Answer {
        do throws(WorldServer.Failure) {
            return try await server.call(deadline: deadline) {
                self.state.withLock { body(&$0.queue, self.server.now) }
            }
        } catch {
            throw PostgresError(error)
        }
    }
}

extension RecipeDesk.Taken {
    fileprivate init(_ command: RecipeQueueModel.Command) {
        self.init(
            id: command.id, trace: command.trace, kind: command.kind, recipe: command.recipe,
            version: command.recipe.map { _ in 1 }, process: command.process, requestedBy: "operator", reason: "")
    }
}
