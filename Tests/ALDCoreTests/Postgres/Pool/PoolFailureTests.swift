import ALDTestKit
import Foundation
import Testing

@testable import ALDCore

/// Peers that fail, each in its own way: a caller is told why, at his deadline, and nobody has to help the pool
/// afterwards.
@Suite(.serialized, .place) struct PoolFailureTests {
    private func local(_ port: Int) throws -> PostgresConfiguration {
        try PostgresConfiguration(connectionString: "host=127.0.0.1 port=\(port) user=x dbname=y")
    }

    // MARK: Nobody there

    @Test func refused() async throws {
        let listener = try SilentListener(accepts: false)
        defer { listener.close() }
        try await PoolRig.withPool(local(listener.port)) { pool in
            let error = try await PoolRig.refusalAfterFailedConnect(pool)
            #expect(error.code == .connectionFailed && error.pool?.reason == .refused, "\(error)")
            #expect(error.cause?.place == "127.0.0.1:\(listener.port)/y")
        }
    }

    @Test func aPeerThatNeverAnswers() async throws {
        let listener = try SilentListener()
        defer { listener.close() }
        // However long the callers take on a busy machine, the first connect has not failed yet.
        try await PoolRig.withPool(local(listener.port)) {
            $0.connectTimeout = .seconds(600)
        } _: { pool in
            // Nor have the callers' deadlines passed before they ask.
            let error = try await PoolRig.refusal(pool, within: .seconds(3))
            #expect(error.code == .timedOut && error.pool?.reason == .connecting, "\(error)")
        }
        try await PoolRig.withPool(local(listener.port)) {
            $0.connectTimeout = .milliseconds(50)
        } _: { pool in
            let error = try await PoolRig.refusalAfterFailedConnect(pool)
            #expect(error.code == .timedOut && error.pool?.reason == .unanswered, "\(error)")
        }
    }

    /// The resolver hangs on a thread of its own; the caller does not.
    @Test func aNameServerThatHangs() async throws {
        let isOver = DispatchSemaphore(value: 0)
        defer { isOver.signal() }
        let configuration = try PostgresConfiguration(connectionString: "host=db.invalid user=x dbname=y")
        try await PoolRig.withPool(configuration) {
            $0.connectTimeout = .milliseconds(50)
        } lookUp: { _ in
            isOver.wait()
            isOver.signal()
            return .success([])
        } _: { pool in
            let error = try await PoolRig.refusalAfterFailedConnect(pool)
            #expect(error.code == .nameResolutionFailed && error.pool?.reason == .nameResolution, "\(error)")
            #expect(error.cause?.place == "db.invalid")
        }
    }

    /// Of several hosts, those whose names cannot be looked up leave time for one that can be reached; when there is
    /// none, callers are told so in time.
    @Test func nameServersThatHangForSeveralHosts() async throws {
        let isOver = DispatchSemaphore(value: 0)
        defer { isOver.signal() }
        let hang: NameResolution.LookUp = { _ in
            isOver.wait()
            isOver.signal()
            return .success([])
        }
        try await ServerHands.withServer { server in
            let string = server.connectionString.replacing("host=", with: "host=one.invalid,two.invalid,")
            let configuration = try PostgresConfiguration(connectionString: string)
            try await PoolRig.withPool(configuration) { _ in
            } lookUp: {
                hang($0)
            } _: { pool in
                let answer = try await PoolRig.ask(pool)
                #expect(answer == 1)
            }
        }
        let nowhere = try PostgresConfiguration(connectionString: "host=one.invalid,two.invalid user=x dbname=y")
        try await PoolRig.withPool(nowhere) {
            $0.connectTimeout = .milliseconds(60)
        } lookUp: {
            hang($0)
        } _: { pool in
            let error = try await PoolRig.refusalAfterFailedConnect(pool)
            #expect(error.code == .nameResolutionFailed && error.pool?.reason == .nameResolution, "\(error)")
            #expect(error.cause?.context?.contains("two.invalid") == true, "both are named")
        }
    }

    // MARK: Somebody there who does not want

