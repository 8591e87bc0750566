import ALDTestKit
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
        /// Everybody was last heard of 31 s ago, although the server has been there for longer.
        private static let silence = """
            \(reachable(forSeconds: 3600));
            SET session_replication_role = replica;
            UPDATE ald.terminal_instances SET last_heartbeat_at = last_heartbeat_at - interval '31 s';
            SET session_replication_role = origin;
            """

        private static func reachable(forSeconds seconds: Int) -> String {
            """
            CREATE OR REPLACE FUNCTION ald.reachable_since() RETURNS timestamptz LANGUAGE sql STABLE
            SET search_path = pg_catalog, pg_temp AS $$ SELECT clock_timestamp() - interval '\(seconds) s' $$
            """
        }

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

        @Test func whileTheServerWasAwayNobodyMissedAHeartbeat() async throws {
            try await SchemaDatabase.with { connection, _ in
                #expect(
                    try await connection.rows("SELECT ald.reachable_since() = pg_postmaster_start_time()") == ["true"])
                try await connection.accept(SchemaDatabase.plant)
                try await connection.accept(Self.register("terminal1", 11) + ";" + Self.register("terminal3", 12))
                try await connection.accept(Self.silence)
                // It was started 29 s ago: the third heartbeat since is not due yet.
                try await connection.accept(Self.reachable(forSeconds: 29))
                #expect(try await connection.rows(Self.register("terminal2", 13)) == ["3"])
                #expect(
                    try await connection.rows("SELECT instance_id FROM ald.terminal_instances WHERE ended_at IS NULL")
                        .sorted() == ["1", "2", "3"])
                try await connection.accept(Self.reachable(forSeconds: 31))
                #expect(
                    try await connection.rows("SELECT instance_id FROM ald.detect_dead_terminals(1, 3)").sorted() == [
                        "1", "2",
                    ])
            }
        }

        /// A network that was away for all but one, or a standby that took over, looks the same from here as death.
        @Test func oneThatWasGivenUpAndLivesComesBackUnlessAnotherHasItsPlace() async throws {
            try await SchemaDatabase.with { connection, _ in
                try await connection.accept(SchemaDatabase.plant)
                try await connection.accept(Self.register("terminal1", 11) + ";" + Self.register("terminal3", 12))
                try await connection.accept(Self.silence + "SELECT ald.detect_dead_terminals(1, 3)")
                #expect(try await connection.rows(Self.heartbeat(1, "degraded")) == ["true"])
                #expect(
                    try await connection.rows(
                        "SELECT status, ended_at IS NULL AS lives FROM ald.terminal_instances WHERE instance_id = 1")
                        == ["degraded|true"])
                #expect(
                    try await connection.rows(
                        "SELECT previous_status, new_status FROM ald.terminal_health_history WHERE instance_id = 1 "
                            + "ORDER BY entry_id") == ["starting", "starting|crashed", "crashed|degraded"])
                #expect(try await connection.refusal(of: Self.register("terminal1", 14))?.state == "AL012")
                // The other one has a successor: first a living one, then one that has ended in order.
                #expect(try await connection.rows(Self.register("terminal3", 15)) == ["4"])
                #expect(try await connection.rows(Self.heartbeat(2, "healthy")) == ["false"])
                #expect(try await connection.rows("SELECT ald.stop_terminal(1, 4, 'end')") == ["true"])
                #expect(try await connection.rows(Self.heartbeat(2, "healthy")) == ["false"])
                #expect(try await connection.rows(Self.heartbeat(4, "healthy")) == ["false"], "it was stopped")
                // Nor behind the function's back.
                for instance in [2, 4] {
                    let refusal = try await connection.refusal(
                        of: "UPDATE ald.terminal_instances SET status = 'healthy', ended_at = NULL "
                            + "WHERE instance_id = \(instance)")
                    #expect(["AL010", "AL011"].contains(refusal?.state))
                }
            }
        }

        /// Story: the old one's heartbeat and its successor's registration meet; whichever commits first wins.
        @Test func aHeartbeatThatMeetsTheRegistrationOfASuccessorIsAnsweredWithNo() async throws {
            try await SchemaDatabase.with { connection, database in
                try await connection.accept(SchemaDatabase.plant + Self.register("terminal1", 11))
                try await connection.accept(Self.silence + "SELECT ald.detect_dead_terminals(1, 3)")
                try await connection.accept("BEGIN; " + Self.register("terminal1", 12))
                try await TestDatabase.withConnection(database) { old, _ in
                    async let answer = old.rows(Self.heartbeat(1, "healthy"))
                    try await PostgresTestServer.waitUntil(
                        "EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() "
                            + "AND wait_event_type = 'Lock')", on: connection)
                    try await connection.accept("COMMIT")
                    #expect(try await answer == ["false"])
                }
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
