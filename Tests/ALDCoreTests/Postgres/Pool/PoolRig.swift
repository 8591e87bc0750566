import ALDTestKit
import Foundation
import Logging
import Synchronization
import Testing

@testable import ALDCore

/// What tests of a pool and a real peer have in common.
enum PoolRig {
    /// Runs a pool with short pauses for `body`; afterwards nothing is open and every law holds.
    static func withPool(
        _ configuration: PostgresConfiguration, _ change: (inout PoolConfiguration) -> Void = { _ in },
        credentials: ConnectionPool.Credentials? = nil, logger: Logger = TestPlace.logger,
        lookUp: @escaping NameResolution.LookUp = NameResolution.addresses,
        _ body: @Sendable (ConnectionPool) async throws -> Void
    ) async throws {
        var settings = PoolConfiguration()
        settings.initialBackoff = .milliseconds(20)
        settings.maximumBackoff = .milliseconds(200)
        settings.saturationCooldown = .milliseconds(50)
        change(&settings)
        let pool = try ConnectionPool(
            configuration: configuration, pool: settings, credentials: credentials, logger: logger, lookUp: lookUp)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await pool.run() }
            try await withCleanup {
                try await body(pool)
            } cleanup: {
                group.cancelAll()
                try await group.waitForAll()
            }
        }
        #expect(pool.statistics.total == 0)
        #expect(pool.statistics.brokenLaw == nil)
    }

    static func ask(_ pool: ConnectionPool, _ holder: String = "test") async throws -> Int {
        try await pool.withConnection(holder: holder, deadline: .patience) { connection in
            let result = try await connection.query("SELECT 1 AS one", deadline: .patience)
            return try result.first?.decode("one", as: Int.self) ?? 0
        }
    }

    /// Lets callers with short deadlines ask in vain, several at a time, and returns the error of one who was not turned
    /// away because the breaker is open after the others' failures.
    ///
    /// Every single one of them has to come back within 10 ms of his deadline, see ``Punctuality``.
    static func refusal(
        _ pool: ConnectionPool, within patience: Duration = .milliseconds(150),
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> PostgresError {
        var last: PostgresError?
        for _ in 0..<4 {
            try await withThrowingTaskGroup(of: PostgresError.self) { group in
                for _ in 0..<3 {
                    group.addTask {
                        // When he has his turn: not one whose time is up before he asks.
                        let deadline = MonotonicInstant.soon(patience)
                        let (error, punctuality) = try await Punctuality.measured(deadline) {
                            try await failure(sourceLocation: sourceLocation) {
                                try await pool.withConnection(holder: "caller", deadline: deadline) { _ in }
                            }
                        }
                        #expect(punctuality.isKept, "\(punctuality): \(error)", sourceLocation: sourceLocation)
                        return error
                    }
                }
                for try await error in group {
                    if error.code != .breakerOpen { last = error }
                    #expect(
                        error.code != .breakerOpen || error.cause != nil, "\(error)", sourceLocation: sourceLocation)
                }
            }
        }
        let error = try #require(last, sourceLocation: sourceLocation)
        #expect(error.pool != nil, "\(error)", sourceLocation: sourceLocation)
        return error
    }

    /// The same as soon as connecting has failed once. Until then a caller's time may be up before anybody has an answer.
    static func refusalAfterFailedConnect(
        _ pool: ConnectionPool, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> PostgresError {
        try await eventually("a connect has failed") {
            _ = try await refusal(pool, sourceLocation: sourceLocation)
            return pool.statistics.connectsFailed > 0
        }
        return try await refusal(pool, sourceLocation: sourceLocation)
    }
}

/// A value that a test and what it has started share.
final class Shared<Value: Sendable>: Sendable {
    private let storage: Mutex<Value>

    init(_ value: Value) { storage = Mutex(value) }

    var value: Value {
        get { storage.withLock(\.self) }
        set { storage.withLock { $0 = newValue } }
    }
}

/// What a pool has logged.
final class LogRecord: Sendable {
    private let lines = Mutex<[String]>([])

    var text: String { lines.withLock { $0.joined(separator: "\n") } }

    func logger() -> Logger {
        Logger(label: "test") { _ in Handler(record: self) }
    }

