import ALDTestKit
import Foundation
import Synchronization
import Testing

@testable import ALDCore

extension SchemaServerTests {
    /// A schema of an earlier version that is full: it takes its time, and recording does not wait for it.
    @Suite struct SchemaUpgrades {
        private static func slow(_ seconds: Double) -> Migrator {
            Migrator(
                migrations: Migration.all + [
                    Migration(
                        version: SchemaDatabase.newest + 1, name: "slow", script: "SELECT pg_sleep(\(seconds))")
                ])
        }

        private static let machine = MachineRegistration(
            machine: 7, name: "Old",
            entries: [
                .init(
                    id: 1, component: "Heater", name: "temperature", unit: "", dataType: "float", minimum: 0,
                    maximum: 100, readLocation: "i 0", writeLocation: "h 0")
            ])

        /// Runs `body` with a sink and its pool.
        private static func withSink(
            _ database: PostgresConfiguration, _ registration: MachineRegistration = machine,
            _ body: @Sendable (PostgresSink) async throws -> Void
        ) async throws {
            let pool = try ConnectionPool(
                configuration: database, pool: PoolConfiguration(), logger: TestDatabase.quiet)
            let sink = PostgresSink(pool: pool, registration: registration, logger: TestDatabase.quiet)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await pool.run() }
                try await body(sink)
                group.cancelAll()
            }
        }

        private static func batch() -> Batch {
            let row = HistoryRow(
                parameter: ParameterID(rawValue: 1), time: HistoryDatabase.noon, value: 1, quality: .good)
            let records = Records.history([row])
            let (format, bytes) = BatchCoding.encode(records)
            return Batch(
                id: BatchID(origin: 4, number: 1), machine: 7, records: records,
                digest: BatchCoding.digest(machine: 7, format: format.rawValue, bytes: bytes))
        }

        @Test func theServersLimitsForStatementsDoNotEndAMigrationAndItSaysWhatItIsAt() async throws {
            try await SchemaDatabase.with { connection, _ in
                try await connection.accept(
                    "SET statement_timeout = '2s'; SET idle_in_transaction_session_timeout = '2s'")
                let told = ToldMigrations()
                let outcome = try await Self.slow(4).migrate(connection, deadline: .patience) { migration in
                    told.versions.withLock { $0.append(migration.version) }
                }
                #expect(outcome.applied == [SchemaDatabase.newest + 1])
                #expect(told.versions.withLock(\.self) == outcome.applied)
                let limit = try await connection.rows("SELECT current_setting('statement_timeout') AS allowed")
                #expect(limit == ["2s"], "only for the migration")
            }
        }

        /// What Ctrl-C does to `ald database migrate`: nothing goes on at the server, and nothing was changed.
        @Test func aMigrationThatIsCancelledEndsAtTheServerToo() async throws {
            try await SchemaDatabase.with { connection, database in
                let migration = Task {
                    try await TestDatabase.withConnection(database) { connection, _ in
                        _ = try await Self.slow(600).migrate(connection, deadline: .patience)
                    }
                }
                let sleeping = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
                try await PostgresTestServer.waitUntil("EXISTS (SELECT \(sleeping))", on: connection)
                migration.cancel()
                await #expect(throws: (any Error).self) { try await migration.value }
                try await PostgresTestServer.waitUntil("NOT EXISTS (SELECT \(sleeping))", on: connection)
                #expect(try await Migrator().version(connection, deadline: .patience) == SchemaDatabase.newest)
            }
        }

        @Test func aSinkLeavesAnOlderSchemaAloneAndDeliversWhenItIsUpToDate() async throws {
            try await SchemaDatabase.with(version: 5) { connection, database in
                _ = try await Self.machine.register(connection, deadline: .patience)
                try await Self.withSink(database) { sink in
                    await #expect(throws: Migrator.SchemaTooOld.self) {
                        try await sink.prepare(on: connection, deadline: .patience)
                    }
                    do throws(SinkFault) {
                        _ = try await sink.deliver([Self.batch()], deadline: .patience)
                        Issue.record("delivered")
                    } catch {
                        #expect(error.faultClass == .unsent && error.message.contains("`ald database migrate`"))
                    }
                    #expect(try await Migrator().version(connection, deadline: .patience) == 5)
                    let upgrade = Task {
                        try await SchemaUpgrade(database: database, logger: TestDatabase.quiet).run()
                    }
                    // Asked again and again, since whoever waits inside of one statement would be in its way.
                    try await eventually("the schema is up to date") {
                        try await Migrator().version(connection, deadline: .patience) == SchemaDatabase.newest
                    }
                    #expect(try await sink.deliver([Self.batch()], deadline: .patience) == [.landed])
                    upgrade.cancel()
                    try await upgrade.value
                }
            }
        }

        /// A lock that somebody holds is gone a moment later.
        @Test func anUpgradeThatFailedIsTriedAgain() async throws {
            try await SchemaDatabase.with { connection, database in
                // What a sequence has given out does not come back with the transaction.
                try await connection.accept("CREATE SEQUENCE public.tries")
                let version = SchemaDatabase.newest + 1
                let script = "SELECT 1 / (nextval('public.tries') - 1)"
                let migrator = Migrator(
                    migrations: Migration.all + [Migration(version: version, name: "twice", script: script)])
                let upgrade = Task {
                    try await SchemaUpgrade(
                        database: database, migrator: migrator, time: SystemTime(), logger: TestDatabase.quiet
                    ).run()
                }
                try await eventually("the schema is up to date at the second try") {
                    try await migrator.version(connection, deadline: .patience) == version
                }
                upgrade.cancel()
                try await upgrade.value
            }
        }

        /// That the database belongs to another machine is told before anything is accepted.
        @Test func anotherMachineIsRefusedOnAnOlderSchemaToo() async throws {
            try await SchemaDatabase.with(version: 2) { connection, database in
                try await connection.accept(Migrations.old)
                var other = Self.machine
                other.name = "New"
                try await Self.withSink(database, other) { sink in
                    await #expect(throws: MachineRegistration.Conflict.self) {
                        try await sink.prepare(on: connection, deadline: .patience)
                    }
                }
            }
        }

        /// Story: another migrator holds the lock for as long as it likes; values are accepted all the while.
        @Test func aRecorderAcceptsWhileTheSchemaIsBroughtUpToDate() async throws {
            try await SchemaDatabase.with(version: 5) { connection, database in
                try await connection.accept("SELECT pg_advisory_lock(hashtext('ald.schema'))")
                try await withTemporaryDirectory { directory in
                    let recorder = try MachineRecorder(
                        url: "\(database)", directory: directory + "/rows", machine: 7, name: "Oven",
                        parameters: ["temperature"], logger: TestDatabase.quiet)
                    try await recorder.recording { recorder in
                        try await recorder.append(["temperature": 451.5])
                        #expect(recorder.statistics.spooled == 1)
                        #expect(try await Migrator().version(connection, deadline: .patience) == 5)
                        try await connection.accept("SELECT pg_advisory_unlock(hashtext('ald.schema'))")
                        try await eventually("landed, \(recorder.statistics)") { recorder.statistics.landed == 1 }
                    }
                    #expect(
                        try await connection.rows("SELECT value FROM ald.parameter_value_history") == ["451.5"])
                }
            }
        }

        /// Somebody has begun something about a process and gone to lunch; the machine's recorder waits for its turn.
        @Test func aTransactionThatWasLeftOpenDoesNotHoldUpRecordingForLong() async throws {
            try await SchemaDatabase.with { connection, database in
                try await connection.accept(
                    SchemaDatabase.plant + "SELECT ald.ensure_history_partitions('2026-01-07', 1)")
                var forgetful = database
                forgetful.timeouts = .recording
                forgetful.timeouts.idleInTransaction = .milliseconds(100)
                try await TestDatabase.withConnection(forgetful) { session, _ in
                    try await session.accept(
                        "BEGIN; INSERT INTO ald.process_executions (machine_id, operator) VALUES (1, 'o')")
                    let receipt = try await SynchronizedRecorder(machine: 1).record(
                        [
                            HistoryRow(
                                parameter: ParameterID(rawValue: 1), time: HistoryDatabase.noon, value: 1,
                                quality: .good)
                        ], transaction: UUID(), on: connection, deadline: .soon(.seconds(30)))
                    #expect(receipt.historyRows == 1)
                }
            }
        }

        @Test func whatARecorderIsLimitedToFitsTogether() throws {
            let limits = PostgresTimeouts.recording
            try limits.validate()
            let attempt = BatchWriter.Configuration().attemptTimeout
            let (lock, statement) = (try #require(limits.lock), try #require(limits.statement))
            #expect(lock < attempt, "who waits for a lock learns so")
            #expect(statement > attempt, "a delivery is ended by its own deadline")
            // The ledger is pruned after two days at the earliest, see `retention_ledger`.
            #expect(statement * 1000 < .seconds(2 * 86_400))
        }
    }
}

private final class ToldMigrations: Sendable {
    let versions = Mutex<[Int32]>([])
}
