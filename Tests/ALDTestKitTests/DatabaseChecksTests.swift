import ALDCore
import Testing

@testable import ALDTestKit

/// What the database scenarios ask a server for, asked of one in which it is so.
@Suite("Looks of the database scenarios") struct DatabaseChecksTests {
    @Test("a statement that hangs, a session that is left and a deadlock are seen, and gone when they are gone")
    func server() async throws {
        try await TestDatabase.withDatabase { lease in
            let database = lease.configuration
            try await StatementHang.makeStuck(database)
            #expect(try await StatementHang.hanging(database) == 0)
            let hanging = Task {
                try await TestDatabase.withConnection(database.withApplicationName(StatementHang.name)) {
                    _ = try await $0.query(StatementHang.statement, deadline: $1)
                }
            }
            try await eventually("it hangs") { try await StatementHang.hanging(database) == 1 }
            hanging.cancel()
            await #expect(throws: PostgresError.self) { try await hanging.value }
            try await eventually("it is gone") { try await StatementHang.hanging(database) == 0 }

            #expect(try await ClientLoad.sessions(database) == 0)
            let client = database.withApplicationName(ClientLoad.name)
            let meanwhile = try await TestDatabase.withConnection(client) { _, _ in
                try await ClientLoad.sessions(database)
            }
            #expect(meanwhile == 1)
            try await eventually("it has ended") { try await ClientLoad.sessions(database) == 0 }

            #expect(try await TestDatabase.deadlocks(in: database) == 0)
            try await meetInACircle(database)
            try await eventually("the server says so") { try await TestDatabase.deadlocks(in: database) == 1 }
        }
    }

    /// Two transactions that wait for each other: the server ends one of them.
    private func meetInACircle(_ database: PostgresConfiguration) async throws {
        try await TestDatabase.withConnection(database) { first, deadline in
            try await TestDatabase.withConnection(database) { second, _ in
                for (connection, key) in [(first, 1), (second, 2)] {
                    _ = try await connection.execute(
                        script: "BEGIN; SELECT pg_advisory_xact_lock(\(key))", deadline: deadline)
                }
                async let one = isGiven(2, to: first, deadline)
                async let other = isGiven(1, to: second, deadline)
                let given = [await one, await other]
                #expect(given.count(where: \.self) == 1)
            }
        }
    }

    private func isGiven(_ key: Int, to connection: PostgresConnection, _ deadline: MonotonicInstant) async -> Bool {
        do {
            _ = try await connection.execute(
                script: "SELECT pg_advisory_xact_lock(\(key)); COMMIT", deadline: deadline)
            return true
        } catch {
            return false
        }
    }
}
