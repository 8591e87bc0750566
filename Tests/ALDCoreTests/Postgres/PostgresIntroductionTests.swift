import ALDTestKit
import Foundation
import Testing

@testable import ALDCore

extension PostgresServerTests {
    /// What a new session is told and asked.
    @Suite(.serialized) struct Introductions {
        private func connect(_ change: (inout PostgresConfiguration) -> Void) async throws -> PostgresConnection {
            var configuration = try PostgresTestServer.configuration()
            change(&configuration)
            return try await PostgresConnection.connect(configuration, deadline: .patience, logger: TestPlace.logger)
        }

        private func setting(_ name: String, _ connection: PostgresConnection) async throws -> String {
            let result = try await connection.query("SELECT current_setting($1)", [.text(name)], deadline: .patience)
            return try #require(result.first).decode(0, as: String.self)
        }

        private let timeouts = PostgresTimeouts(
            lock: .milliseconds(1500), statement: .seconds(3), idleInTransaction: .seconds(90))

        @Test(arguments: [PostgresPooling.automatic, .none, .session])
        func timeLimitsAreSetWhereTheSessionIsOurs(pooling: PostgresPooling) async throws {
            let connection = try await connect {
                $0.pooling = pooling
                $0.timeouts = timeouts
            }
            #expect(await !connection.isPooled)
            #expect(await connection.isBehindPooler == (pooling == .session))
            #expect(try await setting("lock_timeout", connection) == "1500ms")
            #expect(try await setting("statement_timeout", connection) == "3s")
            #expect(try await setting("idle_in_transaction_session_timeout", connection) == "90s")
            #expect(await connection.isClean)
            await connection.close()
        }

        @Test func behindATransactionPoolerTheyAreSetInTransactions() async throws {
            let connection = try await connect {
                $0.pooling = .transaction
                $0.timeouts = timeouts
            }
            #expect(await connection.isPooled)
            #expect(try await setting("lock_timeout", connection) == "0")
            try await connection.execute(
                script: "BEGIN; " + timeouts.setLocal, deadline: .patience)
            #expect(try await setting("lock_timeout", connection) == "1500ms")
            #expect(try await setting("statement_timeout", connection) == "3s")
            try await connection.execute(script: "COMMIT", deadline: .patience)
            #expect(try await setting("lock_timeout", connection) == "0")
            // Nothing is prepared there.
            _ = try await connection.query(prepared: "SELECT 1", deadline: .patience)
            let count = try await connection.query("SELECT count(*) FROM pg_prepared_statements", deadline: .patience)
            #expect(try count[0].decode(0, as: Int.self) == 0)
            await connection.close()
        }

        /// The server stops (SIGSTOP) while it answers the first question: the connect ends at its deadline, however long
        /// a statement that is given up may wait for its confirmation.
        @Test func aServerThatFreezesInTheMiddleDelaysNobody() async throws {
            let owner = try await connect { _ in }
            try await owner.execute(script: "CREATE DATABASE frozen", deadline: .patience)
            let keeper = try await connect {
                $0 = $0.withDatabase("frozen")
                $0.pooling = .none
            }
            try await keeper.execute(
                script: """
                    SET allow_system_table_mods = on;
                    ALTER FUNCTION pg_catalog.pg_backend_pid() RENAME TO true_backend_pid;
                    CREATE FUNCTION pg_catalog.pg_backend_pid() RETURNS int LANGUAGE plpgsql AS
                    $$ BEGIN COPY (SELECT) TO PROGRAM 'kill -STOP $PPID'; RETURN 1; END $$
                    """, deadline: .patience)
            await keeper.close()
            let configuration = try PostgresTestServer.configuration().withDatabase("frozen")
            let deadline = MonotonicInstant.soon(.seconds(4))
            let (error, punctuality) = try await Punctuality.measured(deadline) {
                try await failure {
                    _ = try await PostgresConnection.connect(
                        configuration, deadline: deadline, logger: TestPlace.logger, grace: .seconds(30),
                        lookUp: NameResolution.addresses)
                }
            }
            #expect(error.code == .timedOut && error.effect == .notSent, "\(error)")
            #expect(punctuality.isKept, "\(punctuality)")
            let rows = try await owner.query(
                "SELECT pid FROM pg_stat_activity WHERE datname = 'frozen'", deadline: .patience)
            let frozen = try rows.map { try $0.decode(0, as: Int32.self) }
            #expect(frozen.count == 1)
            for process in frozen {
                let status = try String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)
                #expect(status.contains(") T "), "it was frozen indeed: \(status)")
                kill(process, SIGCONT)
            }
            await owner.close()
        }

