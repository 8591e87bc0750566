import ALDTestKit
import Logging
import Synchronization
import Testing

@testable import ALDCore

/// A directory for the tests of a suite, made before the first and removed after the last one, also when they fail.
struct PlaceTrait: SuiteTrait, TestTrait, TestScoping {
    let isRecursive = false

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { path in
            try await TestPlace.$root.withValue(path, operation: function)
        }
    }
}

/// A private server for the tests of a suite, started before the first and stopped after the last one, also when
/// they fail. `TestDatabase.withDatabase` makes its databases there.
struct ServerTrait: SuiteTrait, TestTrait, TestScoping {
    let isRecursive = false

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        try await TestDatabase.withPrivateServer { _, lease in
            try await TestDatabase.$server.withValue(lease.configuration, operation: function)
        }
    }
}

/// Everything that needs a server is an extension of this suite: one server for all.
@Suite(.server) struct PostgresServerTests {}

extension Trait where Self == ServerTrait {
    static var server: Self { ServerTrait() }
}

extension Trait where Self == PlaceTrait {
    static var place: Self { PlaceTrait() }
}

enum PostgresTestServer {
    static func configuration() throws -> PostgresConfiguration {
        try #require(TestDatabase.server, "the suite needs the trait .server")
    }

    /// - Parameters:
    ///   - time: deadlines are its instants. On a ``ManualTime``, which stands still, a deadline counts from the
    ///     moment the statement is sent, so it cannot pass before, however busy the machine is.
    ///   - grace: long, so that a server's late confirmation is still one.
    static func connect(
        time: any TimeSource = SystemTime(), grace: Duration = .seconds(60)
    ) async throws -> PostgresConnection {
        try await PostgresConnection.connect(
            try configuration().withApplicationName("test"), deadline: time.now + .seconds(60), time: time,
            logger: TestPlace.logger, grace: grace, lookUp: NameResolution.addresses)
    }

    /// Waits inside the server, not here, until a condition holds: `pg_sleep` in a loop, 60 seconds at most.
    static func waitUntil(_ condition: String, on connection: PostgresConnection) async throws {
        try await connection.execute(
            script: """
                DO $$ BEGIN
                    FOR attempt IN 1..6000 LOOP
                        PERFORM pg_stat_clear_snapshot();
                        IF (\(condition)) THEN RETURN; END IF;
                        PERFORM pg_sleep(0.01);
                    END LOOP;
                    RAISE EXCEPTION 'did not come true: %', $x$\(condition)$x$;
                END $$
                """, deadline: .soon(.seconds(90)))
    }
}

enum TestPlace {
    static let logger: Logger = {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return logger
    }()

    /// Set by the trait `.place`.
    @TaskLocal static var root: String?

    /// The suite's directory for this purpose.
    static func directory(_ purpose: String) throws -> String {
        try #require(root, "the suite needs the trait .place") + "/" + purpose
    }
}

extension MonotonicInstant {
    /// A deadline of the system clock that only a hang reaches.
    static var patience: MonotonicInstant { soon(.seconds(60)) }

    /// A deadline of the system clock.
    static func soon(_ duration: Duration) -> MonotonicInstant { SystemTime().now + duration }
}

/// Runs `body` and returns the error it throws, which must be a `PostgresError`.
func failure(
    sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> Void
) async throws -> PostgresError {
    do {
        try await body()
    } catch let error as PostgresError {
        return error
    }
    return try #require(nil as PostgresError?, "expected a PostgresError", sourceLocation: sourceLocation)
}