    /// Who insists on TLS is told that the server has none; waiting does not heal that, so nobody waits.
    @Test func aServerWithoutTLS() async throws {
        try await ServerHands.withServer { server in
            let address = "127." + (0..<3).map { _ in "\(UInt8.random(in: 1...250))" }.joined(separator: ".")
            try await server.stop()
            try server.append("listen_addresses = '\(address)'")
            try await server.start()
            for mode in ["require", "verify-full"] {
                let configuration = try PostgresConfiguration(
                    connectionString: "host=\(address) user=ald dbname=ald sslmode=\(mode) sslrootcert=/etc/hostname")
                try await PoolRig.withPool(configuration) { pool in
                    let error = try await failure {
                        try await pool.withConnection(holder: "careful", deadline: .patience) { _ in }
                    }
                    #expect(error.code == .configurationInvalid && error.pool?.reason == .misconfigured, "\(error)")
                    #expect(error.cause?.message.contains("SSL") == true && error.cause?.effect == .notSent, "\(error)")
                    #expect(pool.statistics.timeouts == 0, "nobody waits for his deadline")
                }
            }
            try await server.stop()
            try server.append("listen_addresses = ''")
            try await server.start()
        }
    }

    /// A primary whose role may not write is none for who wants to.
    @Test func aReadOnlyPrimary() async throws {
        try await ServerHands.withServer { server in
            try await server.execute(
                "CREATE ROLE looker LOGIN; ALTER ROLE looker SET default_transaction_read_only = on")
            let string = server.connectionString.replacing(
                /user=\S+/, with: "user=looker target_session_attrs=read-write")
            try await PoolRig.withPool(PostgresConfiguration(connectionString: string)) { pool in
                let error = try await PoolRig.refusalAfterFailedConnect(pool)
                #expect(error.code == .notPrimary && error.pool?.reason == .notPrimary, "\(error)")
                try await server.execute("ALTER ROLE looker RESET default_transaction_read_only")
                #expect(try await PoolRig.ask(pool) == 1, "whole again")
            }
        }
    }

    @Test func aFullServer() async throws {
        try await ServerHands.withServer { server in
            try await server.stop()
            try server.append("max_connections = 8")
            try await server.start()
            try await withThrowingTaskGroup(of: Void.self) { group in
                let isEnough = Shared(false)
                let turnedAway = Shared(0)
                for _ in 0..<10 {
                    group.addTask {
                        do {
                            let deadline = MonotonicInstant.patience
                            let connection = try await PostgresConnection.connect(
                                server.configuration, deadline: deadline, logger: TestPlace.logger)
                            try await eventually("the others") { isEnough.value }
                            await connection.close()
                        } catch let error as PostgresError where error.code == .tooManyConnections {
                            turnedAway.value += 1
                        }
                    }
                }
                try await withCleanup {
                    try await eventually("the server is full") { turnedAway.value > 0 }
                    try await PoolRig.withPool(server.configuration) { pool in
                        let error = try await PoolRig.refusalAfterFailedConnect(pool)
                        #expect(error.code == .tooManyConnections && error.pool?.reason == .saturated, "\(error)")
                        #expect(error.cause?.sqlState == .tooManyConnections)
                        #expect(pool.statistics.leased == 0)
                        isEnough.value = true
                        #expect(try await PoolRig.ask(pool) == 1, "whole again")
                    }
                } cleanup: {
                    isEnough.value = true
                }
                try await group.waitForAll()
            }
        }
    }

    @Test func aWrongPasswordFailsEverybodyAtOnce() async throws {
        try await ServerHands.withServer { server in
            let file = server.directory + "/data/pg_hba.conf"
            try await server.execute("CREATE ROLE guarded LOGIN PASSWORD 'right'")
            try "local all guarded scram-sha-256\nlocal all all trust\n".write(
                toFile: file, atomically: false, encoding: .utf8)
            try await server.execute("SELECT pg_reload_conf()")
            let string = server.connectionString.replacing(/user=\S+/, with: "user=guarded password=wrong")
            let wrong = try PostgresConfiguration(connectionString: string)
            let password = Shared("wrong")
            try await PoolRig.withPool(
                wrong,
                credentials: { _ in
                    let current = password.value
                    return try PostgresConfiguration(connectionString: string.replacing("=wrong", with: "=\(current)"))
                }
            ) { pool in
                try await eventually("the server has reloaded its rules") {
                    try await failure {
                        try await pool.withConnection(holder: "early", deadline: .soon(.seconds(1))) { _ in
                            throw PostgresError(.misuse, "not yet")
                        }
                    }.code == .authenticationFailed
                }
                let timeouts = pool.statistics.timeouts
                let error = try await failure {
                    try await pool.withConnection(holder: "patient", deadline: .patience) { _ in }
                }
                #expect(error.code == .authenticationFailed && error.pool?.reason == .authentication, "\(error)")
                #expect(pool.statistics.timeouts == timeouts, "nobody waits for his deadline")
                #expect(!"\(error)".contains("wrong"))
                // The password is rotated, and nobody restarts anything.
                password.value = "right"
                try await eventually("the new password is used") { try await PoolRig.ask(pool) == 1 }
            }
        }
    }