    private struct Handler: LogHandler {
        let record: LogRecord
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.info

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let details = (event.metadata ?? [:]).map { "\($0)=\($1)" }.sorted().joined(separator: " ")
            record.lines.withLock { $0.append("\(event.level) \(event.message) \(details)") }
        }
    }
}

/// A private server under the hands of a test.
struct ServerHands {
    let directory: String
    let configuration: PostgresConfiguration
    let connectionString: String
    private let account: LocalPostgresAccount
    private let program: String

    /// Starts a server for `body`; whatever was done to it, it is stopped afterwards. The tests of a suite with the
    /// trait `.place` share its cluster, since making one takes longer than most of them, and run one after the other.
    static func withServer(_ body: @Sendable (ServerHands) async throws -> Void) async throws {
        guard let place = TestPlace.root else {
            return try await TestDatabase.withPrivateServer { server, lease in
                try await use(server, try #require(lease.directory), lease.configuration, body)
            }
        }
        let directory = place + "/hands"
        // A test that failed may have left it a standby.
        let signal = directory + "/data/standby.signal"
        if FileManager.default.fileExists(atPath: signal) { try FileManager.default.removeItem(atPath: signal) }
        let server = LocalPostgres(
            directory: directory, binaryDirectory: ProcessInfo.processInfo.environment["ALD_POSTGRES_BIN"],
            logger: TestPlace.logger)
        let configuration = try await server.start()
        try await withCleanup {
            try await use(server, directory, configuration, body)
        } cleanup: {
            try await server.stop()
        }
    }

    private static func use(
        _ server: LocalPostgres, _ directory: String, _ configuration: PostgresConfiguration,
        _ body: @Sendable (ServerHands) async throws -> Void
    ) async throws {
        let account = try LocalPostgresAccount.current()
        let binaries = try await LocalPostgresBinaries.find(
            given: ProcessInfo.processInfo.environment["ALD_POSTGRES_BIN"], clusterVersion: nil, account: account,
            in: LocalPostgresBinaries.usualDirectories())
        let hands = ServerHands(
            directory: directory, configuration: configuration,
            connectionString: try #require(await server.connectionString), account: account,
            program: binaries.path("pg_ctl"))
        try await withCleanup {
            try await body(hands)
        } cleanup: {
            hands.signal(SIGCONT)
        }
    }

    func stop() async throws { try await control(["stop", "-m", "immediate", "-w"]) }

    /// - Parameter waits: until it accepts connections.
    func start(waits: Bool = true) async throws {
        try await control(["start", waits ? "-w" : "-W", "-l", directory + "/log/start.log"])
    }

    func promote() async throws { try await control(["promote", "-w"]) }

    private func control(_ arguments: [String]) async throws {
        let outcome = try await account.run(
            program, arguments + ["-D", directory + "/data"], limit: .seconds(60))
        try #require(outcome.isSuccess, "pg_ctl \(arguments): \(outcome.output)")
    }

    /// At the next start it is a standby, or not any more. It has no primary: it waits for one for ever.
    func becomeStandby(_ isStandby: Bool, acceptsReaders: Bool = true) throws {
        let file = directory + "/data/standby.signal"
        if isStandby {
            try "".write(toFile: file, atomically: false, encoding: .utf8)
            try account.own(file)
        } else {
            try FileManager.default.removeItem(atPath: file)
        }
        try append("hot_standby = \(acceptsReaders ? "on" : "off")")
    }

    func append(_ setting: String) throws {
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: directory + "/data/postgresql.conf"))
        try file.seekToEnd()
        try file.write(contentsOf: Data("\n\(setting)\n".utf8))
        try file.close()
    }

    /// To the server and all its processes.
    func signal(_ signal: Int32) {
        guard let server = try? TestDatabase.serverProcess(in: directory) else { return }
        let path = "/proc/\(server)/task/\(server)/children"
        let children = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        for process in [server] + children.split(separator: " ").compactMap({ Int32($0) }) { kill(process, signal) }
    }

    func execute(_ script: String) async throws {
        try await TestDatabase.withConnection(configuration) { connection, deadline in
            try await connection.execute(script: script, deadline: deadline)
        }
    }
}