        /// A direct server that refuses the question is neither taken for a pooler nor silently left without limits.
        @Test func aServerThatMayNotAnswerIsNoPooler() async throws {
            let owner = try await connect { _ in }
            try await owner.execute(script: "CREATE ROLE mute LOGIN", deadline: .patience)
            try await owner.execute(script: "CREATE DATABASE mute", deadline: .patience)
            await owner.close()
            // Not asked, or the place would be known as direct by this one.
            let keeper = try await connect {
                $0 = $0.withDatabase("mute")
                $0.pooling = .none
            }
            try await keeper.execute(
                script: "REVOKE EXECUTE ON FUNCTION pg_backend_pid() FROM PUBLIC", deadline: .patience)
            await keeper.close()
            let options = try PostgresTestServer.configuration().options
            let host = ConnectionStringValue.quoted(options["host"] ?? "")
            let mute = try PostgresConfiguration(
                connectionString: "host=\(host) port=\(options["port"] ?? "5432") user=mute dbname=mute")
            let error = try await failure { _ = try await connect { $0 = mute } }
            #expect(error.code == .connectionFailed && error.effect == .notSent, "\(error)")
            #expect(error.cause?.sqlState?.rawValue == "42501" && error.remedy?.contains("pooling") == true)
            // Who says what stands there is not asked.
            let told = try await connect {
                $0 = mute
                $0.pooling = .none
            }
            #expect(await !told.isPooled)
            #expect(await !told.isBehindPooler)
            await told.close()
        }

        /// The limits are nested: each gives up before the next one, and says so in its own words.
        @Test func theInnermostLimitSpeaksFirst() async throws {
            let holder = try await connect { _ in }
            try await holder.execute(script: "BEGIN; SELECT pg_advisory_xact_lock(77)", deadline: .patience)
            let time = ManualTime()
            func outcome(_ limits: PostgresTimeouts, _ deadline: Duration) async throws -> PostgresError {
                var configuration = try PostgresTestServer.configuration()
                configuration.timeouts = limits
                let connection = try await PostgresConnection.connect(
                    configuration, deadline: time.now + .seconds(60), time: time, logger: TestPlace.logger,
                    grace: .seconds(60), lookUp: NameResolution.addresses)
                let error = try await failure {
                    _ = try await connection.query("SELECT pg_advisory_xact_lock(77)", deadline: time.now + deadline)
                }
                #expect(await connection.isClean)
                await connection.close()
                return error
            }
            let lock = try await outcome(
                PostgresTimeouts(lock: .milliseconds(20), statement: .seconds(50)), .seconds(60))
            #expect(lock.sqlState == .lockNotAvailable && lock.code == .queryFailed)
            let statement = try await outcome(PostgresTimeouts(statement: .milliseconds(20)), .seconds(60))
            #expect(statement.sqlState == .queryCanceled && statement.code == .queryFailed)
            let client = try await outcome(PostgresTimeouts(statement: .seconds(50)), .milliseconds(20))
            #expect(client.sqlState == .queryCanceled && client.code == .timedOut)
            await holder.close()
        }

        @Test func aPingIsARoundTripThatChangesNothing() async throws {
            let connection = try await connect { _ in }
            #expect(try await connection.ping(deadline: .patience) > .zero)
            try await connection.execute(script: "BEGIN", deadline: .patience)
            try await connection.ping(deadline: .patience)
            #expect(await connection.transactionStatus == .inTransaction)
            let pid = await connection.backendProcessID
            let killer = try await connect { _ in }
            _ = try await killer.query("SELECT pg_terminate_backend($1)", [.int4(pid)], deadline: .patience)
            let error = try await failure { try await connection.ping(deadline: .patience) }
            #expect(error.code == .connectionLost)
            #expect(await !connection.isUsable)
            await killer.close()
        }

        @Test func aPingWithoutAnswerClosesTheConnection() async throws {
            let time = ManualTime()
            let connection = try await PostgresTestServer.connect(time: time, grace: .milliseconds(100))
            let pid = await connection.backendProcessID
            #expect(kill(pid, SIGSTOP) == 0)
            let error = try await failure { try await connection.ping(deadline: time.now + .milliseconds(20)) }
            #expect(kill(pid, SIGCONT) == 0)
            #expect(error.code == .timedOut)
            #expect(await !connection.isUsable)
        }
    }
}

