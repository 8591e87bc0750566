import ALDTestKit
import Synchronization
import Testing

@testable import ALDCore

/// A backlog goes into the database by `COPY`. It must leave behind exactly what the function leaves that records a few
/// rows, and be as safe to repeat.
@Suite("Copying into PostgreSQL", .server, .serialized, .timeLimit(.minutes(3))) struct PostgresCopyTests {
    private static let parameters: ClosedRange<Int32> = 1...7
    private static let day = PostgresSinkTests.day

    private static func withDatabase(
        _ body: (PostgresConfiguration, _ deadline: MonotonicInstant) async throws -> Void
    ) async throws {
        try await TestDatabase.withDatabase { lease in
            try await body(lease.configuration, SystemTime().now + .seconds(60))
        }
    }

    /// - Parameter copiedRows: from so many rows on it copies.
    private static func withSink(
        _ database: PostgresConfiguration, copiedRows: Int = 1000,
        _ body: (PostgresSink) async throws -> Void
    ) async throws {
        var registration = PostgresSinkTests.registration()
        let entry = registration.entries[0]
        registration.entries = parameters.map { number in
            var own = entry
            (own.id, own.name) = (number, "parameter \(number)")
            return own
        }
        let pool = try ConnectionPool(configuration: database, logger: TestDatabase.quiet)
        let sink = PostgresSink(
            pool: pool, registration: registration, copiedRows: copiedRows, time: SystemTime(),
            logger: TestDatabase.quiet)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await pool.run() }
            try await body(sink)
            group.cancelAll()
        }
    }

    private static func batch(_ number: Int64, rows: Int, at time: Timestamp = day, bad place: Int? = nil) -> Batch {
        PostgresSinkTests.sealed(
            .history(
                (0..<rows).map { index in
                    HistoryRow(
                        parameter: ParameterID(rawValue: Int32(index % 7 + 1)),
                        time: time.advanced(by: .milliseconds(index)), value: index == place ? nil : Double(index),
                        quality: .good)
                }), number: number)
    }

    private static func randomBatch(_ number: Int64, _ random: inout SeededGenerator) -> Batch {
        // Late, in order, in a process, and so often the newest that several of a delivery have the same instant: later
        // than all before, or what is stored already would win.
        let halfDays: [Int64] = [-20, -3, 7, 20]
        let halfDay = halfDays.randomElement(using: &random) ?? 0
        let base = halfDay * 43_200 + (halfDay == 20 && number < 1000 ? number / 6 * 745 : 0)
        let rows = (0..<Int.random(in: 1...40, using: &random)).map { _ -> HistoryRow in
            let quality: Quality = [.good, .good, .uncertain, .bad].randomElement(using: &random) ?? .good
            let value = [1.5, -0.0, .infinity, 1e308, .leastNonzeroMagnitude, 0.1].randomElement(using: &random) ?? 0
            return HistoryRow(
                parameter: ParameterID(rawValue: Int32.random(in: parameters, using: &random)),
                // Few instants, so that many readings of a parameter have the same one.
                time: day.advanced(by: .seconds(base + Int64.random(in: 0...4, using: &random) * 149)),
                value: quality == .bad ? nil : value, quality: quality)
        }
        return PostgresSinkTests.sealed(.history(rows), number: number)
    }

    /// Everything that landing leaves behind, as text.
    private static func content(_ database: PostgresConfiguration) async throws -> [String] {
        let tables = [
            ("ald_history.parameter_value_history", "*"), ("ald_history.late_values", "*"),
            ("ald_history.process_data_points", "*"),
            // The view, since the order within the arrays of the table depends on what landed together.
            ("ald.component_parameter_values", "*"), ("ald_history.rollup_queue", "DISTINCT machine_id, bucket"),
            (
                "ald_history.ingest_batches",
                "machine_id, origin, batch_number, row_count, sha256, first_at, last_at"
            ),
        ]
        var content: [String] = []
        try await TestDatabase.withConnection(database) { connection, deadline in
            for (table, columns) in tables {
                let rows = try await connection.query(
                    "SELECT t::text FROM (SELECT \(columns) FROM \(table)) t ORDER BY 1", deadline: deadline)
                content += try rows.map { row in table + " " + (try row.decode(0, as: String.self)) }
            }
        }
        return content
    }

    @Test("copied or called, random deliveries leave the same in every table, whatever is known, late or in a process")
    func sameEffects() async throws {
        let seed = TestSeed.draw()
        var found: [[String]] = []
        for copiedRows in [1, Int.max] {
            try await Self.withDatabase { database, deadline in
                try await Self.withSink(database, copiedRows: copiedRows) { sink in
                    var random = SeededGenerator(seed: seed)
                    _ = try await sink.deliver([Self.batch(100_000, rows: 1)], deadline: deadline)
                    try await TestDatabase.withConnection(database) { connection, deadline in
                        _ = try await connection.execute(
                            script: """
                                UPDATE ald_history.retention SET raw_floor = date '2026-09-10' - 6;
                                SELECT ald.forget_batches(3, 42, 3);
                                ALTER TABLE ald.process_executions DISABLE TRIGGER USER;
                                INSERT INTO ald.process_executions (machine_id, started_at, ended_at, operator, status)
                                VALUES (3, timestamptz '2026-09-10Z' + interval '3 days',
                                    timestamptz '2026-09-10Z' + interval '4 days 60 s', 'Kim', 'completed')
                                """, deadline: deadline)
                    }
                    var landings: [BatchLanding] = []
                    for round in 0..<60 {
                        let numbers = (0..<Int.random(in: 1...4, using: &random)).map { Int64(round * 3 + $0) + 1 }
                        var batches: [Batch] = []
                        for number in numbers {
                            var own = SeededGenerator(seed: seed &+ UInt64(number))
                            batches.append(Self.randomBatch(number, &own))
                        }
                        landings += try await sink.deliver(batches, deadline: deadline)
                    }
                    #expect(Set(landings) == [.landed, .known, .forgotten], "seed \(seed)")
                }
                found.append(try await Self.content(database))
            }
        }
        let differences = found[1].difference(from: found[0]).map { "\($0)" }
        #expect(differences == [], "seed \(seed)")
        for table in [
            "ald_history.late_values", "ald_history.process_data_points", "ald.component_parameter_values",
            "ald_history.rollup_queue",
        ] {
            #expect(found[0].contains { $0.hasPrefix(table) }, "nothing in \(table), seed \(seed)")
        }
    }

    @Test("many rows are copied: their entries and rows come in one transaction, and once however often they are sent")
    func exactlyOnce() async throws {
        try await Self.withDatabase { database, deadline in
            try await Self.withSink(database) { sink in
                let batches = (1...4).map { Self.batch($0, rows: 700) }
                let first = try await sink.deliver(batches, deadline: deadline)
                #expect(first == Array(repeating: .landed, count: 4))
                let again = try await sink.deliver(batches, deadline: deadline)
                #expect(again == Array(repeating: .known, count: 4))
                let mixed = try await sink.deliver([batches[3], Self.batch(5, rows: 700)], deadline: deadline)
                #expect(mixed == [.known, .landed])
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for index in 0..<12 {
                        group.addTask {
                            let batches = [6, 7].map { Self.batch(Int64($0 + index % 3), rows: 800) }
                            _ = try await sink.deliver(batches, deadline: deadline)
                        }
                    }
                    try await group.waitForAll()
                }
                #expect(try await PostgresSinkTests.rows(database) == 5 * 700 + 4 * 800)
                // COPY writes rows of one command; the function is called once for every batch.
                let commands = """
                    SELECT count(DISTINCT cmin::text) FROM ald_history.parameter_value_history
                    WHERE xmin = (SELECT xmin FROM ald_history.ingest_batches WHERE batch_number = 1)
                    """
                #expect(try await TestDatabase.number(commands, database) == 1)
            }
        }
    }

    @Test(
        "of many rows the one that the database refuses is named; few are not copied", arguments: [(3, 10), (3, 900)])
    func line(batches count: Int, rows: Int) async throws {
        try await Self.withDatabase { database, deadline in
            try await Self.withSink(database) { sink in
                let batches = (1...count).map { Self.batch(Int64($0), rows: rows, bad: $0 == 2 ? 7 : nil) }
                do throws(SinkFault) {
                    _ = try await sink.deliver(batches, deadline: deadline)
                    Issue.record("accepted")
                } catch {
                    let line = count * rows >= 1000 ? rows + 8 : nil
                    #expect(error.faultClass == .poison && error.evidence?.copyLine == line)
                    #expect(error.evidence?.constraint == "value_present_unless_bad")
                }
                let entries = try await TestDatabase.number("SELECT count(*) FROM ald.ingest_batches", database)
                #expect(entries == 0)
            }
        }
    }

    @Test("sessions that are ended in the middle of a COPY lose and double nothing")
    func terminated() async throws {
        try await Self.withDatabase { database, deadline in
            try await Self.withSink(database) { sink in
                _ = try await sink.deliver([Self.batch(1_000_000, rows: 1)], deadline: deadline)
                try await PostgresDeliveriesTests.withWriter(sink) { writer in
                    for round in 0..<40 {
                        let records = Self.batch(1, rows: 2000, at: Self.day.advanced(by: .seconds(10 * round))).records
                        try await writer.append(records, machine: PostgresSinkTests.machine)
                        guard round.isMultiple(of: 4) else { continue }
                        try await TestDatabase.withConnection(database) { connection, deadline in
                            _ = try await connection.execute(
                                script: """
                                    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                                    WHERE pid <> pg_backend_pid() AND datname = current_database()
                                    """, deadline: deadline)
                        }
                    }
                    try await eventually("all landed, \(writer.statistics)") { writer.statistics.spooled == 0 }
                    #expect(writer.statistics.isBalanced && writer.statistics.deadLettered == 0)
                }
                #expect(try await PostgresSinkTests.rows(database) == 80_001)
            }
        }
    }

    @Test("through a pooler in transaction mode the same lands, and nothing is copied")
    func pooler() async throws {
        try await TestDatabase.withPrivateServer { server, lease in
            let url = try #require(await server.connectionString)
            try await PgBouncer.run(before: url, limits: PgBouncer.Limits()) { pooler in
                let deadline = SystemTime().now + .seconds(60)
                try await Self.withSink(pooler.configuration) { sink in
                    for number in 1...10 {
                        let landings = try await sink.deliver(
                            [Self.batch(Int64(number), rows: 1500)], deadline: deadline)
                        #expect(landings == [.landed])
                    }
                    #expect(sink.prepared.withLock(\.mayCopy) == nil, "nobody has asked whether it may")
                }
                #expect(try await PostgresSinkTests.rows(lease.configuration) == 15_000)
            }
        }
    }

    @Test("a right to copy that somebody takes away costs nothing: the functions are called from then on")
    func lostRight() async throws {
        try await TestDatabase.withPrivateServer { _, lease in
            let database = lease.configuration
            func run(_ script: String) async throws {
                try await TestDatabase.withConnection(database) { connection, deadline in
                    _ = try await connection.execute(script: script, deadline: deadline)
                }
            }
            try await TestDatabase.withConnection(database) { _ = try await Migrator().migrate($0, deadline: $1) }
            try await run(
                """
                CREATE ROLE copier LOGIN IN ROLE ald_collector;
                DO $$ BEGIN EXECUTE format('GRANT %I TO copier', current_user); END $$
                """)
            let words = "\(database)".split(separator: " ").filter { !$0.hasPrefix("user=") } + ["user=copier"]
            let login = try PostgresConfiguration(connectionString: words.joined(separator: " "))
            let deadline = SystemTime().now + .seconds(60)
            try await Self.withSink(login) { sink in
                let first = try await sink.deliver([Self.batch(1, rows: 1500)], deadline: deadline)
                #expect(first == [.landed] && sink.prepared.withLock(\.mayCopy) == true)
                try await run(
                    """
                    INSERT INTO ald.machine_members (member, machine_id) VALUES ('copier', 3);
                    DO $$ BEGIN EXECUTE format('REVOKE %I FROM copier', current_user); END $$
                    """)
                let second = try await sink.deliver([Self.batch(2, rows: 1500)], deadline: deadline)
                #expect(second == [.landed] && sink.prepared.withLock(\.mayCopy) == false)
            }
            #expect(try await PostgresSinkTests.rows(database) == 3000)
        }
    }
}
