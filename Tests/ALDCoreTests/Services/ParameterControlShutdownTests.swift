import ALDTestKit
import Foundation
import ServiceLifecycle
import Synchronization
import Testing

@testable import ALDCore

/// How Terminal 3 ends while it asks for commands: whatever the table has given it by then has an end in the table.
@Suite("The end of Terminal 3", .timeLimit(.minutes(5))) struct ParameterControlShutdownTests {
    /// A table whose answer to a question for commands comes when the test says so.
    fileprivate final class HeldTable: ParameterCommandTable {
        enum Answer { case commands([CommandDesk.Taken]), lost, away }

        private struct State {
            var answer: Answer?
            var asked: [Duration] = []
            var begun: [Int64] = []
            var finished: [CommandDesk.Finished] = []
            var adoptions = 0
            var isAway = false
        }

        private let state = Mutex(State())
        private let answered = Wakeup()
        let time: ManualTime

        init(_ time: ManualTime) { self.time = time }

        /// How long each question may take.
        var asked: [Duration] { state.withLock(\.asked) }
        var finished: [CommandDesk.Finished] { state.withLock(\.finished) }
        var adoptions: Int { state.withLock(\.adoptions) }

        /// - Parameter begun: what is the terminal's afterwards, whether it hears of it or not.
        func answer(_ answer: Answer, begun: [Int64]) {
            state.withLock { ($0.answer, $0.begun, $0.isAway) = (answer, begun, answer.isAway) }
            answered.signal()
        }

        func take(limit: Int, known: Set<Int64>, deadline: MonotonicInstant) async throws -> [CommandDesk.Taken] {
            state.withLock { $0.asked.append(deadline - time.now) }
            while true {
                switch state.withLock({ $0.answer }) {
                case .commands(let commands): return commands
                case .lost: throw PostgresError(.timedOut, "no answer", effect: .unknown)
                case .away: throw PostgresError(.connectionFailed, "away", effect: .notSent)
                case nil: await answered.wait()
                }
                try Task.checkCancellation()
            }
        }

        func adopt(deadline: MonotonicInstant) async throws -> [CommandDesk.Taken] {
            state.withLock { $0.adoptions += 1 }
            return []
        }

        func begun(deadline: MonotonicInstant) async throws -> [Int64] {
            try state.withLock { state in
                if state.isAway { throw PostgresError(.connectionFailed, "away", effect: .notSent) }
                return state.begun.filter { id in !state.finished.contains { $0.id == id } }
            }
        }

        func renew(_ ids: [Int64], deadline: MonotonicInstant) async throws -> Set<Int64> { [] }

        func finish(_ finished: [CommandDesk.Finished], deadline: MonotonicInstant) async throws -> Set<Int64> {
            state.withLock { $0.finished += finished }
            return Set(finished.map(\.id))
        }
    }

    private struct SilentBell: Doorbell {
        let isWorking = true
        func run() async {}
    }

    private static func taken(_ id: Int64) -> CommandDesk.Taken {
        CommandDesk.Taken(
            id: id, trace: UUID(), target: SetPoint(ParameterID(rawValue: 8), 20), tolerance: nil,
            executingAt: Timestamp(microseconds: 0), remaining: .seconds(60))
    }

    /// Tells it to stop while it asks for commands, gives it this answer, and waits for its end.
    private static func stopped(
        _ answer: HeldTable.Answer, begun: [Int64], grace: Duration = ShutdownBudget.commands
    ) async throws -> (table: HeldTable, service: ParameterControlService, writes: Int) {
        let map = try RegisterMap(file: Repository.machine51)
        let writes = Mutex(0)
        let machine = SimulatedPLC(map, seed: 1) { _, _ in writes.withLock { $0 += 1 } }
        let time = ManualTime()
        let table = HeldTable(time)
        var configuration = ParameterControlService.Configuration()
        configuration.shutdownGrace = grace
        let service = try ParameterControlService(
            plc: machine, table: table, bell: { _ in SilentBell() }, configuration: configuration, time: time,
            logger: TestDatabase.quiet)
        let group = ServiceGroup(services: [service], logger: TestDatabase.quiet)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            try await eventually("it asks for commands") { !table.asked.isEmpty }
            await group.triggerGracefulShutdown()
            try await eventually("it is told") { service.state.withLock(\.isStopping) }
            table.answer(answer, begun: begun)
            try await tasks.waitForAll()
        }
        return (table, service, writes.withLock(\.self))
    }

    @Test("Commands that come after it was told to stop are not written, and their record says so")
    func lateAnswer() async throws {
        let (table, service, writes) = try await Self.stopped(.commands([Self.taken(7)]), begun: [7])
        #expect(table.finished.map(\.id) == [7])
        #expect(table.finished.first?.ending == .failed(ParameterCommandMachine.shutDown, actual: nil))
        #expect(writes == 0 && table.asked.count == 1)
        let statistics = service.statistics
        #expect((statistics.taken, statistics.failed, statistics.unnoted) == (1, 1, 0))
    }

    @Test("Commands whose taking was never answered are found and ended, too")
    func lostAnswer() async throws {
        let (table, service, writes) = try await Self.stopped(.lost, begun: [7, 8])
        #expect(table.finished.map(\.id) == [7, 8])
        #expect(table.finished.allSatisfy { $0.ending == .failed(ParameterCommandMachine.shutDown, actual: nil) })
        let statistics = service.statistics
        #expect((statistics.taken, statistics.failed, statistics.unnoted, writes) == (2, 2, 0, 0))
    }

    @Test("A table that has not heard the question keeps nobody waiting, and one that has may be asked once more")
    func away() async throws {
        // Nothing moves the clock: who waited for anything would wait for ever.
        let (table, _, _) = try await Self.stopped(.away, begun: [])
        #expect(table.finished.isEmpty)
    }

    @Test("However short the grace is, half of it is left to note what comes", arguments: [1, 4, 10, 100])
    func bounds(seconds: Int) async throws {
        let grace = Duration.seconds(seconds)
        let (table, _, _) = try await Self.stopped(.commands([]), begun: [], grace: grace)
        #expect(table.asked == [min(grace / 2, ParameterControlService.tableTimeout)])
    }

    @Test("What is to be noted, found or waited for while it stops, and that it ends in time")
    func decisions() {
        func at(_ seconds: Int) -> MonotonicInstant { MonotonicInstant(nanoseconds: 0) + .seconds(seconds) }
        var state = ParameterControlService.State()
        #expect(state.noting(now: at(0)) == .wait(until: nil))
        let end = CommandDesk.Finished(id: 1, ending: .succeeded(actual: 1))
        state.ended = [end]
        #expect(state.noting(now: at(0)) == .note([end], by: at(5)))
        let mayAsk = state.beginTaking()
        #expect(mayAsk)
        (state.isStopping, state.stopsBy, state.doubtUntil) = (true, at(10), at(30))
        #expect(state.noting(now: at(7)) == .note([end], by: at(10)))
        state.ended = []
        #expect(state.noting(now: at(7)) == .wait(until: at(10)), "the table is being asked")
        let mayAskAgain = state.beginTaking()
        #expect(!mayAskAgain && !state.isTaking)
        state.executing = [2]
        #expect(state.noting(now: at(7)) == .wait(until: at(10)))
        state.executing = []
        #expect(state.noting(now: at(2)) == .findTaken(by: at(7)))
        state.neverBegan([3])
        #expect(state.ended.map(\.id) == [3] && state.noting(now: at(11)) == .end(unnoted: [3]))
        state.ended = []
        #expect(state.noting(now: at(2)) == .end(unnoted: []))
        state.doubtUntil = at(1)
        #expect(state.noting(now: at(2)) == .end(unnoted: []), "somebody else finds out by now")
    }

    @Test("The terminals that move the machine, what is recorded and what is closed fit into the time there is")
    func budget() throws {
        #expect(ShutdownBudget.total == .seconds(30))
        #expect(
            RecipeService.Configuration(machine: 1, interlocks: Interlocks(), journal: "x").shutdownGrace
                <= ShutdownBudget.machine)
        let settings = ParameterControlService.Configuration()
        #expect(settings.shutdownGrace <= ShutdownBudget.machine)
        // A write in the last moment, its confirmation, and a call that is just being made.
        let execution = settings.execution
        #expect(execution.callTimeout * 2 + execution.confirmationTime <= settings.shutdownGrace / 2)
        var wrong = settings
        wrong.execution.callTimeout = .seconds(11)
        #expect(throws: ConfigurationProblems.self) { try wrong.validate() }
    }
}

extension ParameterControlShutdownTests.HeldTable.Answer {
    fileprivate var isAway: Bool { if case .away = self { true } else { false } }
}