@Suite(.background) struct PoolerRecognitionTests {
    @Test func aProcessNumberThatCannotBeOneBetraysAPooler() {
        func judge(_ declared: PostgresPooling, _ announced: Int32, known: Bool = false) -> PoolerFingerprint.Judgement
        {
            PoolerFingerprint.judge(declared, announced: announced, isKnownDirect: known)
        }
        for announced in [0, -5, Int32.min, .max, PoolerFingerprint.maximumProcessID + 1] {
            #expect(judge(.automatic, announced, known: true) == .pooled)
            #expect(judge(.none, announced) == .direct)
            #expect(judge(.session, announced) == .direct)
        }
        #expect(judge(.automatic, 4711) == .ask)
        #expect(judge(.automatic, 4711, known: true) == .direct)
        #expect(judge(.transaction, 4711, known: true) == .pooled)
    }

    @Test(arguments: [
        (
            SQLState.protocolViolation, "no more connections allowed (max_client_conn)",
            PostgresError.Code.tooManyConnections
        ),
        (.protocolViolation, "query_wait_timeout", .tooManyConnections),
        (.protocolViolation, "server login has been failing, try again later (server_login_retry)", .connectionFailed),
        (.protocolViolation, "no such database: nowhere", .databaseMissing),
        (.protocolViolation, "unsupported startup parameter: options", .configurationInvalid),
        (.internalError, "(EMAXCONN) max client connections reached, limit: 200", .tooManyConnections),
        (.internalError, "(EMAXCONNSESSION) max clients reached in session mode", .tooManyConnections),
        (.internalError, "(ECHECKOUTTIMEOUT) unable to check out connection from the pool", .tooManyConnections),
        (
            .internalError,
            "(ECIRCUITBREAKER) too many authentication failures, new connections are temporarily blocked",
            .authenticationFailed
        ),
        (.internalError, "(ECIRCUITBREAKER) failed to retrieve database credentials", .tooManyConnections),
        (.internalError, "(ENOTFOUND) tenant/user x not found", .authenticationFailed),
    ])
    func aPoolersFaultIsKnownByItsWords(state: SQLState, message: String, code: PostgresError.Code) {
        #expect(PoolerFault(state: state, message: message)?.code == code)
        let error = PostgresError(
            connectFailure: "connection to server failed: FATAL:  \(state): \(message)", place: "h",
            redaction: Redaction([:]))
        #expect(error.code == code && error.sqlState == state)
    }

    @Test func theSameWordsOfAServerMeanNothing() {
        #expect(PoolerFault(state: .uniqueViolation, message: "query_wait_timeout") == nil)
        #expect(PoolerFault(state: .protocolViolation, message: "(EMAXCONN)") == nil)
        #expect(PoolerFault(state: .internalError, message: "cache lookup failed (EX) of (EFFORT)") == nil)
    }

    @Test func onlyAPoolersOwnErrorsProveIt() {
        func proves(_ state: SQLState?, _ message: String = "scripted") -> Bool {
            var error = PostgresError(.queryFailed, message)
            error.sqlState = state
            return PoolerFingerprint.isPoolers(error)
        }
        #expect(proves(.protocolViolation, "extended query protocol not supported by admin console"))
        #expect(proves(.internalError, "(EANYTHING) of Supavisor"))
        for state in ["57014", "42501", "53200", "42883", "22023", "42601", "0A000"] {
            #expect(!proves(SQLState(rawValue: state)), "\(state)")
        }
        #expect(!proves(.internalError, "cache lookup failed") && !proves(nil))
    }

    @Test func limitsThatCannotWorkAreRefusedTogether() {
        let limits = PostgresTimeouts(lock: .seconds(3), statement: .seconds(3), idleInTransaction: .zero)
        let error = #expect(throws: PostgresError.self) { try limits.validate() }
        #expect(error?.code == .configurationInvalid)
        #expect(error?.message.contains("lock_timeout") == true && error?.message.contains("idle_in") == true)
        #expect(throws: Never.self) { try PostgresTimeouts().validate() }
        #expect(PostgresTimeouts().setLocal.isEmpty)
        #expect(
            PostgresTimeouts(lock: .milliseconds(5), statement: .seconds(1)).setLocal
                == "SET LOCAL lock_timeout = 5; SET LOCAL statement_timeout = 1000")
    }
}
