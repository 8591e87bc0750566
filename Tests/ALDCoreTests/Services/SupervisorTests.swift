import ALDTestKit
import ServiceLifecycle
import Synchronization
import Testing

@testable import ALDCore

/// A service whose runs are scripted: each start takes the next of them.
private final class ScriptedService: Service {
    enum Run { case fails, ends, runs }
    struct Broken: Error, CustomStringConvertible { let description = "scripted" }

    let starts = Mutex(0)
    private let script: [Run]

    init(_ script: [Run]) { self.script = script }

    func run() async throws {
        let start = starts.withLock { starts in
            defer { starts += 1 }
            return starts
        }
        switch start < script.count ? script[start] : .runs {
        case .fails: throw Broken()
        case .ends: return
        case .runs: try await gracefulShutdown()
        }
    }
}

@Suite("Supervision", .timeLimit(.minutes(1))) struct SupervisorTests {
    @Test("Pauses grow while a service does not hold out, and are short again when it has")
    func pauses() {
        var settings = Supervision.Configuration()
        settings.backoff = Backoff.Configuration(base: .seconds(1), cap: .seconds(8), jitter: .none)
        var supervision = Supervision(settings)
        var now = MonotonicInstant(nanoseconds: 0)
        var pauses: [Duration] = []
        for _ in 0..<5 {
            supervision.started(now: now)
            now = now + .seconds(1)
            let next = supervision.failed(now: now, chance: 0.5)
            pauses.append(next - now)
            now = next
        }
        #expect(pauses == [.seconds(1), .seconds(2), .seconds(4), .seconds(8), .seconds(8)])
        supervision.started(now: now)
        now = now + .seconds(60)
        #expect(supervision.failed(now: now, chance: 0.5) - now == .seconds(1))
        #expect(supervision.failures == 6)
    }

    private func supervisor(
        _ service: ScriptedService, end: Supervisor.End = .isFailure, time: ManualTime
    ) -> Supervisor {
        Supervisor("scripted", end: end, time: time, logger: TestDatabase.quiet) { service }
    }

    @Test("A service that fails is started again, and one beside it never notices")
    func restarted() async throws {
        let time = ManualTime()
        let service = ScriptedService([.fails, .ends])
        let neighbour = ScriptedService([])
        let supervisor = supervisor(service, time: time)
        let group = ServiceGroup(services: [neighbour, supervisor], logger: TestDatabase.quiet)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            for failures in 1...2 {
                await time.waitForSleepers(1)
                #expect(supervisor.failures == failures)
                guard case .restarting(let reason, _) = supervisor.state else {
                    Issue.record("\(supervisor.state)")
                    break
                }
                #expect(reason == (failures == 1 ? "scripted" : "it has ended by itself"))
                time.advance(by: .seconds(30))
            }
            try await eventually("it runs") { supervisor.state == .running && service.starts.withLock { $0 == 3 } }
            #expect(neighbour.starts.withLock(\.self) == 1)
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
        }
        #expect(supervisor.state == .ended(reason: nil))
    }

    @Test("What cannot be made is a failure as well")
    func cannotBeMade() async throws {
        let time = ManualTime()
        let supervisor = Supervisor("unmade", time: time, logger: TestDatabase.quiet) { throw ScriptedService.Broken() }
        await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await supervisor.run() }
            await time.waitForSleepers(1)
            #expect(supervisor.failures == 1)
            tasks.cancelAll()
        }
    }

    @Test("One that may end ends its supervisor")
    func mayEnd() async throws {
        let supervisor = supervisor(ScriptedService([.ends]), end: .isEnd, time: ManualTime())
        try await supervisor.run()
        #expect((supervisor.state, supervisor.failures) == (.ended(reason: nil), 0))
    }

    @Test("One that is stopped ends in order and is not started again, whether it runs or waits")
    func stopped() async throws {
        for script in [[], [ScriptedService.Run.fails]] {
            let time = ManualTime()
            let service = ScriptedService(script)
            let supervisor = supervisor(service, time: time)
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask { try await supervisor.run() }
                if script.isEmpty {
                    try await eventually("it runs") { service.starts.withLock { $0 == 1 } }
                } else {
                    await time.waitForSleepers(1)
                }
                supervisor.stop(because: "another process is it")
                try await tasks.waitForAll()
            }
            #expect(supervisor.state == .ended(reason: "another process is it"))
            #expect(service.starts.withLock(\.self) == 1)
        }
    }
}

@Suite("Degraded mode") struct DegradedModeTests {
    private func play(_ milliseconds: [Int]) -> [String] {
        var mode = DegradedMode()
        return milliseconds.map { took in
            let change = mode.happened(took: .milliseconds(took), of: .seconds(1))
            return change.map { "\($0)" } ?? (mode.isDegraded ? "slow" : "-")
        }
    }

    @Test("Three slow cycles in a row begin it, a single one among fast ones does not")
    func begins() {
        #expect(play([900, 900, 100, 900, 900, 900]) == ["-", "-", "-", "-", "-", "begins"])
    }

    @Test("Ten fast ones in a row end it; neither slow nor fast starts the count again")
    func ends() {
        let slow = Array(repeating: 600, count: 3)
        let almost = Array(repeating: 200, count: 9) + [300]
        let fast = Array(repeating: 200, count: 10)
        let result = play(slow + almost + fast)
        #expect(result.last == "ends")
        #expect(result.filter { $0 == "ends" }.count == 1)
    }
}
