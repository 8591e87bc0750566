import ALDCore
import Testing

@testable import ALDTestKit

/// Load with a fixed rate and load without one, in virtual time, in which each operation takes as long as it says.
@Suite("Load")
struct LoadTests {
    private static func inWorld(
        _ load: @escaping @Sendable (any TimeSource) async throws -> LoadReport
    ) throws -> LoadReport {
        let world = World(seed: 1)
        let node = world.node("load")
        let time = node.time
        let task = node.spawn { try await load(time) }
        try world.run { task.isDone }
        return try #require(task.outcome).get()
    }

    private static func pass(_ duration: Duration, _ time: any TimeSource) async {
        await Wakeup().wait(until: time.now + duration, time: time)
    }

    // MARK: Closed loop

    @Test("in a closed loop nobody waits for a due time: latency is what an operation takes itself")
    func closedLoop() throws {
        let report = try Self.inWorld { time in
            try await ClosedLoop(clients: 3, duration: .milliseconds(100)).run(time: time) { client, _ in
                await Self.pass(.milliseconds(client == 0 ? 50 : 10), time)
            }
        }
        // Two clients do ten each, the slow one two.
        #expect(report.succeeded == 22 && report.due == 22 && report.dropped == 0)
        #expect(report.latency.percentile(50) < .milliseconds(11) && report.latency.max < .milliseconds(51))
        #expect(report.latency.percentile(50) == report.service.percentile(50))
        #expect(abs(report.elapsed.inSeconds - 0.1) < 0.001)
        #expect(abs(report.throughput - 220) < 3)
    }

    @Test("a closed loop of so many operations ends after them, and failures are counted with the first error")
    func operations() throws {
        let report = try Self.inWorld { time in
            try await ClosedLoop(clients: 4, operations: 10).run(time: time) { _, number in
                await Self.pass(.milliseconds(10), time)
                if number % 5 == 4 { throw NeverHappened(description: "no \(number)") }
            }
        }
        #expect(report.succeeded == 8 && report.failed == 2 && report.firstError == "no 4")
        // Four at a time: three waves.
        #expect(abs(report.elapsed.inSeconds - 0.03) < 0.001)
    }

    @Test("an operation that lasts longer than the loop is done once by each client")
    func longOperation() throws {
        let report = try Self.inWorld { time in
            try await ClosedLoop(clients: 2, duration: .milliseconds(10)).run(time: time) { _, _ in
                await Self.pass(.seconds(3), time)
            }
        }
        #expect(report.succeeded == 2 && report.elapsed >= .seconds(3))
    }

    // MARK: Over time

    @Test("percentiles are kept window by window: a stall lies where it was")
    func windows() throws {
        let report = try Self.inWorld { time in
            try await OpenLoop(rate: 20, duration: .seconds(4), clients: 1).run(time: time) { _, number in
                // The thirtieth is due in the second second.
                await Self.pass(.milliseconds(number == 30 ? 400 : 2), time)
            }
        }
        let windows = try #require(report.windows)
        #expect(windows.width == .seconds(1) && windows.filled.map(\.latencies.count) == [20, 20, 20, 20])
        let worst = windows.filled.map { $0.latencies.percentile(99) }
        #expect(worst[1] >= .milliseconds(400) && worst[1] < .milliseconds(425))
        #expect([worst[0], worst[2], worst[3]].allSatisfy { $0 > .milliseconds(1.9) && $0 < .milliseconds(2.2) })
        #expect(windows.filled[1].latencies.percentile(50) < .milliseconds(3))
    }

    @Test("there are at most thirty windows, and what was due later counts in the last")
    func bounded() throws {
        let beginning = MonotonicInstant(nanoseconds: 0)
        var windows = LatencyWindows(from: beginning, lasting: .seconds(86_400))
        for second in stride(from: 0, through: 100_000, by: 100) {
            windows.record(.milliseconds(5), dueAt: beginning + .seconds(second))
        }
        #expect(windows.filled.count == 30 && windows.width == .seconds(2880))
        #expect(windows.filled.map(\.latencies.count).reduce(0, +) == 1001)
        var other = LatencyWindows(from: beginning + .seconds(2880), lasting: .seconds(2880))
        other.record(.seconds(2), dueAt: beginning + .seconds(2881))
        windows.add(other)
        #expect(windows.filled[1].latencies.percentile(100) > .seconds(1.9))
        #expect(windows.filled[0].latencies.percentile(100) < .milliseconds(6))
    }

