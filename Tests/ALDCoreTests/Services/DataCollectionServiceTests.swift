import ALDTestKit
import Synchronization
import Testing

@testable import ALDCore

private final class CollectingSink: BatchSink {
    let batches = Mutex([Batch]())

    func deliver(
        _ delivered: [Batch], deadline: MonotonicInstant
    ) async throws(SinkFault) -> [BatchLanding] {
        batches.withLock { $0 += delivered }
        return delivered.map { _ in .landed }
    }

    func void(_ batch: Batch, as cut: BatchCut, deadline: MonotonicInstant) async throws(SinkFault) -> BatchClosing {
        .landed
    }

    var times: [Timestamp] {
        batches.withLock { $0 }.flatMap { batch -> [Timestamp] in
            if case .history(let rows) = batch.records { rows.map(\.time) } else { [] }
        }
    }

    var gaps: [CollectionGap] {
        batches.withLock { $0 }.flatMap { batch -> [CollectionGap] in
            if case .gaps(let gaps) = batch.records { gaps } else { [] }
        }
    }
}

@Suite("Terminal 1", .timeLimit(.minutes(2))) struct DataCollectionServiceTests {
    private let time = ManualTime()
    private let sink = CollectingSink()
    private let plc: ScriptedPLC
    private let start: Timestamp

    init() throws {
        plc = try ScriptedPLC(time: time)
        start = time.wallClock
    }

    /// Runs a collection with a period of one second until `duration` has passed on the manual clock.
    private func collect(
        for duration: Duration, _ body: (DataCollectionService) async throws -> Void
    ) async throws -> CollectionStatistics {
        try await withTemporaryDirectory { try await collect(in: $0, for: duration, body) }
    }

    private func collect(
        in directory: String, for duration: Duration, _ body: (DataCollectionService) async throws -> Void
    ) async throws -> CollectionStatistics {
        var random = SeededGenerator(seed: 1)
        let spool = try Spool(directory: directory, random: &random)
        let writer = try BatchWriter(spool: spool, sink: sink, time: time, logger: TestDatabase.quiet)
        var configuration = DataCollectionService.Configuration()
        configuration.duration = duration
        let service = try DataCollectionService(
            plc: plc, writer: writer, machine: 1, configuration: configuration, time: time, logger: TestDatabase.quiet)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await writer.run() }
            async let collecting: Void = service.run()
            try await body(service)
            try await collecting
            try await eventually("everything landed") { writer.statistics.spooled == 0 }
            group.cancelAll()
            try await group.waitForAll()
        }
        try spool.close()
        return service.statistics
    }

    /// Lets the service fall asleep, then moves to the next second.
    private func nextSecond() async {
        await time.waitForSleepers(1)
        time.advance(by: .seconds(1))
    }

    @Test("ten seconds give ten cycles, stamped at their instants")
    func regular() async throws {
        let statistics = try await collect(for: .seconds(10)) { _ in
            for _ in 0..<10 { await nextSecond() }
        }
        #expect(statistics.cycles == 10 && statistics.rows == 20 && statistics.missed == 0 && statistics.due == 10)
        #expect(statistics.jitter.count == 9 && statistics.jitter.max == .zero)
        let instants = (0..<10).map { start.advanced(by: .seconds($0)) }
        #expect(sink.times == instants.flatMap { [$0, $0] })
    }

    @Test("a controller that is gone leaves a gap with every missed instant, and recording goes on when it is back")
    func controllerGone() async throws {
        let statistics = try await collect(for: .seconds(6)) { service in
            await nextSecond()
            try await eventually("two cycles") { service.statistics.cycles == 2 }
            plc.behaviour.withLock { $0 = .isUnreachable }
            await nextSecond()
            await nextSecond()
            try await eventually("two misses") { service.statistics.missedPLC == 2 }
            #expect(service.statistics.lastFailure?.contains("scripted") == true)
            plc.behaviour.withLock { $0 = .answers }
            for _ in 0..<3 { await nextSecond() }
        }
        #expect(statistics.cycles == 4 && statistics.missedPLC == 2 && statistics.due == 6)
        #expect(statistics.lastFailure == nil)
        // The first is recorded at once, so that a crash could not lose it; the rest when recording resumes.
        #expect(sink.gaps.map(\.cause) == [.plc, .plc] && sink.gaps.map(\.instants) == [1, 1])
        #expect(sink.gaps.map(\.firstMissedAt) == [start.advanced(by: .seconds(2)), start.advanced(by: .seconds(3))])
    }

    @Test("a slow cycle costs the instants it covers, which are one gap, and shifts nothing")
    func slowCycle() async throws {
        plc.behaviour.withLock { $0 = .takes(.seconds(3.5)) }
        let statistics = try await collect(for: .seconds(6)) { service in
            try await eventually("the slow cycle") { service.statistics.cycles == 1 }
            plc.behaviour.withLock { $0 = .answers }
            await time.waitForSleepers(1)
            time.advance(by: .milliseconds(500))
            for _ in 0..<2 { await nextSecond() }
        }
        #expect(statistics.cycles == 3 && statistics.missedLate == 3 && statistics.due == 6)
        #expect(sink.times.last == start.advanced(by: .seconds(5)))
        let gap = try #require(sink.gaps.first)
        #expect(sink.gaps.count == 1 && gap.cause == .late && gap.instants == 3)
        #expect(gap.firstMissedAt == start.advanced(by: .seconds(1)))
        #expect(gap.lastMissedAt == start.advanced(by: .seconds(3)))
    }

    @Test("a controller that is slower than the period is recorded as often as it answers, and the rest is its own gap")
    func slowController() async throws {
        plc.behaviour.withLock { $0 = .needs(.seconds(1.5)) }
        let statistics = try await collect(for: .seconds(10)) { _ in
            // Given up after 0.8 s; then 1.6 s are enough, and every reading takes one and a half.
            await time.waitForSleepers(1)
            time.advance(by: .milliseconds(200))
            for _ in 0..<4 {
                await time.waitForSleepers(1)
                time.advance(by: .milliseconds(500))
            }
        }
        #expect(statistics.cycles == 5 && statistics.missedPLC == 5 && statistics.missedLate == 0)
        #expect(statistics.lateCycles == 5 && statistics.violations == 10 && statistics.lastFailure == nil)
        #expect(sink.times == [1, 3, 5, 7, 9].flatMap { [$0, $0] }.map { start.advanced(by: .seconds($0)) })
        #expect(sink.gaps.allSatisfy { $0.cause == .plc && $0.instants == 1 })
        #expect(sink.gaps.map(\.firstMissedAt) == [0, 2, 4, 6, 8].map { start.advanced(by: .seconds($0)) })
    }

    @Test("a controller that is silent is one gap, however long it is waited for, until it answers")
    func silentController() async throws {
        plc.behaviour.withLock { $0 = .needs(.seconds(1000)) }
        let statistics = try await collect(for: .seconds(16)) { _ in
            // Given up after 0.8, 1.6, 3.2 and 6.4 s. The third one ends in time for the next instant.
            for pause in [0.2, 0.4] {
                await time.waitForSleepers(1)
                time.advance(by: .seconds(pause))
            }
            await time.waitForSleepers(1)
            plc.behaviour.withLock { $0 = .answers }
            time.advance(by: .milliseconds(600))
            for _ in 0..<3 { await nextSecond() }
        }
        #expect(statistics.cycles == 3 && statistics.missedPLC == 13 && statistics.missedLate == 0)
        #expect(sink.gaps.map(\.cause) == [.plc, .plc] && sink.gaps.map(\.instants) == [1, 12])
        #expect(sink.gaps.last?.lastMissedAt == start.advanced(by: .seconds(12)))
        #expect(statistics.lateCycles == 0)
    }

    @Test("what went by between two processes is a gap of its own, and no miss of the second")
    func betweenProcesses() async throws {
        try await withTemporaryDirectory { directory in
            let first = try await collect(in: directory, for: .seconds(3)) { _ in for _ in 0..<3 { await nextSecond() }
            }
            #expect(first.cycles == 3 && sink.gaps == [])
            time.advance(by: .seconds(60))
            let second = try await collect(in: directory, for: .seconds(2)) { _ in
                for _ in 0..<2 { await nextSecond() }
            }
            #expect(second.cycles == 2 && second.missed == 0 && second.gapRecords == 1)
            // Recorded at 0, 1 and 2 s, then from 63 s on.
            let gap = try #require(sink.gaps.first)
            #expect(sink.gaps.count == 1 && gap.cause == .stopped && gap.instants == 60)
            #expect(gap.firstMissedAt == start.advanced(by: .seconds(3)))
            #expect(gap.lastMissedAt == start.advanced(by: .seconds(62)))
        }
    }

    @Test("what can be read is recorded, what cannot has a row without value")
    func partial() async throws {
        plc.behaviour.withLock { $0 = .answersHalf }
        let statistics = try await collect(for: .seconds(1)) { _ in await nextSecond() }
        #expect(statistics.cycles == 1 && statistics.rows == 2 && statistics.badRows == 1)
    }

    @Test("settings that cannot work are all named")
    func configuration() {
        var configuration = DataCollectionService.Configuration()
        configuration.period = .zero
        configuration.readTimeout = .seconds(2)
        configuration.duration = .seconds(-1)
        do throws(ConfigurationProblems) {
            try configuration.validate()
            Issue.record("accepted")
        } catch {
            #expect(error.problems.count == 3, "\(error)")
        }
    }
}
