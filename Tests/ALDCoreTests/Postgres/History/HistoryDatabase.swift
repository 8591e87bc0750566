import ALDTestKit
import Foundation
import Testing

@testable import ALDCore

/// What is recorded, where it lies and how long: one server for all, and one test at a time, since some open many
/// connections.
@Suite(.server, .serialized) struct HistoryTests {}

/// Databases with our schema and two machines of ten parameters, on the server of ``HistoryTests``.
enum HistoryDatabase {
    static let parameters: Int32 = 10
    /// Noon of a day that is long past, so that "now" may be moved from there without meeting the server's clock.
    static let noon = Timestamp(microseconds: 1_767_787_200_000_000)

    static func with<Result>(
        version: Int32 = .max, _ body: @Sendable (PostgresConnection, PostgresConfiguration) async throws -> Result
    ) async throws -> Result {
        let server = try PostgresTestServer.configuration()
        let name = "history_" + String(UInt64.random(in: 0...UInt64.max), radix: 36)
        let model = try await model(version: min(version, Migration.all.last?.version ?? 0), on: server)
        try await run("CREATE DATABASE \(name) TEMPLATE \(model)", on: server)
        return try await withCleanup {
            let database = server.withDatabase(name)
            return try await TestDatabase.withConnection(database) { connection, _ in
                try await body(connection, database)
            }
        } cleanup: {
            try await run("DROP DATABASE \(name) WITH (FORCE)", on: server)
        }
    }

    /// The database that others of this version are copies of; copying is faster than migrating.
    private static func model(version: Int32, on server: PostgresConfiguration) async throws -> String {
        let name = "model_\(version)"
        let found = try await TestDatabase.number(
            "SELECT count(*) FROM pg_database WHERE datname = '\(name)'", server)
        if found > 0 { return name }
        // It has its name when it is complete: what failed halfway is no model.
        let draft = name + "_draft"
        try await run("DROP DATABASE IF EXISTS \(draft)", on: server)
        try await run("CREATE DATABASE \(draft)", on: server)
        try await TestDatabase.withConnection(server.withDatabase(draft)) { connection, deadline in
            let migrations = Migration.all.filter { $0.version <= version }
            _ = try await Migrator(migrations: migrations).migrate(connection, deadline: deadline)
            for machine: Int32 in 1...2 { try await registration(machine).register(connection, deadline: deadline) }
        }
        try await run("ALTER DATABASE \(draft) RENAME TO \(name)", on: server)
        return name
    }

    private static func run(_ script: String, on database: PostgresConfiguration) async throws {
        try await TestDatabase.withConnection(database) { try await $0.execute(script: script, deadline: $1) }
    }

    static func registration(_ machine: Int32) -> MachineRegistration {
        MachineRegistration(
            machine: machine, name: "ALD-\(machine)",
            entries: (1...parameters).map {
                .init(
                    id: $0, component: "Heater \($0)", name: "temperature", unit: "°C", dataType: "float", minimum: 0,
                    maximum: 1000, readLocation: "input registers 0", writeLocation: nil)
            })
    }

    /// A cycle: every parameter at one instant; the value says which parameter and, after the point, which cycle.
    static func cycle(at time: Timestamp, value: Double = 0) -> [HistoryRow] {
        (1...parameters).map {
            HistoryRow(
                parameter: ParameterID(rawValue: $0), time: time, value: $0 == 7 ? nil : Double($0) + value,
                quality: $0 == 7 ? .bad : .good)
        }
    }

    /// Creates the partitions of the days around noon.
    static func makeDays(_ connection: PostgresConnection) async throws {
        try await HistoryPartitions.ensure(
            from: noon.advanced(by: .seconds(-86_400)), days: 3, connection, deadline: .patience)
    }

    static func record(
        _ rows: [HistoryRow], _ transaction: UUID = UUID(), machine: Int32 = 1, on connection: PostgresConnection
    ) async throws -> SynchronizedRecorder.Receipt {
        try await SynchronizedRecorder(machine: machine).record(
            rows, transaction: transaction, on: connection, deadline: .patience)
    }
}

extension PostgresConnection {
    func number(_ statement: String) async throws -> Int {
        let result = try await query(statement, deadline: .patience)
        return Int(try #require(result.first).decode(0, as: Int64.self))
    }

    func run(_ script: String) async throws { try await execute(script: script, deadline: .patience) }
}
