import ALDCore
import Foundation
import Synchronization

/// The table of parameter commands in a ``World``'s database: the ``CommandQueueModel`` behind the faults of its
/// server.
final class WorldCommandTable: Sendable {
    private struct State {
        var queue: CommandQueueModel
        var traces: SeededGenerator
        /// Of each command that nobody has taken, how often the bell had been heard when it was asked for.
        var heard: [Int64: Int] = [:]
        /// Terminals that have asked for commands.
        var workers: Set<String> = []
        var swept = 0
    }

    private let server: WorldServer
    /// Of the terminals that execute commands.
    let bells: WorldBells
    private let state: Mutex<State>

    init(_ server: WorldServer, lease: Duration, bug: MachineDay.PlantedBug?) {
        self.server = server
        bells = WorldBells(server, isLostForEver: bug == .losesTheBell)
        state = Mutex(
            State(
                queue: CommandQueueModel(lease: lease, keepsOrder: bug != .forgetsOrder),
                traces: server.world.stream("traces")))
    }

    var queue: CommandQueueModel { state.withLock(\.queue) }
    /// How many commands were taken that no bell had told of, and no start.
    var swept: Int { state.withLock(\.swept) }
    var openCommands: Int { state.withLock(\.queue.openCommands) }

    /// Somebody asks for a value to be written within `timeout`, while the server is there.
    func ask(_ target: SetPoint, timeout: Duration) {
        if server.faults.isDown { return }
        let id = state.withLock { state in
            let trace = UUID(from: &state.traces)
            let id = state.queue.ask(target, trace: trace, notAfter: server.now + timeout, now: server.now)
            state.heard[id] = bells.heard
            return id
        }
        server.world.note("command \(id): \(target.parameter) to \(target.value) within \(timeout)")
        bells.ring()
    }

    /// - Returns: how many changes the server has forgotten.
    @discardableResult func restore(to instant: MonotonicInstant) -> Int {
        state.withLock { $0.queue.restore(to: instant) }
    }

    /// The table as the terminal called `worker` sees it.
    func desk(of worker: String) -> some ParameterCommandTable { Desk(table: self, worker: worker) }

    private struct Desk: ParameterCommandTable {
        let table: WorldCommandTable
        let worker: String

        func take(limit: Int, known: Set<Int64>, deadline: MonotonicInstant) async throws -> [CommandDesk.Taken] {
            try await table.give(to: worker, deadline) { state, now in
                let taken = state.queue.take(worker, limit: limit, known: known, now: now)
                let isFirst = state.workers.insert(worker).inserted
                for command in taken {
                    guard let heard = state.heard.removeValue(forKey: command.id) else { continue }
                    if !isFirst, heard == table.bells.heard { state.swept += 1 }
                }
                return taken
            }
        }

        func adopt(deadline: MonotonicInstant) async throws -> [CommandDesk.Taken] {
            try await table.give(to: worker, deadline) { $0.queue.adopt(worker, now: $1) }
        }

        func begun(deadline: MonotonicInstant) async throws -> [Int64] {
            try await table.call(deadline) { state, _ in state.queue.begun(worker) }
        }

        func renew(_ ids: [Int64], deadline: MonotonicInstant) async throws -> Set<Int64> {
            try await table.call(deadline) { state, now in state.queue.renew(ids, worker, now: now) }
        }

        func finish(_ finished: [CommandDesk.Finished], deadline: MonotonicInstant) async throws -> Set<Int64> {
            let noted = try await table.call(deadline) { state, now in state.queue.finish(finished, worker, now: now) }
            for end in finished where noted.contains(end.id) {
                table.server.world.note("command \(end.id) has \(end.ending.words.status)")
            }
            return noted
        }
    }

    private func give(
        to worker: String, _ deadline: MonotonicInstant,
        _ body: @escaping @Sendable (inout State, MonotonicInstant) -> [CommandQueueModel.Command]
    ) async throws -> [CommandDesk.Taken] {
        try await call(deadline) { state, now in
            body(&state, now).map { command in
                let how = command.isAdopted ? "left to" : "given to"
                self.server.world.note("command \(command.id) is \(how) \(worker)")
                return CommandDesk.Taken(command, now, self.server.clock)
            }
        }
    }

    private func call<Answer: Sendable>(
        _ deadline: MonotonicInstant,
        _ body: @escaping @Sendable (inout State, MonotonicInstant) -> Answer
    ) async throws -> Answer {
        do throws(WorldServer.Failure) {
            return try await server.call(deadline: deadline) {
                self.state.withLock { body(&$0, self.server.now) }
            }
        } catch {
            throw PostgresError(error)
        }
    }
}

extension CommandDesk.Taken {
    fileprivate init(_ command: CommandQueueModel.Command, _ now: MonotonicInstant, _ clock: Timestamp) {
        self.init(
            id: command.id, trace: command.trace, target: command.target, tolerance: nil, executingAt: clock,
            remaining: command.notAfter - now)
    }
}

extension UUID {
    /// The same for the same chance.
    init(from random: inout SeededGenerator) {
        let (high, low) = (random.next(), random.next())
        func byte(_ number: UInt64, _ place: UInt64) -> UInt8 { UInt8(truncatingIfNeeded: number >> (8 * place)) }
        self.init(
            uuid: (
                byte(high, 0), byte(high, 1), byte(high, 2), byte(high, 3), byte(high, 4), byte(high, 5), byte(high, 6),
                byte(high, 7), byte(low, 0), byte(low, 1), byte(low, 2), byte(low, 3), byte(low, 4), byte(low, 5),
                byte(low, 6), byte(low, 7)
            ))
    }
}
