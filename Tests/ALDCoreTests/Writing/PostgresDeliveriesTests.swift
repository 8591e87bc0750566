import ALDTestKit
import Testing

@testable import ALDCore

/// Several batches in one transaction, names that are closed, what the ledger has forgotten, and a whole writer before a
/// database that refuses.
@Suite("Deliveries to PostgreSQL", .server, .serialized, .timeLimit(.minutes(2))) struct PostgresDeliveriesTests {
    private typealias Sink = PostgresSinkTests

    private static func execute(_ script: String, _ database: PostgresConfiguration) async throws {
        try await TestDatabase.withConnection(database) { connection, deadline in
            _ = try await connection.execute(script: script, deadline: deadline)
        }
    }

    private static func header(_ batch: Batch) -> BatchHeader {
        EncodedRecords(batch.records, machine: batch.machine).sealed(
            batch.id, at: SpoolPosition(segment: 1, row: batch.id.number), acceptedAt: Sink.day, parent: nil
        ).header
    }

    @Test("several batches land in one transaction; one that had landed is recognised beside them")
    func several() async throws {
        try await Sink.withSink { sink, database, deadline in
            let first = try await sink.deliver([Sink.batch(1)], deadline: deadline)
            let mixed = try await sink.deliver((1...40).map { Sink.batch($0) }, deadline: deadline)
            #expect(first == [.landed] && mixed == [.known] + Array(repeating: .landed, count: 39))
            #expect(try await Sink.rows(database) == 80)
            let transactions = "SELECT count(DISTINCT xmin::text) FROM ald_history.ingest_batches"
            #expect(try await TestDatabase.number(transactions, database) == 2)
        }
    }

    @Test("days without a partition are created for all batches of a delivery")
    func partitions() async throws {
        try await Sink.withSink { sink, database, deadline in
            let batches = (1...4).map { Sink.batch($0, at: Sink.day.advanced(by: .seconds(-86_400 * 50 * $0))) }
            let landings = try await sink.deliver(batches, deadline: deadline)
            let entries = try await TestDatabase.number("SELECT count(*) FROM ald.ingest_batches", database)
            #expect(landings == Array(repeating: .landed, count: 4) && entries == 4)
        }
    }

    @Test(
        "a bad row at any place takes the whole delivery with it, and the fault names the rule", arguments: [1, 2, 3])
    func poison(place: Int64) async throws {
        try await Sink.withSink { sink, database, deadline in
            let contradiction = HistoryRow(
                parameter: ParameterID(rawValue: 1), time: Sink.day, value: nil, quality: .good)
            let batches = (1...3).map { number in
                number == place ? Sink.sealed(.history([contradiction]), number: number) : Sink.batch(number)
            }
            do throws(SinkFault) {
                _ = try await sink.deliver(batches, deadline: deadline)
                Issue.record("accepted")
            } catch {
                #expect(error.faultClass == .poison)
                #expect(error.evidence?.constraint == "value_present_unless_bad")
            }
            let entries = try await TestDatabase.number("SELECT count(*) FROM ald.ingest_batches", database)
            #expect(entries == 0)
        }
    }

    @Test("a closed name stays closed, for every attempt that comes later; a batch that had landed cannot be closed")
    func void() async throws {
        try await Sink.withSink { sink, database, deadline in
            for number in [5, 8] as [Int64] {
                let closing = try await sink.void(Sink.batch(1), as: Self.cut(.around(1), number), deadline: deadline)
                #expect(closing == .closed(Self.cut(.around(1), 5)), "who was first has decided")
            }
            let late = try await sink.deliver([Sink.batch(1), Sink.batch(2)], deadline: deadline)
            #expect(late == [.collision, .landed])
            let landed = try await sink.void(Sink.batch(2), as: Self.cut(.halves, 11), deadline: deadline)
            let other = try await sink.void(Sink.batch(2, value: 7), as: Self.cut(.halves, 14), deadline: deadline)
            let rows = try await Sink.rows(database)
            #expect(landed == .landed && other == .collision && rows == 2)
        }
    }

    private static func cut(_ way: BatchCut.Way, _ number: Int64) -> BatchCut {
        var cut = BatchCut(way: way, first: BatchID(origin: -77, number: number))
        if way.letterRow(of: 2) != nil {
            var evidence = FaultEvidence(message: "refused", sqlState: "23514")
            evidence.constraint = "rule \(number)"
            let row = Sink.batch(1).records[1..<2]
            cut.letter = DeadLetter(
                row, batch: BatchID(origin: 42, number: 1), row: 1, refusedAt: Sink.day, attempts: 3,
                evidence: evidence)
        }
        return cut
    }

    /// A part of a batch of the origin 42; those of the origin -77 were decided when it was closed.
    private static func part(_ number: Int64, of parent: Int64, origin: Int64 = -77) -> Batch {
        let row = HistoryRow(
            parameter: ParameterID(rawValue: 1), time: Sink.day, value: Double(number), quality: .good)
        var batch = Sink.sealed(.history([row]), number: number, origin: origin)
        batch.parent = BatchID(origin: 42, number: parent)
        return batch
    }

    @Test("parts land only of the cut that was decided, by whichever way, and not of a batch that landed whole")
    func parts() async throws {
        try await Sink.withSink { sink, database, deadline in
            _ = try await sink.void(Sink.batch(1), as: Self.cut(.halves, 5), deadline: deadline)
            let ours = try await sink.deliver([Self.part(5, of: 1), Sink.batch(2)], deadline: deadline)
            #expect(ours == [.landed, .landed])
            let again = try await sink.deliver([Self.part(5, of: 1), Self.part(6, of: 1)], deadline: deadline)
            #expect(again == [.known, .landed])
            let foreign = Self.part(5, of: 1, origin: -78)
            let refused = try await sink.deliver([foreign, Self.part(7, of: 2)], deadline: deadline)
            #expect(refused == [.collision, .known], "another cut; a part of what is there as a whole")
            let name = try await sink.void(foreign, as: Self.cut(.again, 8), deadline: deadline)
            #expect(name == .collision, "nor can its name be closed, to cut it into parts of parts")
            // The database has forgotten that a name was closed: then a part tells it.
            let known = try await sink.deliver([Self.part(9, of: 3)], deadline: deadline)
            let whole = try await sink.deliver([Sink.batch(3)], deadline: deadline)
            let closed = try await sink.void(Sink.batch(3), as: Self.cut(.halves, 12), deadline: deadline)
            #expect(known == [.landed] && whole == [.collision] && closed == .collision)
            // As writers of earlier versions have closed names.
            let digest = BatchStatement.voidDigest(of: Sink.batch(4)).map {
                String($0 >> 4, radix: 16) + String($0 & 15, radix: 16)
            }
            try await Self.execute(
                "INSERT INTO ald_history.ingest_batches VALUES (\(Sink.machine), 42, 4, 0, '\\x\(digest.joined())')",
                database)
            let earlier = try await sink.void(Sink.batch(4), as: Self.cut(.halves, 15), deadline: deadline)
            let its = try await sink.deliver([Self.part(15, of: 4)], deadline: deadline)
            #expect(earlier == .closed(Self.cut(.halves, 15)) && its == [.landed])
            let rows = try await Sink.rows(database)
            #expect(rows == 6)
        }
    }

    @Test("the ledger is asked for a whole set what it does not know, in the middle of it too, whoever has sent it")
    func missing() async throws {
        try await Sink.withSink { sink, database, deadline in
            // An earlier process has used the same numbers, and so have the parts of batches that were cut.
            let batches = [42, 7, -42].flatMap { (origin: Int64) in
                (1...50).map { Sink.sealed(Sink.batch($0).records, number: $0, origin: origin) }
            }
            _ = try await sink.deliver(batches, deadline: deadline)
            let gone = [(42, 7), (42, 50), (7, 8), (-42, 1)].map { BatchID(origin: $0.0, number: $0.1) }
            for id in gone {
                try await Self.execute(
                    """
                    DELETE FROM ald_history.ingest_batches
                    WHERE origin = \(id.origin) AND batch_number = \(id.number)
                    """, database)
            }
            let missing = try await sink.missing(of: batches.map(Self.header), deadline: deadline)
            #expect(missing?.map(\.id) == gone)
        }
    }

    /// A writer with a spool of its own before `sink`.
    static func withWriter(
        _ sink: PostgresSink, _ body: (BatchWriter) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { directory in
            let spool = try SpoolFixture.open(directory)
            var patience = BatchWriter.Configuration()
            patience.backoff = Backoff.Configuration(base: .milliseconds(10), cap: .milliseconds(50))
            patience.breaker.openTime = patience.backoff
            patience.hold = .milliseconds(50)
            let writer = try BatchWriter(spool: spool, sink: sink, configuration: patience, logger: TestDatabase.quiet)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await writer.run() }
                do {
                    try await body(writer)
                } catch {
                    group.cancelAll()
                    throw error
                }
                group.cancelAll()
                try await group.waitForAll()
            }
            try spool.close()
        }
    }

    @Test("a row the database refuses is found and kept with its reason; the others land", arguments: [1, 13, 32])
    func deadLetter(place: Int) async throws {
        try await Sink.withSink { sink, database, deadline in
            _ = try await sink.deliver([Sink.batch(1000)], deadline: deadline)
            try await Self.execute(
                "ALTER TABLE ald_history.parameter_value_history ADD CONSTRAINT temp_range CHECK (value < 1000)",
                database)
            try await Self.withWriter(sink) { writer in
                let rows = (1...32).map { index in
                    HistoryRow(
                        parameter: ParameterID(rawValue: 1), time: Sink.day, value: index == place ? 5000 : 1,
                        quality: .good)
                }
                try await writer.append(.history(rows), machine: Sink.machine)
                try await eventually("all landed") { writer.statistics.spooled == 0 }
                #expect(writer.statistics.landed == 31 && writer.statistics.deadLettered == 1)
                #expect(writer.statistics.isBalanced)
            }
            #expect(try await Sink.rows(database) == 2 + 31)
            let letters = """
                SELECT count(*) FROM ald.dead_letters WHERE machine_id = 3 AND sqlstate = '23514' AND state = 'open'
                AND constraint_name = 'temp_range' AND octet_length(payload) = 22 AND format = 1
                """
            #expect(try await TestDatabase.number(letters, database) == 1)
        }
    }

    @Test("a table that somebody renames holds what is accepted, and lets it go when it is back")
    func held() async throws {
        try await Sink.withSink { sink, database, deadline in
            _ = try await sink.deliver([Sink.batch(1000)], deadline: deadline)
            try await Self.execute("ALTER TABLE ald_history.collection_gaps RENAME COLUMN cause TO lost", database)
            try await Self.withWriter(sink) { writer in
                let gap = CollectionGap(
                    firstMissedAt: Sink.day, lastMissedAt: Sink.day, instants: 1, cause: .plc, detail: "")
                try await writer.append(.gaps([gap]), machine: Sink.machine)
                try await eventually("held") { writer.statistics.heldBecause != nil }
                #expect(writer.statistics.deadLettered == 0 && writer.statistics.spooled == 1)
                // What comes after it does not wait for it.
                try await writer.append(Sink.batch(1).records, machine: Sink.machine)
                try await eventually("history lands") { writer.statistics.landed == 2 }
                try await Self.execute("ALTER TABLE ald_history.collection_gaps RENAME COLUMN lost TO cause", database)
                try await eventually("all landed") { writer.statistics.spooled == 0 }
                #expect(writer.statistics.isBalanced)
            }
        }
    }

    @Test("gaps go on when the history is broken for everybody, and what was held lands when it is mended")
    func otherKinds() async throws {
        try await Sink.withSink { sink, database, deadline in
            _ = try await sink.deliver([Sink.batch(1000)], deadline: deadline)
            try await Self.execute("ALTER TABLE ald_history.process_data_points RENAME TO lost", database)
            try await Self.execute(
                """
                ALTER TABLE ald.process_executions DISABLE TRIGGER USER;
                INSERT INTO ald.process_executions (machine_id, started_at, operator) VALUES (3, '2026-01-01Z', 'Kim')
                """, database)
            try await Self.withWriter(sink) { writer in
                for round in 1...3 {
                    try await writer.append(Sink.batch(1).records, machine: Sink.machine)
                    try await eventually("held, round \(round)") { writer.statistics.heldBecause != nil }
                }
                let gap = CollectionGap(
                    firstMissedAt: Sink.day, lastMissedAt: Sink.day, instants: 1, cause: .plc, detail: "")
                try await writer.append(.gaps([gap]), machine: Sink.machine)
                try await eventually("the gap lands") { writer.statistics.landed == 1 }
                #expect(writer.statistics.spooled == 6 && writer.statistics.deadLettered == 0)
                try await Self.execute("ALTER TABLE ald_history.lost RENAME TO process_data_points", database)
                try await eventually("all landed") { writer.statistics.spooled == 0 }
                #expect(writer.statistics.isBalanced)
            }
            let points = try await TestDatabase.number("SELECT count(*) FROM ald.process_data_points", database)
            #expect(points == 6)
        }
    }

    @Test("readings of 1970 are refused at once with the reason; those of 2100 land")
    func oddTimes() async throws {
        try await Sink.withSink { sink, database, deadline in
            try await Self.withWriter(sink) { writer in
                for time in [0, 946_684_799_999_999, 7_258_118_400_000_000] as [Int64] {
                    do throws(SpoolError) {
                        let never = Sink.batch(1, at: Timestamp(microseconds: time)).records
                        try await writer.append(never, machine: Sink.machine)
                        Issue.record("accepted")
                    } catch {
                        #expect(error.code == .invalidRecord && error.message.contains("check the clock"))
                    }
                }
                for time in [946_684_800_000_000, 4_102_444_800_000_000, 7_258_118_399_999_999] as [Int64] {
                    let odd = Sink.batch(1, at: Timestamp(microseconds: time)).records
                    try await writer.append(odd, machine: Sink.machine)
                }
                try await eventually("all landed, \(writer.statistics)") { writer.statistics.landed == 6 }
                #expect(writer.statistics.accepted == 6 && writer.statistics.failedAttempts == 0)
            }
            let odd = "SELECT count(*) FROM ald.parameter_value_history WHERE sampled_at < '2000-01-02Z' OR "
            #expect(try await TestDatabase.number(odd + "sampled_at >= '2100-01-01Z'", database) == 6)
        }
    }

    /// A clock that was never set.
    private struct UnsetClock: TimeSource {
        private let system = SystemTime()
        var now: MonotonicInstant { system.now }
        var wallClock: Timestamp { Timestamp(microseconds: 60_000_000) }
        /// Nobody waits by it.
        func sleep(until deadline: MonotonicInstant) async throws { throw CancellationError() }
        func call(at deadline: MonotonicInstant, _ action: @escaping @Sendable () -> Void) -> any ScheduledCall {
            system.call(at: deadline, action)
        }
    }

    @Test("what was accepted while the clock was right lands also when it is wrong now")
    func unsetClock() async throws {
        try await Sink.withSink(time: UnsetClock()) { sink, database, deadline in
            let landings = try await sink.deliver([Sink.batch(1)], deadline: deadline)
            let rows = try await Sink.rows(database)
            #expect(landings == [.landed] && rows == 2)
        }
    }

    @Test("readings of 1970 that an earlier version accepted are held after a few dead letters; newer ones pass them")
    func oldSpool() async throws {
        try await Sink.withSink { sink, database, deadline in
            try await Self.withWriter(sink) { writer in
                let never = Sink.batch(1, at: Timestamp(microseconds: 1)).records
                for _ in 0..<10 { _ = try await writer.spool.append(never, machine: Sink.machine) }
                try await writer.append(Sink.batch(1).records, machine: Sink.machine)
                try await eventually("the newer ones landed, the others are held, \(writer.statistics)") {
                    writer.statistics.landed == 2 && writer.statistics.heldBecause != nil
                }
                let reason = writer.statistics.heldBecause ?? ""
                #expect(reason.contains("1970-01-01 cannot be recorded"))
                #expect(writer.statistics.deadLettered <= SystemicGuard.benefitOfDoubt && writer.statistics.isBalanced)
            }
        }
    }

    private static func register(_ parameters: Int32..., in database: PostgresConfiguration) async throws {
        var more = Sink.registration()
        for number in parameters {
            var entry = more.entries[0]
            (entry.id, entry.name) = (number, "pressure \(number)")
            more.entries.append(entry)
        }
        let registration = more
        try await TestDatabase.withConnection(database) { connection, deadline in
            _ = try await registration.register(connection, deadline: deadline)
        }
    }

    private static func cycle(_ second: Int, _ parameters: Int32...) -> Records {
        .history(
            parameters.map { parameter in
                HistoryRow(
                    parameter: ParameterID(rawValue: parameter), time: Sink.day.advanced(by: .seconds(second)),
                    value: Double(second), quality: .good)
            })
    }

    @Test(
        "readings of parameters that nobody has registered wait by themselves; each lands once somebody registers it"
    )
    func unregistered() async throws {
        try await Sink.withSink { sink, database, deadline in
            _ = try await sink.deliver([Sink.batch(1000)], deadline: deadline)
            try await Self.withWriter(sink) { writer in
                // In every cycle, also in the first that there is to send, some are of strangers.
                for second in 1...20 {
                    try await writer.append(Self.cycle(second, 77, 1, 78, 1), machine: Sink.machine)
                    if second == 10 {
                        try await eventually("half landed") { writer.statistics.landed == 20 }
                    }
                }
                try await eventually("the others landed and these are held, \(writer.statistics)") {
                    writer.statistics.landed == 40
                        && writer.statistics.heldBecause?.contains("not registered: 77, 78") ?? false
                }
                #expect(writer.statistics.deadLettered == 0 && writer.statistics.spooled == 40)
                try await Self.register(77, in: database)
                try await eventually("one is known now, \(writer.statistics)") { writer.statistics.landed == 60 }
                #expect(writer.statistics.spooled == 20)
                try await Self.register(77, 78, in: database)
                try await eventually("all landed") { writer.statistics.spooled == 0 }
                #expect(writer.statistics.isBalanced && writer.statistics.deadLettered == 0)
            }
            #expect(try await Sink.rows(database) == 2 + 80)
            let distinct =
                "SELECT count(*) FROM (SELECT DISTINCT parameter_id, sampled_at FROM ald.parameter_value_history) d"
            #expect(try await TestDatabase.number(distinct, database) == 61)
        }
    }

    @Test("a restored database that knows a parameter no more is asked again, and the machine registered again")
    func restored() async throws {
        try await Sink.withSink { sink, database, deadline in
            _ = try await sink.deliver([Sink.batch(1000)], deadline: deadline)
            try await Self.register(77, in: database)
            _ = try await sink.deliver([Sink.sealed(Self.cycle(1, 77, 1), number: 1)], deadline: deadline)
            try await Self.execute(
                """
                SET session_replication_role = replica;
                DELETE FROM ald.component_parameters;
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE pid <> pg_backend_pid() AND datname = current_database()
                """, database)
            let batches = [
                Sink.sealed(Self.cycle(2, 77, 1), number: 2), Sink.sealed(Self.cycle(3, 1), number: 3),
                Sink.sealed(Self.cycle(4, 77), number: 4),
            ]
            var landings: [BatchLanding] = []
            try await eventually("it answers again") {
                do throws(SinkFault) {
                    landings = try await sink.deliver(batches, deadline: deadline)
                    return true
                } catch {
                    return false
                }
            }
            #expect(landings == [.unregistered([77], isWhole: false), .landed, .unregistered([77], isWhole: true)])
            #expect(try await Sink.rows(database) == 2 + 3)
        }
    }

    @Test("two writers that deliver the same batches in another order never wait for each other")
    func orderOfClaims() async throws {
        try await TestDatabase.withDatabase { lease in
            let pool = try ConnectionPool(configuration: lease.configuration, logger: TestDatabase.quiet)
            let sink = PostgresSink(
                pool: pool, registration: Sink.registration(), recording: .historyOnly, time: SystemTime(),
                logger: TestDatabase.quiet)
            let deadline = SystemTime().now + .seconds(60)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await pool.run() }
                _ = try await sink.deliver([Sink.batch(1_000_000)], deadline: deadline)
                for round in 0..<20 {
                    let batches = (0..<8).map { Sink.batch(Int64(round * 8 + $0 + 1)) }
                    async let forth = sink.deliver(batches, deadline: deadline)
                    async let back = sink.deliver(batches.reversed(), deadline: deadline)
                    let (first, second) = try await (forth, Array(back.reversed()))
                    for (one, other) in zip(first, second) { #expect(Set([one, other]) == [.landed, .known]) }
                }
                group.cancelAll()
            }
            #expect(try await Sink.rows(lease.configuration) == 2 + 2 * 160)
        }
    }

    @Test("sessions that are ended in the middle of everything lose and double nothing")
    func terminated() async throws {
        try await Sink.withSink { sink, database, deadline in
            _ = try await sink.deliver([Sink.batch(1000)], deadline: deadline)
            try await Self.withWriter(sink) { writer in
                for round in 0..<100 {
                    try await writer.append(Sink.batch(1).records, machine: Sink.machine)
                    if round.isMultiple(of: 10) {
                        try await Self.execute(
                            """
                            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                            WHERE pid <> pg_backend_pid() AND datname = current_database()
                            """, database)
                    }
                }
                try await eventually("all landed, \(writer.statistics)") { writer.statistics.spooled == 0 }
                #expect(writer.statistics.landed == 200 && writer.statistics.isBalanced)
            }
            #expect(try await Sink.rows(database) == 2 + 200)
        }
    }
}