    @Test("failures lie where they were due, those of a load that began a moment earlier, too")
    func failures() throws {
        let beginning = MonotonicInstant(nanoseconds: 10_000_000_000)
        func load(from instant: MonotonicInstant, failing: Range<Int>) -> LoadReport {
            var report = LoadReport(from: instant, planned: .seconds(5))
            for number in 0..<50 {
                let due = instant + .milliseconds(100 * number)
                report.record(
                    dueAt: due, from: due, to: due + .milliseconds(1), failure: failing.contains(number) ? "no" : nil)
            }
            return report
        }
        var report = load(from: beginning, failing: 20..<30)
        #expect(report.windows?.filled.map(\.latencies.success) == [1, 1, 0, 1, 1])
        report.add(load(from: beginning - .milliseconds(3), failing: 0..<0))
        #expect(report.windows?.filled.map(\.latencies.success) == [1, 1, 0.5, 1, 1])
        report.add(load(from: beginning + .milliseconds(3), failing: 40..<45))
        #expect(report.windows?.filled.map(\.latencies.failed) == [0, 0, 10, 0, 5])
    }

    @Test("a load is noted with its dropped operations and its percentiles over time")
    func noted() throws {
        let run = ScenarioRun(
            Scenario("X", "x", requirement: "x", nominal: .seconds(1), short: .seconds(1)), duration: .seconds(1),
            seed: 1, scale: 1, host: ScenarioHost()
        ) { _ in }
        let began = run.time.now
        var report = LoadReport(from: began, planned: .seconds(3))
        report.due = 1000
        for number in 0..<30 {
            let due = began + .milliseconds(100 * number)
            report.record(dueAt: due, from: due, to: due + .milliseconds(1 + number), failure: nil)
        }
        report.drop(at: began + .seconds(2))
        run.note("load", report)
        // One of a thousand is no reason for doubt, yet it is told.
        #expect(run.value("load dropped") == 1 && run.content.doubts == [])
        let series = try #require(run.content.series["load p99 over time"])
        #expect(series.points.count == 3 && series.points[2].value > 0.029 && series.points[2].value < 0.032)
        #expect(abs(series.points[2].at - series.points[0].at - 2) < 0.001)
        #expect(run.content.series["load p50 over time"] != nil && run.content.series["load p95 over time"] != nil)
        // What was never begun has not failed, either.
        let success = try #require(run.content.series["load success over time"])
        #expect(success.points.map(\.value) == [1, 1, 1])
    }

    // MARK: Landed in time

    @Test("a load that takes longer than it was to last has not landed in time, even if nothing waits in the end")
    func overrun() throws {
        // A hundred a second are due for half a second; one client does ten.
        let report = try Self.inWorld { time in
            try await OpenLoop(rate: 100, duration: .milliseconds(500), clients: 1).run(time: time) { _, _ in
                await Self.pass(.milliseconds(100), time)
            }
        }
        #expect(report.dropped == 0 && report.failed == 0)
        let landed = try #require(report.span).upperBound
        let load = LandedLoad(report, planned: .milliseconds(500), landed: landed)
        #expect(load.behind > .seconds(4) && load.class == .failed)
    }

    @Test("what is stable, degraded and failed, at the borders")
    func classes() {
        func load(_ taken: Double, dropped: Int = 0, failures: Double = 0) -> LandedLoad {
            LandedLoad(
                planned: .seconds(1), taken: .seconds(taken), due: 100, dropped: dropped, failureRatio: failures)
        }
        #expect(load(0.9).inTime == 1 && load(1.2).inTime == 1)
        #expect(load(1.44).class == .stable && load(1.46).class == .degraded)
        #expect(load(2.19).class == .degraded && load(2.21).class == .failed)
        #expect(load(1, dropped: 20).class == .stable && load(1, dropped: 21).class == .degraded)
        #expect(load(1, failures: 0.51).class == .failed)
    }

    @Test("the highest rate that is kept is found, and one miss alone is forgiven")
    func search() {
        func found(limit: Double, hiccups: Set<Int> = []) -> (RateSearch.Step, driven: [Double]) {
            var search = RateSearch(from: 10, upTo: 100)
            var (step, driven) = (search.first, [Double]())
            while case .drive(let rate) = step {
                step = search.driven(isKept: rate <= limit && !hiccups.contains(driven.count))
                driven.append(rate)
            }
            return (step, driven)
        }
        #expect(found(limit: 50).0 == .end(best: 40, broken: 80))
        #expect(found(limit: 50).driven == [10, 20, 40, 80, 80])
        #expect(found(limit: 50, hiccups: [1]).0 == .end(best: 40, broken: 80))
        #expect(found(limit: 5).0 == .end(best: 0, broken: 10))
        #expect(found(limit: 1000).0 == .end(best: 80, broken: nil))
    }
}