    @Test func aServerThatIsStillStarting() async throws {
        try await ServerHands.withServer { server in
            try await PoolRig.withPool(server.configuration) { pool in
                #expect(try await PoolRig.ask(pool) == 1)
                try await server.stop()
                try server.becomeStandby(true, acceptsReaders: false)
                try await server.start(waits: false)
                try await eventually("the server refuses by itself") {
                    try await PoolRig.refusal(pool).pool?.reason == .starting
                }
                let error = try await PoolRig.refusal(pool)
                #expect(error.code == .serverStarting && error.cause?.sqlState == .cannotConnectNow, "\(error)")
                try await server.stop()
                try server.becomeStandby(false)
                try await server.start()
                #expect(try await PoolRig.ask(pool) == 1, "whole again")
            }
        }
    }

    /// A real standby, asked for a primary; then the same one promoted under a pool that has not asked.
    @Test func aStandbyThatIsPromoted() async throws {
        try await ServerHands.withServer { server in
            try await server.execute("CREATE TABLE t(i int)")
            try await server.stop()
            try server.becomeStandby(true)
            try await server.start()
            let picky = try PostgresConfiguration(
                connectionString: server.connectionString + " target_session_attrs=read-write")
            try await PoolRig.withPool(picky) { pool in
                let error = try await PoolRig.refusalAfterFailedConnect(pool)
                #expect(error.code == .notPrimary && error.pool?.reason == .notPrimary, "\(error)")
            }
            let record = LogRecord()
            try await PoolRig.withPool(server.configuration, logger: record.logger()) { pool in
                @Sendable func write() async throws {
                    try await pool.withConnection(holder: "writer", lane: .writer, deadline: .patience) { connection in
                        _ = try await connection.query("INSERT INTO t VALUES (1)", deadline: .patience)
                    }
                }
                #expect(try await PoolRig.ask(pool) == 1)
                let error = try await failure { try await write() }
                #expect(error.code == .notPrimary && error.sqlState == .readOnlyTransaction)
                #expect(pool.statistics.generation == 1)
                #expect(record.text.contains("all connections are being replaced"))
                try await server.promote()
                try await eventually("the new primary is used") {
                    do {
                        try await write()
                        return true
                    } catch let error as PostgresError where error.code == .notPrimary {
                        return false
                    }
                }
            }
        }
    }

    // MARK: Silence

    /// SIGSTOP: the kernel still answers for the server, the server does not, neither new connections nor old ones.
    @Test func aServerThatIsStopped() async throws {
        try await ServerHands.withServer { server in
            let record = LogRecord()
            try await PoolRig.withPool(
                server.configuration,
                {
                    $0.pingAfter = .zero
                    $0.pingTimeout = .milliseconds(50)
                }, logger: record.logger()
            ) { pool in
                #expect(try await PoolRig.ask(pool) == 1)
                server.signal(SIGSTOP)
                let error = try await PoolRig.refusal(pool)
                #expect(error.code == .timedOut && error.pool?.reason == .connecting, "\(error)")
                #expect(pool.statistics.deadAtLease == 1 && record.text.contains("found dead"))
                server.signal(SIGCONT)
                #expect(try await PoolRig.ask(pool) == 1, "whole again")
            }
        }
    }

