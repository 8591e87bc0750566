import ALDTestKit
import Synchronization
import Testing

@testable import ALDCore

/// A database that the test can break. It keeps the law that makes the real one safe: a batch it has applied is
/// recognised, and a batch that comes back changed is a bug of the writer's.
private final class ModelSink: BatchSink {
    struct State {
        var applied: [BatchID: Batch] = [:]
        var order: [BatchID] = []
        var script: [SinkFault.Class] = []
        var forgetsReply = false
        var attempts = 0
    }

    let state = Mutex(State())

    func apply(_ batch: Batch, deadline: MonotonicInstant) async throws(SinkFault) {
        let fault = state.withLock { state -> SinkFault? in
            state.attempts += 1
            if !state.script.isEmpty {
                let fault = SinkFault(state.script.removeFirst(), "scripted")
                // In doubt means that the rows may be there: this one really applies them.
                if fault.faultClass == .inDoubt { Self.store(batch, &state) }
                return fault
            }
            Self.store(batch, &state)
            return nil
        }
        if let fault { throw fault }
    }

    private static func store(_ batch: Batch, _ state: inout State) {
        if let earlier = state.applied[batch.id] {
            #expect(earlier.digest == batch.digest, "a batch came back changed")
        } else {
            state.applied[batch.id] = batch
            state.order.append(batch.id)
        }
    }

    var rows: Int { state.withLock { $0.applied.values.reduce(0) { $0 + $1.records.count } } }
}

@Suite("Batch writer", .timeLimit(.minutes(2))) struct BatchWriterTests {
    private let time = ManualTime()
    private let sink = ModelSink()

    private static let gap = Records.gaps([
        CollectionGap(
            firstMissedAt: Timestamp(microseconds: 1), lastMissedAt: Timestamp(microseconds: 1), instants: 1,
            cause: .plc, detail: "")
    ])

    private func withWriter(
        directory: String, seed: UInt64 = 1, _ body: (BatchWriter) async throws -> Void
    ) async throws {
        var random = SeededGenerator(seed: seed)
        let spool = try Spool(directory: directory, random: &random)
        let writer = try BatchWriter(spool: spool, sink: sink, time: time, logger: TestDatabase.quiet)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await writer.run() }
            try await body(writer)
            group.cancelAll()
            try await group.waitForAll()
        }
        try spool.close()
    }

    @Test("what is accepted lands, and the account balances")
    func lands() async throws {
        try await withTemporaryDirectory { directory in
            try await withWriter(directory: directory) { writer in
                for _ in 0..<20 { try await writer.append(Self.gap, machine: 1) }
                try await eventually("all landed") { writer.statistics.spooled == 0 }
                let statistics = writer.statistics
                #expect(statistics.accepted == 20 && statistics.landed == 20 && statistics.failedAttempts == 0)
            }
            #expect(sink.rows == 20)
        }
    }

    @Test("a database that is gone costs nothing: acceptance goes on, and everything lands in order afterwards")
    func outage() async throws {
        try await withTemporaryDirectory { directory in
            try await withWriter(directory: directory) { writer in
                sink.state.withLock { $0.script = Array(repeating: .transient, count: 3) }
                for _ in 0..<10 { try await writer.append(Self.gap, machine: 1) }
                for attempt in 1...3 {
                    try await eventually("attempt \(attempt) failed") { writer.statistics.failedAttempts == attempt }
                    #expect(writer.statistics.spooled == 10 && writer.statistics.lastFault == "scripted")
                    await time.waitForSleepers(1)
                    time.advance(by: .seconds(5))
                }
                try await eventually("all landed") { writer.statistics.spooled == 0 }
                #expect(writer.statistics.landed == 10 && writer.statistics.lastFault == nil)
            }
            #expect(sink.state.withLock { $0.order.map(\.number) } == Array(1...10))
        }
    }

    @Test("an attempt whose answer was lost is sent again unchanged and lands once")
    func inDoubt() async throws {
        try await withTemporaryDirectory { directory in
            try await withWriter(directory: directory) { writer in
                sink.state.withLock { $0.script = [.inDoubt, .inDoubt] }
                try await writer.append(Self.gap, machine: 1)
                for _ in 0..<2 {
                    await time.waitForSleepers(1)
                    time.advance(by: .seconds(5))
                }
                try await eventually("landed") { writer.statistics.landed == 1 }
            }
            #expect(sink.rows == 1 && sink.state.withLock(\.attempts) == 3)
        }
    }

    @Test("what a run could not land is carried over to the next one")
    func carriedOver() async throws {
        try await withTemporaryDirectory { directory in
            try await withWriter(directory: directory, seed: 1) { writer in
                sink.state.withLock { $0.script = [.transient] }
                for _ in 0..<3 { try await writer.append(Self.gap, machine: 1) }
                try await eventually("failed once") { writer.statistics.failedAttempts == 1 }
            }
            #expect(sink.rows == 0)
            try await withWriter(directory: directory, seed: 2) { writer in
                #expect(writer.statistics.carriedOver == 3)
                try await writer.append(Self.gap, machine: 1)
                try await eventually("all landed") { writer.statistics.spooled == 0 }
                let statistics = writer.statistics
                #expect(statistics.accepted + statistics.carriedOver == statistics.landed + statistics.spooled)
            }
            #expect(sink.rows == 4)
        }
    }

    @Test("a refused batch holds the lane; nothing behind it is skipped or lost")
    func refused() async throws {
        try await withTemporaryDirectory { directory in
            try await withWriter(directory: directory) { writer in
                sink.state.withLock { $0.script = [.misconfigured] }
                try await writer.append(Self.gap, machine: 1)
                try await writer.append(Self.gap, machine: 1)
                try await eventually("refused") { writer.statistics.failedAttempts == 1 }
                await time.waitForSleepers(1)
                time.advance(by: .seconds(14))
                #expect(sink.state.withLock(\.attempts) == 1 && writer.statistics.spooled == 2)
                time.advance(by: .seconds(1))
                try await eventually("all landed") { writer.statistics.spooled == 0 }
            }
            #expect(sink.state.withLock { $0.order.map(\.number) } == [1, 2])
        }
    }

    @Test("settings that cannot work are all named")
    func configuration() async throws {
        try await withTemporaryDirectory { directory in
            var random = SeededGenerator(seed: 1)
            let spool = try Spool(directory: directory, random: &random)
            var configuration = BatchWriter.Configuration()
            configuration.attemptTimeout = .zero
            configuration.flushTimeout = .seconds(-1)
            do throws(ConfigurationProblems) {
                _ = try BatchWriter(spool: spool, sink: sink, configuration: configuration, logger: TestDatabase.quiet)
                Issue.record("accepted")
            } catch {
                #expect(error.problems.count == 2)
            }
            try spool.close()
        }
    }
}
