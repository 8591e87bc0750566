import ALDCore
import ALDTestKit
import Synchronization
import XCTest

/// The answer to the commit that enters a terminal is lost. Whether it was entered or not, the terminal goes on as one:
/// it does not take its own entry for somebody else's.
final class RegistryDoubtTests: SharedServerTestCase {
    /// A commit that waits for the lock 4711, so that a test can do something to its answer.
    private static let slowCommit = """
        INSERT INTO ald.machines (machine_id, name) VALUES (1, 'ALD-1');
        CREATE FUNCTION slow_commit() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM set_config('lock_timeout', '0', true);
            PERFORM pg_advisory_xact_lock_shared(4711);
            RETURN NULL;
        END $$;
        CREATE CONSTRAINT TRIGGER slow_commit AFTER INSERT ON ald.terminal_instances DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION slow_commit();
        """

    private struct Bench: Sendable {
        var proxy: FaultProxy
        var database: PostgresConfiguration
        var registry: TerminalRegistry
        var displaced: Counted

        func number(_ statement: String) async throws -> Int { try await TestDatabase.number(statement, database) }

        func isCommitting() async throws -> Bool {
            try await number(
                """
                SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                    AND application_name = 'ald registry' AND query = 'COMMIT' AND wait_event = 'advisory'
                """) == 1
        }
    }

    private final class Counted: Sendable {
        let count = Atomic<Int>(0)
    }

    /// A registry of Terminal 3 behind a proxy, which is entered while `body` holds the lock.
    private func withLostAnswer(
        _ directory: String, _ body: @escaping @Sendable (Bench, PostgresConnection) async throws -> Void
    ) async throws {
        let database = try await Self.database()
        try await TestDatabase.withConnection(database) { gate, deadline in
            _ = try await gate.execute(script: Self.slowCommit, deadline: deadline)
            try await FaultProxy.run(to: try ProxiedDatabase.socket(of: database)) { proxy in
                let lock = try TerminalLock(.commands, machine: 1, directory: directory)
                let displaced = Counted()
                var configuration = TerminalRegistry.Configuration(version: "test")
                configuration.heartbeatInterval = .seconds(1)
                let registry = try TerminalRegistry(
                    database: ProxiedDatabase.through(proxy, database), locks: [lock],
                    configuration: configuration, logger: TestDatabase.quiet
                ) { _ in displaced.count.add(1, ordering: .relaxed) }
                let bench = Bench(proxy: proxy, database: database, registry: registry, displaced: displaced)
                _ = try await gate.execute(script: "SELECT pg_advisory_lock(4711)", deadline: deadline)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await registry.run() }
                    try await eventually("it commits") { try await bench.isCommitting() }
                    proxy.set(.cut(after: 0, .timeout), .downstream)
                    try await body(bench, gate)
                    group.cancelAll()
                }
                lock.release()
            }
        }
    }

    func test_theEntryIsCommittedAndTheAnswerLost_theTerminalRecognisesItself() async throws {
        try await withTemporaryDirectory { directory in
            try await withLostAnswer(directory) { bench, gate in
                _ = try await gate.execute(
                    script: "SELECT pg_advisory_unlock(4711)", deadline: SystemTime().now + .seconds(30))
                try await eventually("it is entered") {
                    try await bench.number("SELECT count(*) FROM ald.terminal_instances") == 1
                }
                XCTAssertEqual(bench.registry.standing(of: .commands), .unregistered)
                bench.proxy.reset()
                bench.proxy.heal()
                try await eventually("it is heard again") {
                    try await bench.number(
                        "SELECT count(*) FROM ald.terminal_instances WHERE status = 'healthy'") == 1
                        || bench.displaced.count.load(ordering: .relaxed) > 0
                }
                XCTAssertEqual(bench.displaced.count.load(ordering: .relaxed), 0)
                XCTAssertEqual(bench.registry.standing(of: .commands), .registered(instance: 1))
            }
        }
    }

    func test_theEntryIsCommittedAndTheProcessKilled_theNextOneKnowsWhomToGiveUp() async throws {
        try await withTemporaryDirectory { directory in
            try await withLostAnswer(directory) { bench, gate in
                _ = try await gate.execute(
                    script: "SELECT pg_advisory_unlock(4711)", deadline: SystemTime().now + .seconds(30))
                try await eventually("it is entered") {
                    try await bench.number("SELECT count(*) FROM ald.terminal_instances") == 1
                }
                // As a process that dies now would leave it.
                let noted = try String(contentsOfFile: directory + "/terminal3-machine1.lock", encoding: .utf8)
                try noted.write(toFile: directory + "/terminal3-machine2.lock", atomically: true, encoding: .utf8)
                let next = try TerminalLock(.commands, machine: 2, directory: directory)
                XCTAssertEqual(next.predecessors, [1])
                next.release()
            }
        }
    }

    func test_theEntryIsNotCommitted_theTerminalIsEnteredWithTheNextOne() async throws {
        try await withTemporaryDirectory { directory in
            try await withLostAnswer(directory) { bench, gate in
                // Undone with its session.
                _ = try await gate.execute(
                    script: """
                        SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()
                            AND application_name = 'ald registry';
                        SELECT pg_advisory_unlock(4711)
                        """, deadline: SystemTime().now + .seconds(30))
                bench.proxy.reset()
                bench.proxy.heal()
                try await eventually("it is entered") {
                    if case .registered = bench.registry.standing(of: .commands) { true } else { false }
                }
                let entries = try await bench.number("SELECT count(*) FROM ald.terminal_instances")
                XCTAssertEqual(entries, 1)
                XCTAssertEqual(bench.displaced.count.load(ordering: .relaxed), 0)
            }
        }
    }
}
