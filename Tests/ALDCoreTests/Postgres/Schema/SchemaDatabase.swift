import ALDTestKit
import Testing

@testable import ALDCore

/// Everything that looks at our schema itself is an extension of this suite: one server for all, and one test at a time,
/// because some open many sessions.
@Suite(.server, .serialized, .timeLimit(.minutes(5))) struct SchemaServerTests {}

/// The services on a database with our schema, on a server of their own beside ``SchemaServerTests``: most of them wait.
@Suite(.server, .serialized, .timeLimit(.minutes(5))) struct ServiceServerTests {}

/// Databases with our schema, on the server of the suite: ``SchemaServerTests`` or ``ServiceServerTests``.
enum SchemaDatabase {
    static let newest = Migration.all.last?.version ?? 0

    /// Runs `body` on a database of its own, as a superuser; the schema is at `version`, by default our newest one.
    static func with<Result: Sendable>(
        version: Int32 = newest, _ body: @Sendable (PostgresConnection, PostgresConfiguration) async throws -> Result
    ) async throws -> Result {
        let server = try PostgresTestServer.configuration()
        let name = "schema_" + String(UInt64.random(in: 0...UInt64.max), radix: 36)
        let model = version == newest ? try await model(on: server) : "template1"
        try await run("CREATE DATABASE \(name) TEMPLATE \(model)", on: server)
        return try await withCleanup {
            let database = server.withDatabase(name)
            return try await TestDatabase.withConnection(database) { connection, deadline in
                if version > 0 { _ = try await migrator(to: version).migrate(connection, deadline: deadline) }
                return try await body(connection, database)
            }
        } cleanup: {
            try await run("DROP DATABASE \(name) WITH (FORCE)", on: server)
        }
    }

    /// The database of the newest version that others are copies of; copying is faster than migrating.
    private static func model(on server: PostgresConfiguration) async throws -> String {
        let name = "schema_model"
        let found = try await TestDatabase.number("SELECT count(*) FROM pg_database WHERE datname = '\(name)'", server)
        if found > 0 { return name }
        // It has its name when it is complete: what failed halfway is no model.
        let draft = name + "_draft"
        try await run("DROP DATABASE IF EXISTS \(draft)", on: server)
        try await run("CREATE DATABASE \(draft)", on: server)
        try await TestDatabase.withConnection(server.withDatabase(draft)) { connection, deadline in
            _ = try await Migrator().migrate(connection, deadline: deadline)
        }
        try await run("ALTER DATABASE \(draft) RENAME TO \(name)", on: server)
        return name
    }

    static func migrator(to version: Int32) -> Migrator {
        Migrator(migrations: Migration.all.filter { $0.version <= version })
    }

    static func run(_ script: String, on database: PostgresConfiguration) async throws {
        try await TestDatabase.withConnection(database) { try await $0.execute(script: script, deadline: $1) }
    }

    /// Every terminal that has taken a recipe command is not heard of any more: behind the back of the rules.
    static let endOfRecipeLeases = """
        SET session_replication_role = replica;
        UPDATE ald.recipe_commands SET lease_until = clock_timestamp() WHERE status = 'executing';
        SET session_replication_role = origin;
        """

    /// Two machines with three parameters each (1 a number, 2 a switch, 3 read only), a released and a draft version of
    /// a recipe on machine 1, and somebody who starts it.
    static let plant = """
        INSERT INTO ald.machines (machine_id, name) VALUES (1, 'ALD-1'), (2, 'ALD-2');
        INSERT INTO ald.machine_components (machine_id, name) SELECT m, c FROM unnest('{1,2}'::int[]) m,
            unnest('{Heater,Valve}'::text[]) c;
        INSERT INTO ald.component_parameters (machine_id, parameter_id, component, name, data_type, min_value,
            max_value, read_location, write_location)
        SELECT m, p.* FROM unnest('{1,2}'::int[]) m, (VALUES
            (1, 'Heater', 'temperature', 'float', 0, 100, 'i 0', 'h 0'),
            (2, 'Valve', 'valve_state', 'binary', 0, 1, 'c 0', 'c 0'),
            (3, 'Heater', 'pid_output', 'int32', 0, 100, 'i 2', NULL)) p;
        INSERT INTO ald.recipes (machine_id, name) VALUES (1, 'TMA pulse');
        INSERT INTO ald.recipe_versions (machine_id, recipe_id, version) VALUES (1, 1, 1), (1, 1, 2);
        INSERT INTO ald.recipe_steps (machine_id, recipe_id, version, step_id, position, kind, iterations)
        SELECT 1, 1, v, 1, 1, 'loop', 3 FROM unnest('{1,2}'::int[]) v;
        INSERT INTO ald.recipe_steps (machine_id, recipe_id, version, step_id, parent_step_id, depth, position, kind,
            parameter_id, duration_ms) SELECT 1, 1, v, 2, 1, 1, 1, 'valve', 2, 50 FROM unnest('{1,2}'::int[]) v;
        UPDATE ald.recipe_versions SET status = 'released', released_by = 'engineer' WHERE version = 1;
        """
}

extension PostgresConnection {
    /// Runs a script that must be accepted.
    func accept(_ script: String) async throws { try await execute(script: script, deadline: .patience) }

    /// What the database says to a statement whose effect is undone; `nil` when it accepts.
    func refusal(of script: String) async throws -> Refusal? {
        try await execute(script: "BEGIN", deadline: .patience)
        var refusal: Refusal?
        do {
            // What is checked when a transaction ends is checked, too.
            try await execute(script: script + "; SET CONSTRAINTS ALL IMMEDIATE", deadline: .patience)
        } catch {
            refusal = Refusal(
                state: error.sqlState?.rawValue ?? "\(error)", constraint: error.constraintName, message: error.message)
        }
        try await execute(script: "ROLLBACK", deadline: .patience)
        return refusal
    }

    /// The rows of a statement, each as its columns joined by a bar.
    func rows(_ statement: String) async throws -> [String] {
        let result = try await query(
            """
            SELECT concat_ws('|', VARIADIC ARRAY(SELECT value FROM json_each_text(row_to_json(t))))
            FROM (\(statement)) t
            """, deadline: .patience)
        return try result.map { try $0.decode(0, as: String.self) }
    }
}

struct Refusal: Hashable {
    var state: String
    var constraint: String?
    var message: String
}
