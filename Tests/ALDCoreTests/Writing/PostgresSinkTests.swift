import ALDTestKit
import Testing

@testable import ALDCore

/// The ledger and the schema on a real server: what the writer's promise rests on.
@Suite("Landing in PostgreSQL", .server, .serialized, .timeLimit(.minutes(2))) struct PostgresSinkTests {
    static let machine: Int32 = 3
    static let day = Timestamp(microseconds: 1_789_000_000_000_000)

    static func registration(_ name: String = "ALD-3", parameter: String = "temperature") -> MachineRegistration {
        MachineRegistration(
            machine: machine, name: name,
            entries: [
                .init(
                    id: 1, component: "Heater", name: parameter, unit: "°C", dataType: "float", minimum: 0,
                    maximum: 10, readLocation: "input registers 0", writeLocation: nil)
            ])
    }

    static func batch(_ number: Int64, at time: Timestamp = day, value: Double? = 1.5) -> Batch {
        let row = HistoryRow(
            parameter: ParameterID(rawValue: 1), time: time, value: value, quality: value == nil ? .bad : .good)
        return sealed(.history([row, row]), number: number)
    }

    static func sealed(_ records: Records, number: Int64, origin: Int64 = 42) -> Batch {
        let (format, bytes) = BatchCoding.encode(records)
        return Batch(
            id: BatchID(origin: origin, number: number), machine: machine, records: records,
            digest: BatchCoding.digest(machine: machine, format: format.rawValue, bytes: bytes))
    }

    /// Runs `body` with a sink on a database of its own.
    static func withSink(
        time: any TimeSource = SystemTime(),
        _ body: (PostgresSink, PostgresConfiguration, _ deadline: MonotonicInstant) async throws -> Void
    ) async throws {
        try await withPool(time: time) { sink, _, database, deadline in try await body(sink, database, deadline) }
    }

    /// The same for those that look at its pool, too.
    static func withPool(
        time: any TimeSource = SystemTime(),
        _ body: (PostgresSink, ConnectionPool, PostgresConfiguration, _ deadline: MonotonicInstant) async throws -> Void
    ) async throws {
        try await TestDatabase.withDatabase { lease in
            let pool = try ConnectionPool(configuration: lease.configuration, logger: TestDatabase.quiet)
            let sink = PostgresSink(pool: pool, registration: registration(), time: time, logger: TestDatabase.quiet)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await pool.run() }
                try await body(sink, pool, lease.configuration, time.now + .seconds(90))
                group.cancelAll()
            }
        }
    }

    static func rows(_ configuration: PostgresConfiguration) async throws -> Int {
        try await TestDatabase.number("SELECT count(*) FROM ald.parameter_value_history", configuration)
    }

    @Test("a batch lands on an empty database, on a day that has no partition, and only once")
    func exactlyOnce() async throws {
        try await Self.withSink { sink, database, deadline in
            try await sink.apply(Self.batch(1), deadline: deadline)
            #expect(try await Self.rows(database) == 2)
            try await sink.apply(Self.batch(1), deadline: deadline)
            #expect(try await Self.rows(database) == 2)
            try await sink.apply(Self.batch(2), deadline: deadline)
            #expect(try await Self.rows(database) == 4)
            #expect(try await TestDatabase.number("SELECT count(*) FROM ald.ingest_batches", database) == 2)
        }
    }

    @Test("the same batch sent by many at the same time lands once")
    func concurrentDuplicates() async throws {
        try await Self.withSink { sink, database, deadline in
            try await sink.apply(Self.batch(1), deadline: deadline)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<40 {
                    group.addTask { try await sink.apply(Self.batch(Int64(2 + index % 4)), deadline: deadline) }
                }
                try await group.waitForAll()
            }
            #expect(try await Self.rows(database) == 10)
        }
    }

    /// Story: it is midnight, and all who record miss the same partition. One makes it; the others see it from that moment
    /// on, and are told of it a moment later.
    @Test("a partition that many miss at the same time is made once, and what each of them has lands")
    func concurrentPartitions() async throws {
        try await Self.withSink { sink, database, deadline in
            // No more than the pool has connections: who waits for one while the schema is made waits in vain.
            let (days, senders) = (60, 8)
            for day in 0..<days {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for sender in 0..<senders {
                        let batch = Self.batch(
                            Int64(1 + day * senders + sender), at: Self.day.advanced(by: .seconds(day * 86_400)))
                        group.addTask { try await sink.apply(batch, deadline: deadline) }
                    }
                    try await group.waitForAll()
                }
            }
            #expect(try await Self.rows(database) == 2 * days * senders)
        }
    }

    /// Story: a session finds no place for a row, although its partition is there. It is ended, and another one finds it.
    @Test("a session that does not see a partition is ended, and what it had lands by another one, once")
    func blindSession() async throws {
        try await Self.withPool { sink, pool, database, deadline in
            try await sink.apply(Self.batch(1), deadline: deadline)
            // In place of a session that does not see what is there, one for which nothing is made.
            try await TestDatabase.withConnection(database) {
                _ = try await $0.execute(
                    script: """
                        CREATE SEQUENCE public.asked;
                        ALTER FUNCTION ald.ensure_history_partitions RENAME TO really_ensure;
                        CREATE FUNCTION ald.ensure_history_partitions(first_day date, days int) RETURNS int
                        LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
                            IF nextval('public.asked') = 1 THEN RETURN 0; END IF;
                            RETURN ald.really_ensure(first_day, days);
                        END $$;
                        """, deadline: $1)
            }
            try await sink.apply(Self.batch(2, at: Self.day.advanced(by: .seconds(86_400))), deadline: deadline)
            #expect(try await Self.rows(database) == 4)
            #expect(pool.statistics.closes.total == 1)
        }
    }

    /// Story: of two connections one led to a server that is no more. What it has confirmed may be lost, and the other one
    /// goes on as if nothing had been.
    @Test("a connection that ends makes the way to the database another one, though nobody connects")
    func endedConnection() async throws {
        try await Self.withPool { sink, pool, database, deadline in
            try await pool.withConnection(holder: "one", lane: .reader, deadline: deadline) { _ in
                try await pool.withConnection(holder: "other", lane: .reader, deadline: deadline) { _ in }
            }
            let (session, connects) = (sink.session, pool.statistics.connectsSucceeded)
            #expect(connects == 2)
            _ = try await TestDatabase.number(
                """
                SELECT count(pg_terminate_backend(pid)) FROM (
                    SELECT pid FROM pg_stat_activity WHERE \(TestDatabase.otherSessions) LIMIT 1) AS one
                """, database)
            try await eventually("its end is noticed") {
                try await pool.withConnection(holder: "one", lane: .reader, deadline: deadline) { _ in }
                return pool.statistics.closes.total == 1
            }
            #expect(pool.statistics.connectsSucceeded == connects && sink.session != session)
        }
    }

    @Test("another batch under a known name is refused and changes nothing")
    func collision() async throws {
        try await Self.withSink { sink, database, deadline in
            try await sink.apply(Self.batch(1), deadline: deadline)
            do throws(SinkFault) {
                try await sink.apply(Self.batch(1, value: 7), deadline: deadline)
                Issue.record("accepted")
            } catch {
                #expect(error.faultClass == .ownBug && error.message.contains("with other contents"))
            }
            #expect(try await Self.rows(database) == 2)
        }
    }

    @Test("a row the database refuses takes its whole batch with it, ledger entry included")
    func poison() async throws {
        try await Self.withSink { sink, database, deadline in
            let contradiction = HistoryRow(
                parameter: ParameterID(rawValue: 1), time: Self.day, value: nil, quality: .good)
            do throws(SinkFault) {
                try await sink.apply(Self.sealed(.history([contradiction]), number: 1), deadline: deadline)
                Issue.record("accepted")
            } catch {
                #expect(error.faultClass == .poison && error.message.contains("value_present_unless_bad"))
            }
            #expect(try await TestDatabase.number("SELECT count(*) FROM ald.ingest_batches", database) == 0)
            try await sink.apply(Self.batch(1), deadline: deadline)
            #expect(try await Self.rows(database) == 2)
        }
    }

    @Test("a pooler's words from a server that nobody stands before are the server's own")
    func originOfAFault() async throws {
        try await Self.withSink { sink, database, deadline in
            try await sink.apply(Self.batch(1), deadline: deadline)
            try await TestDatabase.withConnection(database) { connection, deadline in
                try await connection.execute(
                    script: """
                        CREATE FUNCTION pretend() RETURNS trigger LANGUAGE plpgsql AS
                        $$ BEGIN RAISE '(EMAXCONN) max client connections reached' USING ERRCODE = 'XX000'; END $$;
                        CREATE TRIGGER pretend BEFORE INSERT ON ald_history.ingest_batches EXECUTE FUNCTION pretend()
                        """, deadline: deadline)
            }
            do throws(SinkFault) {
                try await sink.apply(Self.batch(2), deadline: deadline)
                Issue.record("accepted")
            } catch {
                #expect(error.faultClass == .serverSick, "\(error)")
            }
        }
    }

    @Test("gaps land with cause and extent, once")
    func gaps() async throws {
        try await Self.withSink { sink, database, deadline in
            let gap = CollectionGap(
                firstMissedAt: Self.day, lastMissedAt: Self.day.advanced(by: .seconds(3)), instants: 4, cause: .plc,
                detail: "no answer")
            for _ in 0..<2 { try await sink.apply(Self.sealed(.gaps([gap]), number: 9), deadline: deadline) }
            #expect(
                try await TestDatabase.number(
                    """
                    SELECT count(*) FROM ald.collection_gaps WHERE machine_id = 3 AND instants = 4 AND cause = 'plc'
                    AND detail = 'no answer' AND last_missed_at - first_missed_at = interval '3 s'
                    """, database) == 1)
        }
    }

    @Test("rows keep their value, quality and time to the microsecond")
    func fidelity() async throws {
        try await Self.withSink { sink, database, deadline in
            try await sink.apply(
                Self.batch(1, at: Timestamp(microseconds: Self.day.microseconds + 1)), deadline: deadline)
            try await sink.apply(Self.batch(2, value: nil), deadline: deadline)
            try await TestDatabase.withConnection(database) { connection, deadline in
                let rows = try await connection.query(
                    "SELECT sampled_at, value, quality FROM ald.parameter_value_history ORDER BY sampled_at",
                    deadline: deadline)
                #expect(try rows[0].decode(0, as: Timestamp.self) == Self.day)
                #expect(try rows[0].decode(1, as: Double?.self) == nil)
                #expect(try rows[0].decode(2, as: Int16.self) == 0)
                #expect(try rows[3].decode(0, as: Timestamp.self).microseconds == Self.day.microseconds + 1)
                #expect(try rows[3].decode(1, as: Double?.self) == 1.5)
            }
        }
    }

    @Test("the first delivery makes the whole schema, although its own deadline passes meanwhile")
    func creationOutlivesTheDeadline() async throws {
        try await Self.withSink { sink, database, _ in
            try await TestDatabase.withConnection(database) { other, deadline in
                // Another migrator at work: the schema cannot be made any faster than this allows.
                _ = try await other.execute(
                    script: "BEGIN; SELECT pg_advisory_xact_lock(hashtext('ald.schema'))", deadline: deadline)
                let time = SystemTime()
                let impatient = time.now + .seconds(6)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        // The rows themselves come too late: the next attempt brings them.
                        await #expect(throws: SinkFault.self) {
                            try await sink.apply(Self.batch(1), deadline: impatient)
                        }
                    }
                    await Wakeup().wait(until: impatient + .milliseconds(100), time: time)
                    _ = try await other.execute(script: "COMMIT", deadline: deadline)
                    try await group.waitForAll()
                }
            }
            #expect(try await TestDatabase.number("SELECT count(*) FROM ald.machines", database) == 0)
            try await sink.apply(Self.batch(1), deadline: SystemTime().now + .seconds(30))
            #expect(try await Self.rows(database) == 2)
        }
    }

    @Test("a schema that somebody removes is made again, and what waited lands in it")
    func schemaLost() async throws {
        try await Self.withSink { sink, database, deadline in
            try await sink.apply(Self.batch(1), deadline: deadline)
            try await TestDatabase.withConnection(database) { connection, deadline in
                _ = try await connection.execute(script: "DROP SCHEMA ald, ald_history CASCADE", deadline: deadline)
            }
            await #expect(throws: SinkFault.self) { try await sink.apply(Self.batch(2), deadline: deadline) }
            try await sink.apply(Self.batch(2), deadline: deadline)
            #expect(try await Self.rows(database) == 2)
        }
    }

    @Test("a reader of the history does not hold up the next day, nor other readers")
    func partitionBesideReader() async throws {
        try await Self.withSink { sink, database, deadline in
            try await sink.apply(Self.batch(1), deadline: deadline)
            try await TestDatabase.withConnection(database) { reader, _ in
                _ = try await reader.execute(
                    script: "BEGIN; SELECT count(*) FROM ald.parameter_value_history", deadline: deadline)
                try await sink.apply(
                    Self.batch(2, at: Self.day.advanced(by: .seconds(40 * 86_400))), deadline: deadline)
            }
            #expect(try await Self.rows(database) == 4)
        }
    }

    @Test("several terminals migrate and register at the same time without harm")
    func concurrentMigration() async throws {
        try await TestDatabase.withDatabase { lease in
            try await withThrowingTaskGroup(of: [Int32].self) { group in
                for _ in 0..<6 {
                    group.addTask {
                        try await TestDatabase.withConnection(lease.configuration) { connection, deadline in
                            let outcome = try await Migrator().migrate(connection, deadline: deadline)
                            try await Self.registration().register(connection, deadline: deadline)
                            return outcome.applied
                        }
                    }
                }
                let applied = try await group.reduce(into: []) { $0 += $1 }
                #expect(applied.sorted() == Migration.all.map(\.version))
            }
            #expect(
                try await TestDatabase.number("SELECT count(*) FROM ald.component_parameters", lease.configuration) == 1
            )
        }
    }

    @Test("a migration that fails leaves the schema as it was")
    func failedMigration() async throws {
        try await TestDatabase.withDatabase { lease in
            try await TestDatabase.withConnection(lease.configuration) { connection, deadline in
                let broken = Migrator(
                    migrations: Migration.all + [
                        Migration(version: 90, name: "broken", script: "CREATE TABLE ald.half (a int); SELECT 1/0")
                    ])
                await #expect(throws: PostgresError.self) { try await broken.migrate(connection, deadline: deadline) }
                let exists = try await connection.query(
                    "SELECT to_regclass('ald.half') IS NULL AND to_regclass('ald.machines') IS NULL", deadline: deadline
                )
                #expect(try exists.first?.decode(0, as: Bool.self) == true)
                let mended = try await Migrator().migrate(connection, deadline: deadline)
                #expect(mended.applied == Migration.all.map(\.version))
            }
        }
    }

    @Test("a schema from the future is left alone")
    func futureSchema() async throws {
        try await TestDatabase.withDatabase { lease in
            try await TestDatabase.withConnection(lease.configuration) { connection, deadline in
                _ = try await Migrator().migrate(connection, deadline: deadline)
                _ = try await connection.execute(
                    script: "INSERT INTO ald.schema_migrations VALUES (99, 'later')", deadline: deadline)
                await #expect(throws: Migrator.SchemaTooNew.self) {
                    try await Migrator().migrate(connection, deadline: deadline)
                }
            }
        }
    }

    @Test("limits that an operator has tightened are not widened by the next start of a collector")
    func registrationKeepsLimits() async throws {
        try await TestDatabase.withDatabase { lease in
            try await TestDatabase.withConnection(lease.configuration) { connection, deadline in
                _ = try await Migrator().migrate(connection, deadline: deadline)
                let registration = Self.registration()
                try await registration.register(connection, deadline: deadline)
                let limit = "SELECT max_value::text FROM ald.component_parameters ORDER BY parameter_id LIMIT 1"
                let original = try await connection.query(limit, deadline: deadline).first?.decode(0, as: String.self)
                try await connection.execute(
                    script: "UPDATE ald.component_parameters SET max_value = max_value - 1", deadline: deadline)
                let tightened = try await connection.query(limit, deadline: deadline).first?.decode(0, as: String.self)
                let left = try await registration.register(connection, updatesExisting: false, deadline: deadline)
                #expect(left.differences.map(\.property).contains("max_value"))
                let kept = try await connection.query(limit, deadline: deadline).first?.decode(0, as: String.self)
                #expect(kept == tightened && kept != original)
                try await registration.register(connection, deadline: deadline)
                let updated = try await connection.query(limit, deadline: deadline).first?.decode(0, as: String.self)
                #expect(updated == original)
            }
        }
    }

    @Test("a number never changes its meaning: neither a machine's nor a parameter's")
    func registrationConflicts() async throws {
        try await TestDatabase.withDatabase { lease in
            try await TestDatabase.withConnection(lease.configuration) { connection, deadline in
                _ = try await Migrator().migrate(connection, deadline: deadline)
                try await Self.registration().register(connection, deadline: deadline)
                try await Self.registration().register(connection, deadline: deadline)
                var namesake = Self.registration()
                namesake.machine = 4
                var renumbered = Self.registration()
                renumbered.entries[0].id = 2
                let others = [Self.registration("ALD-4"), Self.registration(parameter: "flow"), namesake, renumbered]
                for other in others {
                    await #expect(throws: MachineRegistration.Conflict.self) {
                        try await other.register(connection, deadline: deadline)
                    }
                }
            }
        }
    }
}
