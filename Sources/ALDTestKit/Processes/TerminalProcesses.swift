import ALDCore
import Foundation
import Synchronization

/// The terminals of one machine, each a process of its own, which a test kills and starts again while the others go on.
public final class TerminalProcesses: Sendable {
    /// The command of `ald` that a process is.
    public enum Kind: String, Sendable, CaseIterable {
        case collect, recipes, commands
    }

    /// A process that has ended.
    public struct Ended: Sendable {
        public var kind: Kind
        public var result: ChildResult
        /// Whether it was ended by ``TerminalProcesses/kill(_:)``.
        public var wasKilled: Bool
    }

    private struct State {
        var living: [Kind: RunningChild] = [:]
        /// Those that are to end now, and with which exit status unless a signal ends them.
        var leaving: [Kind: Int32] = [:]
        var ended: [Ended] = []
    }

    private let station: AldProcess
    private let arguments: [Kind: [String]]
    private let state = Mutex(State())
    private let beginnings: AsyncStream<Kind>.Continuation

    private init(
        _ station: AldProcess, _ arguments: [Kind: [String]], _ beginnings: AsyncStream<Kind>.Continuation
    ) {
        (self.station, self.arguments, self.beginnings) = (station, arguments, beginnings)
    }

    /// Runs `body`, which starts and kills processes; those that live when it returns are ended in order, those that
    /// live when it throws are killed.
    ///
    /// - Parameter arguments: further ones of each.
    /// - Returns: every process there was, in the order in which they have ended.
    /// - Throws: what `body` throws, and ``NeverHappened`` with all it has written when a process ends by itself.
    public static func run(
        _ station: AldProcess, arguments: [Kind: [String]] = [:], _ body: (TerminalProcesses) async throws -> Void
    ) async throws -> [Ended] {
        let (requests, beginnings) = AsyncStream<Kind>.makeStream()
        let processes = TerminalProcesses(station, arguments, beginnings)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await withThrowingDiscardingTaskGroup { living in
                    for await kind in requests { living.addTask { try await processes.live(kind) } }
                }
            }
            var problem: (any Error)?
            do { try await body(processes) } catch { problem = error }
            processes.endAll(by: problem == nil ? SIGTERM : SIGKILL)
            beginnings.finish()
            // Why a process has ended by itself explains what went wrong in the body.
            try await group.waitForAll()
            if let problem { throw problem }
        }
        return processes.state.withLock(\.ended)
    }

    private func endAll(by signal: Int32) {
        state.withLock { state in
            for (kind, child) in state.living {
                state.leaving[kind] = 0
                child.send(signal)
            }
        }
    }

    /// A process from its start to its end.
    private func live(_ kind: Kind) async throws {
        let time = SystemTime()
        let result = try await station.command([kind.rawValue] + (arguments[kind] ?? []), isTerminal: true) { child in
            state.withLock { $0.living[kind] = child }
            while !ChildProcess.isFinished(child.processIdentifier) { try await time.sleep(for: .milliseconds(20)) }
        }
        let isExpected = state.withLock { state in
            state.living[kind] = nil
            let exitCode = state.leaving.removeValue(forKey: kind)
            state.ended.append(Ended(kind: kind, result: result, wasKilled: result.signal == SIGKILL))
            return exitCode != nil && (result.signal == SIGKILL || result.exitCode == exitCode)
        }
        guard isExpected else {
            let end = result.exitCode.map { "with \($0)" } ?? "by signal \(result.signal ?? 0)"
            throw NeverHappened(description: "`ald \(kind.rawValue)` has ended \(end):\n\(result.transcript)")
        }
    }

    // MARK: What a test does

    /// Starts a terminal and waits until it has begun its work.
    public func start(_ kind: Kind) async throws {
        let before = state.withLock { $0.ended.count { $0.kind == kind } }
        beginnings.yield(kind)
        try await eventually("`ald \(kind.rawValue)` has begun", within: .seconds(60)) {
            let ended = self.state.withLock { $0.ended.filter { $0.kind == kind } }
            if ended.count > before { throw NeverHappened(description: ended[before].result.transcript) }
            return self.child(kind)?.output.contains { $0.contains("\"event\":\"start\"") } == true
        }
    }

    /// Ends a terminal as a crash does (SIGKILL), and waits until it is gone.
    public func kill(_ kind: Kind) async throws { try await end([kind], by: SIGKILL) }

    /// Sends a signal to these terminals at the same moment, and waits until they are gone.
    ///
    /// - Parameter exitCode: which each of them ends with, unless the signal ends it.
    public func end(_ kinds: Set<Kind>, by signal: Int32, exitCode: Int32 = 0) async throws {
        let children = try state.withLock { state in
            let children = try kinds.map { kind in
                guard let child = state.living[kind] else {
                    throw NeverHappened(description: "`ald \(kind.rawValue)` does not run")
                }
                return (kind: kind, child: child)
            }
            for (kind, child) in children {
                state.leaving[kind] = exitCode
                child.send(signal)
            }
            return children
        }
        for (kind, child) in children {
            try await eventually("`ald \(kind.rawValue)` is gone", within: .seconds(60)) {
                self.child(kind)?.processIdentifier != child.processIdentifier
            }
        }
    }

    /// The last process that was this terminal and has ended.
    public func ended(_ kind: Kind) -> Ended? { state.withLock { $0.ended.last { $0.kind == kind } } }

    /// The process that is this terminal now.
    public func child(_ kind: Kind) -> RunningChild? { state.withLock { $0.living[kind] } }
}
