import ALDTestKit
import Logging
import Synchronization
import Testing

@testable import ALDCore

/// A database that the test can break. It keeps the law that makes the real one safe: a batch it has applied is
/// recognised, and a batch that comes back changed is a bug of the writer's.
private final class ModelSink: BatchSink {
    struct State {
        var applied: [BatchID: Batch] = [:]
        var voided: [BatchID: BatchCut] = [:]
        var order: [BatchID] = []
        var script: [SinkFault.Class] = []
        var attempts = 0
        /// Which connection the database is reached by.
        var session = 1
        /// A row of this parameter is refused.
        var poison: Int32?
        /// Nobody has registered this parameter.
        var stranger: Int32?
        /// The next delivery says nothing of its last batch.
        var isSilent = false
        /// A delivery that was in doubt lands just before the name of its batch is closed.
        var isLate = false
        /// Happens between the next landing and its answer, …
        var beforeAnswer: (@Sendable () -> Void)?
        /// … and before the ledger says that it has the batch of this number.
        var beforeComparison: (number: Int64, body: @Sendable () -> Void)?
        /// How the next name that is closed was decided before, by somebody else.
        var decided: BatchCut?
    }

    let state = Mutex(State())

    func deliver(
        _ batches: [Batch], deadline: MonotonicInstant
    ) async throws(SinkFault) -> [BatchLanding] {
        let answer = state.withLock { state -> Result<[BatchLanding], SinkFault> in
            state.attempts += 1
            if !state.script.isEmpty {
                let fault = SinkFault(state.script.removeFirst(), "scripted")
                // In doubt means that the rows may be there: this one really applies them.
                if fault.faultClass == .inDoubt { _ = batches.map { Self.store($0, &state) } }
                return .failure(fault)
            }
            if let poison = state.poison, batches.contains(where: { Self.holds(poison, $0) }) {
                var evidence = FaultEvidence(message: "no", sqlState: "23514")
                evidence.constraint = "some_check"
                evidence.detail = "it has a \0 in it"
                return .failure(SinkFault(.poison, "refused", evidence: evidence))
            }
            let landings = batches.map { Self.store($0, &state) }
            state.beforeAnswer?()
            defer { (state.isSilent, state.beforeAnswer) = (false, nil) }
            return .success(state.isSilent ? landings.dropLast() : landings)
        }
        return try answer.get()
    }

    func void(_ batch: Batch, as cut: BatchCut, deadline: MonotonicInstant) async throws(SinkFault) -> BatchClosing {
        state.withLock { state in
            if state.isLate { _ = Self.store(batch, &state) }
            if state.applied[batch.id] != nil { return .landed }
            if let decided = state.voided[batch.id] { return .closed(decided) }
            state.voided[batch.id] = state.decided ?? cut
            defer { state.decided = nil }
            return .closed(state.decided ?? cut)
        }
    }

    func missing(
        of batches: [BatchHeader], deadline: MonotonicInstant
    ) async throws(SinkFault) -> [BatchHeader]? {
        #expect(Set(batches.map(\.machine)).count == 1, "the ledger is asked about one machine at a time")
        return state.withLock { state in
            if let (number, body) = state.beforeComparison, batches.contains(where: { $0.id.number == number }) {
                state.beforeComparison = nil
                body()
            }
            return batches.filter { state.applied[$0.id] == nil }
        }
    }

    private static func holds(_ poison: Int32, _ batch: Batch) -> Bool {
        guard case .history(let rows) = batch.records else { return false }
        return rows.contains { $0.parameter.rawValue == poison }
    }

    private static func store(_ batch: Batch, _ state: inout State) -> BatchLanding {
        if state.voided[batch.id] != nil { return .collision }
        if let stranger = state.stranger, let rows = batch.records.readings {
            let strangers = rows.count { $0.parameter.rawValue == stranger }
            if strangers > 0 { return .unregistered([stranger], isWhole: strangers == rows.count) }
        }
        if let earlier = state.applied[batch.id] {
            #expect(earlier.digest == batch.digest, "a batch came back changed")
            return .known
        }
        state.applied[batch.id] = batch
        state.order.append(batch.id)
        return .landed
    }

