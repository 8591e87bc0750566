import ALDTestKit
import Foundation
import Testing

@testable import ALDCore

/// `ald command` and `ald status` as people and scripts run them. Terminal 3 is played by the test, so that every command
/// ends as it should.
@Suite("ald command", .timeLimit(.minutes(5))) struct CommandCommandTests {
    private struct Place: Sendable {
        let url: String
        let database: PostgresConfiguration
        let directory: String

        func ald(
            _ arguments: String..., body: (RunningChild) async throws -> Void = { _ in }
        ) async throws -> ChildResult {
            let environment = [
                "ALD_DATABASE_URL": url, "ALD_DATA_DIRECTORY": directory, "ALD_MACHINE": Repository.machine51,
            ]
            return try await ChildProcess.run(
                try Executables.ald(), arguments, environment: environment, endsWithin: .seconds(60), body)
        }

        /// What Terminal 3 does with the oldest open command.
        func end(_ status: String, _ error: String?, actual: Double?) async throws {
            try await TestDatabase.withConnection(database) { connection, deadline in
                let taken = try await connection.query(
                    "SELECT command_id FROM ald.take_parameter_commands(1, 'played', 1, 60)", deadline: deadline)
                let id: Int64 = try #require(taken.first).decode(0)
                _ = try await connection.query(
                    "SELECT ald.finish_parameter_command(1, $1, 'played', $2, $3, $4, NULL, NULL)",
                    [
                        .int8(id), .text(status), error.map(PostgresValue.text) ?? .null,
                        actual.map(PostgresValue.float8) ?? .null,
                    ], deadline: deadline)
            }
        }
    }

    private static func with(_ body: @Sendable (Place) async throws -> Void) async throws {
        try await TestDatabase.withPrivateServer { server, lease in
            try await withTemporaryDirectory { directory in
                let url = try #require(await server.connectionString)
                let place = Place(url: url, database: lease.configuration, directory: directory)
                let seeded = try await place.ald(
                    "database", "seed", Repository.machine51, "--machine", "1", "--name", "ALD-1")
                #expect(seeded.exitCode == 0, "\(seeded.transcript)")
                try await body(place)
            }
        }
    }

    /// One that has succeeded, one that was refused by the machine, one of which nobody knows, one that came too late, and
    /// one that waits.
    private static func everyEnd(_ place: Place) async throws {
        let ends: [(status: String, error: String?, actual: Double?)] = [
            ("succeeded", nil, 20), ("failed", "the PLC refused", nil), ("unknown", "no answer", 7),
        ]
        for end in ends {
            let asked = try await place.ald("command", "set", "MFC 1.flow", "20", "--by", "ann")
            #expect(asked.exitCode == 0, "\(asked.transcript)")
            try await place.end(end.status, end.error, actual: end.actual)
        }
        _ = try await place.ald("command", "set", "MFC 1.flow", "30", "--by", "ann", "--timeout", "100ms")
        _ = try await place.ald("command", "set", "Chamber Heater.temperature", "150", "--by", "bob", "--timeout", "1h")
        try await eventually("the fourth has expired") {
            try await TestDatabase.number("SELECT ald.expire_parameter_commands(1)", place.database) == 1
        }
    }

    private static let ended = ["pending", "expired", "unknown", "failed", "succeeded"]

    @Test("the list has every command in its line, newest first, in columns that line up")
    func list() async throws {
        try await Self.with { place in
            #expect(try await place.ald("command", "list").output == ["no commands"])
            try await Self.everyEnd(place)
            let list = try await place.ald("command", "list")
            #expect(list.exitCode == 0 && list.errors.isEmpty && list.output.count == 6, "\(list.transcript)")
            let head = try #require(list.output.first)
            func column(_ title: String) throws -> [String] {
                let start = try #require(head.range(of: title)?.lowerBound).utf16Offset(in: head)
                return list.output.dropFirst().map { line in
                    #expect(line.count <= start || start == 0 || Array(line)[start - 1] == " ", "\(line)")
                    return String(line.dropFirst(start).prefix { $0 != " " })
                }
            }
            #expect(try column("command") == ["5", "4", "3", "2", "1"])
            #expect(try column("status") == Self.ended)
            #expect(try column("value") == ["150", "30", "20", "20", "20"])
            #expect(try column("by") == ["bob", "ann", "ann", "ann", "ann"])
            #expect(list.output[2].hasSuffix("not begun in time") && list.output[3].hasSuffix("no answer"))
            let newest = try await place.ald("command", "list", "--limit", "2")
            #expect(newest.output.count == 3 && newest.output.last?.hasPrefix("4 ") == true)
            let open = try await place.ald("command", "list", "--open")
            #expect(open.output.count == 2 && open.output.last?.contains("pending") == true)
        }
    }

    private struct Row: Decodable {
        var command: Int64
        var parameter: String
        var target: Double
        var actual: Double?
        var status: String
        var error: String?
        var requested_by: String
        var total_ms: Double?
    }

    @Test("for scripts it is one array of objects, empty when there are none")
    func json() async throws {
        try await Self.with { place in
            #expect(try await place.ald("command", "list", "--json").output == ["[]"])
            try await Self.everyEnd(place)
            let list = try await place.ald("command", "list", "--json")
            #expect(list.output.count == 1)
            let rows = try JSONDecoder().decode([Row].self, from: Data(try #require(list.output.first).utf8))
            #expect(rows.map(\.status) == Self.ended && rows.map(\.command) == [5, 4, 3, 2, 1])
            #expect(rows[0].parameter == "Chamber Heater.temperature" && rows[0].target == 150)
            #expect(rows[0].total_ms == nil && rows[0].requested_by == "bob")
            #expect(rows[2].error == "no answer" && rows[2].actual == 7 && (rows[2].total_ms ?? -1) >= 0)
        }
    }

    @Test("who asks for what cannot be is told so; who waits is told how it ended")
    func set() async throws {
        try await Self.with { place in
            let close = try await place.ald("command", "set", "mfc 1", "20")
            #expect(close.exitCode == 1 && close.errors.last?.contains("did you mean \"MFC 1.flow\"") == true)
            let outside = try await place.ald("command", "set", "MFC 1.flow", "1e6")
            #expect(outside.exitCode == 1)
            #expect(outside.errors.last == "ald: 1000000 for MFC 1.flow is outside of 0 to 200")
            #expect(try await place.ald("command", "set", "MFC 1.flow", "nan").exitCode == 64)
            let ends: [(status: String, error: String?, exitCode: Int32, says: String)] = [
                ("succeeded", nil, 0, "succeeded, reads back as 20"),
                ("failed", "the PLC refused", 1, "the PLC refused"),
                ("unknown", "no answer", 11, "no answer; look at the machine"),
            ]
            for end in ends {
                let waited = try await place.ald("command", "set", "MFC 1.flow", "20", "--wait") { _ in
                    try await eventually("it is asked for") {
                        try await TestDatabase.number(
                            "SELECT count(*) FROM ald.parameter_control_commands WHERE status = 'pending'",
                            place.database) == 1
                    }
                    try await place.end(end.status, end.error, actual: 20)
                }
                #expect(waited.exitCode == end.exitCode, "\(waited.transcript)")
                #expect(waited.output.count == 1 && waited.output.last?.contains(end.says) == true, "\(waited.output)")
            }
            // Nobody is there to begin it.
            let alone = try await place.ald("command", "set", "MFC 1.flow", "20", "--wait", "--timeout", "100ms")
            #expect(alone.exitCode == 1)
            #expect(
                alone.errors.last?.hasSuffix("was not begun in time; does Terminal 3 run? See `ald status`") == true)
        }
    }

    @Test("the status is shown again and again until Ctrl-C, which is no failure")
    func watch() async throws {
        try await Self.with { place in
            let watched = try await place.ald("status", "--watch") { child in
                try await eventually("it is shown three times") {
                    child.output.count { $0.hasPrefix("Machine      ALD-1 (1)") } >= 3
                }
                child.send(SIGINT)
            }
            #expect(watched.exitCode == 0, "\(watched.transcript)")
            #expect(watched.output.last == "", "each view ends with an empty line, and none is cut off")
            #expect(watched.output.contains("Commands     0 wait, 0 under way; last hour: none"))
            let lines = try await place.ald("status", "--watch", "--json") { child in
                try await eventually("there are two lines") { child.output.count >= 2 }
                child.send(SIGTERM)
            }
            #expect(lines.exitCode == 0)
            for line in lines.output {
                #expect(try JSONDecoder().decode(Status.self, from: Data(line.utf8)).name == "ALD-1")
            }
        }
    }

    private struct Status: Decodable { var name: String? }
}