    @Test func anIdleConnectionWhoseServerIsSilentIsReplacedWithoutAnyCaller() async throws {
        try await ServerHands.withServer { server in
            try await PoolRig.withPool(server.configuration) {
                $0.minimumConnections = 1
                $0.keepAlive = .milliseconds(50)
                $0.pingTimeout = .milliseconds(50)
            } _: { pool in
                try await eventually("it is open") { pool.statistics.idle == 1 }
                server.signal(SIGSTOP)
                try await eventually("it is found dead") { pool.statistics.closes[.dead] > 0 }
                server.signal(SIGCONT)
                try await eventually("it is replaced") { pool.statistics.idle == 1 }
            }
        }
    }

    // MARK: Holders

    @Test func aBackendThatIsTerminatedIsReplacedAndToldOf() async throws {
        try await ServerHands.withServer { server in
            let record = LogRecord()
            try await PoolRig.withPool(server.configuration, { $0.maximumConnections = 1 }, logger: record.logger()) {
                pool in
                let error = try await failure {
                    try await pool.withConnection(holder: "victim", deadline: .patience) { connection in
                        let process = await connection.backendProcessID
                        try await server.execute("SELECT pg_terminate_backend(\(process))")
                        _ = try await connection.query("SELECT pg_sleep(60)", deadline: .patience)
                    }
                }
                #expect(error.code == .connectionLost, "\(error)")
                #expect(try await PoolRig.ask(pool) == 1, "whole again")
                #expect(pool.statistics.closes[.unclean] == 1)
                #expect(record.text.contains("came back unusable"))
            }
        }
    }

    /// The holder never gives it back: he is named, his statement cancelled, his connection closed; the next one is
    /// served, and what the holder does at last harms nobody.
    @Test func aLeakedConnectionIsTakenBack() async throws {
        try await ServerHands.withServer { server in
            let record = LogRecord()
            try await PoolRig.withPool(
                server.configuration,
                {
                    $0.maximumConnections = 1
                    $0.leaseLimits = LeaseLimits(
                        warning: .milliseconds(500), cancellation: .seconds(2), reclaim: .seconds(8))
                }, logger: record.logger()
            ) { pool in
                try await pool.withConnection(holder: "forgetful", deadline: .patience) { connection in
                    let cancelled = try await failure {
                        _ = try await connection.query("SELECT pg_sleep(60)", deadline: .patience)
                    }
                    #expect(cancelled.code == .queryFailed && cancelled.sqlState == .queryCanceled, "\(cancelled)")
                    #expect(try await PoolRig.ask(pool, "next") == 1)
                    let late = try await failure { _ = try await connection.query("SELECT 1", deadline: .patience) }
                    #expect(late.code == .connectionLost, "\(late)")
                }
                #expect(pool.statistics.lateReturns == 1 && pool.statistics.reclaimed == 1)
                #expect(try await PoolRig.ask(pool) == 1)
                let text = record.text
                for word in ["lent for very long", "its statement is cancelled", "closed and replaced"] {
                    #expect(text.contains(word), "\(text)")
                }
                #expect(
                    text.contains("holder=forgetful") && text.contains("source=ALDCoreTests/PoolFailureTests.swift:"))
            }
        }
    }

    @Test func aPausedPoolIsDrainedForAFailOverAndServesAgain() async throws {
        try await ServerHands.withServer { server in
            try await PoolRig.withPool(server.configuration) { pool in
                #expect(try await PoolRig.ask(pool) == 1)
                try await pool.withConnection(holder: "slow", deadline: .patience) { _ in
                    pool.pause(reason: "switch-over")
                    let error = try await failure {
                        try await pool.waitUntilDrained(deadline: .soon(.milliseconds(20)))
                    }
                    #expect(error.code == .timedOut && error.message.contains("slow"))
                }
                try await pool.waitUntilDrained(deadline: .patience)
                #expect(pool.statistics.total == 0)
                let error = try await PoolRig.refusal(pool)
                #expect(error.code == .poolPaused && error.pool?.reason == .paused("switch-over"), "\(error)")
                async let answer = PoolRig.ask(pool)
                try await eventually("somebody waits") { pool.statistics.waiting == 1 }
                try await server.stop()
                try await server.start()
                pool.resume()
                #expect(try await answer == 1)
            }
        }
    }
}