    var session: Int { state.withLock(\.session) }

    var batches: [Batch] { state.withLock { Array($0.applied.values) } }
    var rows: Int { batches.reduce(0) { $0 + $1.records.count } }
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
        directory: String, seed: UInt64 = 1, logger: Logger = TestDatabase.quiet,
        _ body: (BatchWriter) async throws -> Void
    ) async throws {
        var random = SeededGenerator(seed: seed)
        let spool = try Spool(directory: directory, random: &random)
        let writer = try BatchWriter(spool: spool, sink: sink, time: time, logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await writer.run() }
            try await body(writer)
            group.cancelAll()
            try await group.waitForAll()
        }
        try spool.close()
    }

    @Test("what is accepted during an outage begins no sleep for each record")
    func sleepsOnce() async throws {
        let clock = CountingTime(time)
        try await SpoolFixture.withSpool { spool, _ in
            let writer = try BatchWriter(
                spool: spool, sink: UnreachableSink(), time: clock, logger: SpoolFixture.quiet)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await writer.run() }
                try await writer.append(SpoolFixture.rows(1), machine: 1)
                try await eventually("it is tried again later") { time.sleeperCount == 1 }
                for _ in 0..<300 { try await writer.append(SpoolFixture.rows(1), machine: 1) }
                #expect(clock.sleeps < 30)
                group.cancelAll()
                try await group.waitForAll()
            }
            #expect(time.sleeperCount == 0)
        }
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

    @Test("the same fault is told once, however often it is met")
    func toldOnce() async throws {
        let book = LogBook()
        try await withTemporaryDirectory { directory in
            try await withWriter(directory: directory, logger: book.logger()) { writer in
                sink.state.withLock { $0.script = Array(repeating: .transient, count: 3) }
                try await writer.append(Self.gap, machine: 1)
                try await eventually("landed") {
                    time.advance(by: .seconds(5))
                    return writer.statistics.landed == 1
                }
                #expect(writer.statistics.failedAttempts == 3 && book.count(.warning) == 1)
            }
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

    @Test("what somebody has to repair is held and tried slowly; what comes after it does not wait for it")
    func held() async throws {
        try await withTemporaryDirectory { directory in
            try await withWriter(directory: directory) { writer in
                sink.state.withLock { $0.script = [.misconfigured] }
                try await writer.append(Self.gap, machine: 1)
                try await eventually("held") { writer.statistics.heldBecause == "scripted" }
                try await writer.append(Self.gap, machine: 1)
                try await eventually("the second landed") { writer.statistics.landed == 1 }
                #expect(writer.statistics.spooled == 1 && writer.statistics.isBalanced)
                await time.waitForSleepers(1)
                time.advance(by: .seconds(29))
                #expect(sink.state.withLock(\.attempts) == 2)
                time.advance(by: .seconds(31))
                try await eventually("all landed") { writer.statistics.spooled == 0 }
                try await eventually("nothing is held") { writer.statistics.heldBecause == nil }
            }
            #expect(sink.state.withLock { $0.order.map(\.number) } == [2, 1])
        }
    }

    @Test("a bad row becomes a dead letter with its reason, the others land", arguments: [1, 37, 64])
    func deadLetter(place: Int32) async throws {
        try await withTemporaryDirectory { directory in
            try await withWriter(directory: directory) { writer in
                sink.state.withLock { $0.poison = place }
                try await writer.append(SpoolFixture.rows(64), machine: 1)
                try await eventually("all landed") { writer.statistics.spooled == 0 }
                let statistics = writer.statistics
                #expect(statistics.landed == 63 && statistics.deadLettered == 1 && statistics.isBalanced)
            }
            let letters = sink.batches.flatMap { batch -> [DeadLetter] in
                if case .deadLetters(let letters) = batch.records { letters } else { [] }
            }
            #expect(sink.rows == 64 && letters.count == 1)
            let letter = try #require(letters.first)
            #expect(letter.evidence.sqlState == "23514" && letter.evidence.constraint == "some_check")
            #expect(letter.evidence.detail == "it has a \u{2400} in it", "PostgreSQL could not store it otherwise")
            guard case .history(let rows) = try letter.record() else {
                Issue.record("another kind")
                return
            }
            #expect(rows.map(\.parameter.rawValue) == [place])
        }
    }

    @Test("many bad rows with one fault are taken for a fault of the database: few are buried, the rest is held")
    func systemic() async throws {
        try await withTemporaryDirectory { directory in
            try await withWriter(directory: directory) { writer in
                sink.state.withLock { $0.poison = 1 }
                let bad = Records.history(Array(repeating: Self.row(1), count: 40))
                try await writer.append(bad, machine: 1)
                try await eventually("held") { writer.statistics.heldBecause != nil }
                #expect(writer.statistics.isBalanced && writer.statistics.deadLettered <= SystemicGuard.benefitOfDoubt)
                sink.state.withLock { $0.poison = nil }
                await time.waitForSleepers(1)
                time.advance(by: .seconds(60))
                try await eventually("all landed") { writer.statistics.spooled == 0 }
                #expect(writer.statistics.isBalanced)
            }
            #expect(sink.rows == 40)
        }
    }

    private static func row(_ parameter: Int32) -> HistoryRow {
        HistoryRow(
            parameter: ParameterID(rawValue: parameter), time: Timestamp(microseconds: 1), value: 1, quality: .good)
    }

    @Test("what the database has confirmed and forgotten is sent again, and the account says so")
    func forgotten() async throws {
        try await withTemporaryDirectory { directory in
            try await withWriter(directory: directory) { writer in
                for _ in 0..<5 { try await writer.append(Self.gap, machine: 1) }
                try await eventually("all landed") { writer.statistics.spooled == 0 }
                let lost = sink.state.withLock { state -> Int in
                    let lost = state.applied.keys.filter { $0.number.isMultiple(of: 2) }
                    for id in lost { state.applied[id] = nil }
                    state.script = [.unsent]
                    return lost.count
                }
                #expect(lost > 0)
                try await writer.append(Self.gap, machine: 1)
                await time.waitForSleepers(1)
                time.advance(by: .seconds(5))
                try await eventually("all landed") {
                    writer.statistics.spooled == 0 && writer.statistics.resurrected == lost
                }
                #expect(writer.statistics.isBalanced)
            }
            #expect(sink.rows == 6)
        }
    }

    @Test("readings of a parameter that nobody has registered wait, and count as landed only when they are there")
    func unregistered() async throws {
        try await withTemporaryDirectory { directory in
            try await withWriter(directory: directory) { writer in
                sink.state.withLock { $0.stranger = 2 }
                try await writer.append(SpoolFixture.rows(3), machine: 1)
                try await eventually("the others landed") { writer.statistics.landed == 2 }
                try await eventually("it says why") { writer.statistics.heldBecause != nil }
                #expect(sink.rows == 2 && writer.statistics.spooled == 1 && writer.statistics.isBalanced)
                sink.state.withLock { $0.stranger = nil }
                try await eventually("all landed") {
                    time.advance(by: .seconds(60))
                    return writer.statistics.spooled == 0
                }
            }
            #expect(sink.rows == 3)
        }
    }

    @Test("a sink that does not speak of every batch has confirmed none")
    func silentSink() async throws {
        try await withTemporaryDirectory { directory in
            try await withWriter(directory: directory) { writer in
                sink.state.withLock { $0.isSilent = true }
                try await writer.append(Self.gap, machine: 1)
                try await eventually("it is a fault") { writer.statistics.failedAttempts == 1 }
                #expect(writer.statistics.landed == 0 && writer.statistics.spooled == 1)
            }
        }
    }

    @Test("a batch that has landed after all when its name is to be closed is confirmed, and not sent again")
    func landedAfterAll() async throws {
        try await withTemporaryDirectory { directory in
            try await withWriter(directory: directory) { writer in
                sink.state.withLock { ($0.script, $0.isLate) = ([.poison], true) }
                try await writer.append(Self.gap, machine: 1)
                try await eventually("landed") { writer.statistics.landed == 1 }
                try await eventually("nothing waits") { writer.statistics.spooled == 0 }
            }
            #expect(sink.rows == 1 && sink.state.withLock(\.attempts) == 1)
        }
    }

    @Test("what somebody else has decided of a batch is done, under the names that were decided")
    func decidedBefore() async throws {
        try await withTemporaryDirectory { directory in
            try await withWriter(directory: directory) { writer in
                let first = BatchID(origin: -99, number: 7)
                sink.state.withLock { ($0.poison, $0.decided) = (1, BatchCut(way: .halves, first: first)) }
                try await writer.append(SpoolFixture.rows(4), machine: 1)
                try await eventually("all landed") { writer.statistics.spooled == 0 }
                #expect(writer.statistics.landed == 3 && writer.statistics.deadLettered == 1)
            }
            let landed = sink.state.withLock { $0.applied.keys.map(\.self) }
            #expect(landed.contains(BatchID(origin: -99, number: 8)), "the half without the bad record: \(landed)")
        }
    }

    @Test("a dead letter says how often its batch was tried, before it was held too")
    func attempts() async throws {
        try await withTemporaryDirectory { directory in
            try await withWriter(directory: directory) { writer in
                sink.state.withLock { ($0.script, $0.poison) = ([.misconfigured], 1) }
                try await writer.append(SpoolFixture.rows(1), machine: 1)
                try await eventually("held") { writer.statistics.heldBecause != nil }
                await time.waitForSleepers(1)
                time.advance(by: .seconds(60))
                try await eventually("buried") { writer.statistics.deadLettered == 1 }
            }
            guard case .deadLetters(let letters)? = sink.batches.first?.records else {
                Issue.record("no letter")
                return
            }
            #expect(letters.map(\.attempts) == [2])
        }
    }

    @Test("a database that forgot while nobody used the connection is asked as soon as there is another one")
    func forgottenWhileIdle() async throws {
        try await withTemporaryDirectory { directory in
            try await withWriter(directory: directory) { writer in
                for _ in 0..<5 { try await writer.append(Self.gap, machine: 1) }
                for _ in 0..<5 { try await writer.append(Self.gap, machine: 2) }
                try await eventually("all landed") { writer.statistics.spooled == 0 && writer.statistics.isReconciled }
                let lost = sink.state.withLock { state -> Int in
                    let lost = state.applied.keys.filter { $0.number.isMultiple(of: 2) }
                    for id in lost { state.applied[id] = nil }
                    state.session += 1
                    return lost.count
                }
                #expect(lost > 0)
                try await writer.append(Self.gap, machine: 1)
                try await eventually("all landed") {
                    writer.statistics.spooled == 0 && writer.statistics.resurrected == lost
                }
                #expect(writer.statistics.isBalanced && writer.statistics.failedAttempts == 0)
            }
            #expect(sink.rows == 11)
        }
    }

    @Test(
        "an answer that waited while this process stood still says what the database had when it was asked",
        arguments: [false, true])
    func lateAnswer(isCompared: Bool) async throws {
        var configuration = SpoolFixture.small
        (configuration.segmentAge, configuration.retainedWindow) = (.seconds(1), .seconds(100))
        let time = time
        try await SpoolFixture.withSpool(configuration, time: time) { spool, _ in
            let writer = try BatchWriter(spool: spool, sink: sink, time: time, logger: SpoolFixture.quiet)
            func land() async throws {
                try await writer.append(Self.gap, machine: 1)
                try await eventually("landed") { writer.statistics.spooled == 0 && writer.statistics.isReconciled }
                try await spool.tidyUp()
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await writer.run() }
                for _ in 0..<4 {
                    try await land()
                    time.advance(by: .seconds(2))
                }
                sink.state.withLock { state in
                    let stand: @Sendable () -> Void = { time.advance(by: .seconds(1000)) }
                    if isCompared {
                        // The delivery notices another connection; then the ledger is asked, file by file.
                        (state.session, state.beforeComparison) = (state.session + 1, (5, stand))
                    } else {
                        state.beforeAnswer = stand
                    }
                }
                try await land()
                #expect(try await spool.retained().count == 5, "nobody has asked for a thousand seconds")
                try await land()
                #expect(try await spool.retained().count < 3)
                group.cancelAll()
            }
        }
    }

    /// - Parameter restarts: whether the process ends in between, and delivers nothing before the database is restored.
    @Test(
        "a restored database that is away for longer than confirmed batches are kept gets them all the same",
        arguments: [false, true])
    func restoredAndAway(restarts: Bool) async throws {
        var configuration = SpoolFixture.small
        (configuration.segmentAge, configuration.retainedWindow) = (.seconds(1), .seconds(100))
        func live(_ directory: String, seed: UInt64, _ body: (Spool, BatchWriter) async throws -> Void) async throws {
            let spool = try SpoolFixture.open(directory, seed: seed, configuration, time: time)
            let writer = try BatchWriter(spool: spool, sink: sink, time: time, logger: SpoolFixture.quiet)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await writer.run() }
                try await eventually("compared") { writer.statistics.isReconciled }
                try await body(spool, writer)
                group.cancelAll()
            }
            try spool.close()
        }
        func land(_ writer: BatchWriter) async throws {
            try await writer.append(Self.gap, machine: 1)
            try await eventually("landed") { writer.statistics.spooled == 0 && writer.statistics.isReconciled }
        }
        func restoreAndReturn(_ spool: Spool, _ writer: BatchWriter) async throws {
            sink.state.withLock { ($0.applied, $0.session) = ([:], $0.session + 1) }
            time.advance(by: .seconds(1000))
            try await spool.tidyUp()
            try await writer.append(Self.gap, machine: 1)
            try await eventually("all landed and compared") {
                let statistics = writer.statistics
                return statistics.spooled == 0 && statistics.resurrected == 6 && statistics.isReconciled
            }
            #expect(sink.rows == 7)
            // From here on the time counts again.
            time.advance(by: .seconds(101))
            try await land(writer)
            try await spool.tidyUp()
            #expect(try await spool.retained().count < 3)
        }
        try await withTemporaryDirectory { directory in
            try await live(directory, seed: 1) { spool, writer in
                for _ in 0..<6 {
                    try await land(writer)
                    // Each in a file of its own.
                    time.advance(by: .seconds(2))
                }
                if !restarts { try await restoreAndReturn(spool, writer) }
            }
            guard restarts else { return }
            try await live(directory, seed: 2, restoreAndReturn)
        }
    }

    @Test("a batch of a form that only a later version knows waits for that, and others go on beside it")
    func unknownFormat() async throws {
        try await withTemporaryDirectory { directory in
            var records = EncodedRecords(Self.gap, machine: 1)
            records.format = 99
            let batch = records.sealed(
                BatchID(origin: 5, number: 1), at: SpoolPosition(segment: 1, row: 1),
                acceptedAt: Timestamp(microseconds: 1), parent: nil)
            let segment = try SpoolSegment(index: 1, path: directory + "/segment-1-0.sqlite")
            try segment.write([batch], progress: [])
            try segment.close()
            try await withWriter(directory: directory) { writer in
                try await writer.append(Self.gap, machine: 1)
                try await eventually("the other one landed") { writer.statistics.landed == 1 }
                try await eventually("it says why") {
                    writer.statistics.heldBecause == "a batch in the spool cannot be read"
                }
                #expect(writer.statistics.spooled == 1 && writer.statistics.isBalanced)
            }
            let spool = try SpoolFixture.open(directory, seed: 9)
            let left = try await SpoolFixture.all(spool)
            #expect(left.map(\.header) == [batch.header] && left.map(\.payload) == [batch.payload])
            #expect(try await spool.losses().isEmpty)
            try spool.close()
        }
    }

    @Test("the breaker is seen from outside and stops nobody from appending")
    func breaker() async throws {
        try await withTemporaryDirectory { directory in
            try await withWriter(directory: directory) { writer in
                sink.state.withLock { $0.script = Array(repeating: .resource, count: 1) }
                try await writer.append(Self.gap, machine: 1)
                try await eventually("open") { writer.statistics.breaker == .open }
                for _ in 0..<50 { try await writer.append(Self.gap, machine: 1) }
                #expect(writer.statistics.accepted == 51 && writer.statistics.spooled == 51)
                await time.waitForSleepers(1)
                time.advance(by: .seconds(5))
                try await eventually("all landed") { writer.statistics.spooled == 0 }
            }
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
