import Testing

@testable import ALDCore

extension SchemaServerTests {
    /// Which terminals live: one of each kind per machine, judged by heartbeats.
    @Suite struct TerminalRegistry {
        private static func register(_ terminal: String, _ pid: Int, machine: Int = 1) -> String {
            "SELECT ald.register_terminal(\(machine), '\(terminal)', 'host', \(pid), '1.0', 'testing', 10)"
        }
        private static func heartbeat(_ instance: Int, _ status: String) -> String {
            "SELECT ald.heartbeat(1, \(instance), '\(status)', 'because', 5, 1, NULL)"
        }
        private static let silence = """
            SET session_replication_role = replica;
            UPDATE ald.terminal_instances SET last_heartbeat_at = last_heartbeat_at - interval '31 s';
            SET session_replication_role = origin;
            """

        @Test func oneOfEachKindRunsAndADeadOneIsReplaced() async throws {
            try await SchemaDatabase.with { connection, _ in
                try await connection.accept(SchemaDatabase.plant)
                var answers = [try await connection.rows(Self.register("terminal1", 11))]
                answers.append(try await connection.rows(Self.register("terminal2", 12)))
                answers.append(try await connection.rows(Self.register("terminal1", 13, machine: 2)))
                #expect(answers == [["1"], ["2"], ["3"]])
                let second = try await connection.refusal(of: Self.register("terminal1", 14))
                #expect(second?.state == "AL012")
                #expect(second?.message.hasPrefix("terminal1 of machine 1 runs already: process 11 on host") == true)
                #expect(try await connection.rows(Self.heartbeat(1, "healthy")) == ["true"])
                try await connection.accept(Self.silence)
                // The refused one has used up a number.
                #expect(try await connection.rows(Self.register("terminal1", 14)) == ["5"])
                #expect(try await connection.rows(Self.heartbeat(1, "healthy")) == ["false"], "it was given up")
                #expect(try await connection.rows("SELECT ald.stop_terminal(1, 1, 'end')") == ["false"])
                #expect(try await connection.rows("SELECT ald.stop_terminal(1, 5, 'end')") == ["true"])
                #expect(
                    try await connection.rows(
                        "SELECT instance_id, previous_status, new_status, regexp_replace(reason, '[0-9]+', 'n') FROM ald.terminal_health_history "
                            + "WHERE machine_id = 1 AND instance_id IN (1, 5) ORDER BY entry_id") == [
                            "1|starting|", "1|starting|healthy|because", "1|healthy|crashed|no heartbeat for n s",
                            "5|starting|", "5|starting|stopped|end",
                        ])
                // The one of another machine is judged by whoever asks for that machine.
                #expect(try await connection.rows("SELECT ald.heartbeat(2, 3, 'degraded', '', 0, 0, 'x')") == ["true"])
            }
        }

        @Test func whoIsSilentForTooLongIsFoundOnce() async throws {
            try await SchemaDatabase.with { connection, _ in
                try await connection.accept(SchemaDatabase.plant)
                try await connection.accept(Self.register("terminal1", 11) + ";" + Self.register("terminal3", 12))
                let dead = "SELECT instance_id FROM ald.detect_dead_terminals(1, 3) ORDER BY 1"
                #expect(try await connection.rows(dead) == [])
                try await connection.accept(Self.silence)
                #expect(try await connection.rows("SELECT ald.heartbeat(1, 1, 'healthy', '', 0, 0, NULL)") == ["true"])
                #expect(try await connection.rows(dead) == ["2"])
                #expect(try await connection.rows(dead) == [])
            }
        }

        @Test func healthIsOneRowPerTerminalAndCountsReconnects() async throws {
            try await SchemaDatabase.with { connection, _ in
                try await connection.accept(SchemaDatabase.plant)
                for (isUp, error) in [(true, "NULL"), (false, "'no route'"), (true, "NULL"), (true, "NULL")] {
                    try await connection.accept("SELECT ald.report_health(1, 'terminal1', \(isUp), \(error), true)")
                }
                #expect(
                    try await connection.rows(
                        "SELECT plc_connected, plc_reconnects, plc_error IS NULL FROM ald.machine_health") == [
                            "true|1|true"
                        ])
            }
        }
    }
}
