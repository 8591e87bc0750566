import Testing

@testable import ALDCore

extension SchemaServerTests {
    /// Defects of the system this one replaces that a schema can exclude (their numbers are those of the collection of
    /// facts about it), each with the statement that made them and what refuses it now.
    @Suite struct ExcludedDefects {
        struct Defect: Sendable {
            var number: Int
            var what: String
            var statement: String
            /// A constraint, or a SQLSTATE where something else refuses.
            var refusedBy: String
        }

        private static let command =
            "INSERT INTO ald.parameter_control_commands (machine_id, parameter_id, target_value) "
        private static let step =
            "INSERT INTO ald.recipe_steps (machine_id, recipe_id, version, step_id, position, kind, parameter_id, "
            + "duration_ms, target_value, hold_ms, iterations, gas) VALUES (1, 1, 2, 9, 9, "
        private static let process =
            "INSERT INTO ald.process_executions (machine_id, recipe_id, recipe_version, command_id, operator) VALUES "

        static let all = [
            Defect(
                number: 16, what: "components of several machines end up in one list",
                statement:
                    "INSERT INTO ald.component_parameters (machine_id, parameter_id, component, name, data_type, "
                    + "min_value, max_value, read_location) VALUES (1, 9, 'Pump', 'n', 'float', 0, 1, 'r')",
                refusedBy: "component_parameters_machine_id_component_fkey"),
            Defect(
                number: 19, what: "a batch that is replayed lands twice",
                statement: "INSERT INTO ald.ingest_batches SELECT 1, 1, 1, 1, sha256('') FROM generate_series(1, 2)",
                refusedBy: "ingest_batches_pkey"),
            Defect(
                number: 20, what: "a value that is no number poisons what it is written with",
                statement: command + "VALUES (1, 1, 'NaN')", refusedBy: "parameter_control_commands_is_allowed"),
            Defect(
                number: 32, what: "a purge without its duration takes a second",
                statement: step
                    + "'purge', NULL, NULL, NULL, NULL, NULL, 'N2')", refusedBy: "recipe_steps_shape"),
            Defect(
                number: 33, what: "the kind of a step is written in several ways",
                statement: step + "'set parameter', 1, NULL, 1, 0, NULL, NULL)", refusedBy: "recipe_steps_kind_check"),
            Defect(
                number: 34, what: "a valve step without a valve opens valve 1",
                statement: step + "'valve', NULL, 100, NULL, NULL, NULL, NULL)", refusedBy: "recipe_steps_shape"),
            Defect(
                number: 34, what: "a bad duration becomes a second",
                statement: step + "'valve', 2, -5, NULL, NULL, NULL, NULL)", refusedBy: "recipe_steps_duration_ms_check"
            ),
            Defect(
                number: 34, what: "a loop without a count runs once",
                statement: step + "'loop', NULL, NULL, NULL, NULL, 0, NULL)", refusedBy: "recipe_steps_iterations_check"
            ),
            Defect(
                number: 35, what: "the same command runs twice",
                statement: "INSERT INTO ald.recipe_commands (machine_id, kind, recipe_id, recipe_version) "
                    + "VALUES (1, 'start', 1, 1); " + process + "(1, 1, 1, 1, 'o'); "
                    + "UPDATE ald.process_executions SET status = 'aborted'; " + process + "(1, 1, 1, 1, 'o')",
                refusedBy: "process_executions_machine_id_command_id_key"),
            Defect(
                number: 35, what: "two processes run on one machine",
                statement: process + "(1, 1, 1, NULL, 'o'), (1, 1, 1, NULL, 'o')",
                refusedBy: "process_executions_one_active"),
            Defect(
                number: 36, what: "a status that does not exist is written",
                statement: process + "(1, 1, 1, NULL, 'o'); UPDATE ald.process_executions SET status = 'stopped'",
                refusedBy: "AL010"),
            Defect(
                number: 36, what: "a failed process ends without its reason",
                statement: process + "(1, 1, 1, NULL, 'o'); UPDATE ald.process_executions SET status = 'failed'",
                refusedBy: "process_executions_error"),
            Defect(
                number: 37, what: "a process without an operator", statement: process + "(1, 1, 1, NULL, NULL)",
                refusedBy: "23502"),
            Defect(
                number: 38, what: "a recipe that is being edited runs", statement: process + "(1, 1, 2, NULL, 'o')",
                refusedBy: "process_executions_runs_a_release"),
            Defect(
                number: 39, what: "progress goes beyond its total",
                statement: process + "(1, 1, 1, NULL, 'o'); INSERT INTO ald.process_execution_state (machine_id, "
                    + "process_id, total_steps, completed_steps) VALUES (1, 1, 3, 4)",
                refusedBy: "process_execution_state_progress"),
            Defect(
                number: 42, what: "a valve is audited without what was written",
                statement: process + "(1, 1, 1, NULL, 'o'); INSERT INTO ald.recipe_execution_audit (machine_id, "
                    + "process_id, operation, event, kind, step_id) VALUES (1, 1, 1, 'succeeded', 'valve', 2)",
                refusedBy: "recipe_execution_audit_object"),
            Defect(
                number: 43, what: "the machine processes and has no process",
                statement: "UPDATE ald.machine_state SET status = 'processing' WHERE machine_id = 1",
                refusedBy: "machine_state_process"),
            Defect(
                number: 43, what: "a status is written in capitals",
                statement:
                    "INSERT INTO ald.machines VALUES (9, 'M'); DELETE FROM ald.machine_state WHERE machine_id = 9; "
                    + "INSERT INTO ald.machine_state (machine_id, status) VALUES (9, 'IDLE')", refusedBy: "AL010"),
            Defect(
                number: 44, what: "a value outside of the limits is written",
                statement: command + "VALUES (1, 1, 1000)",
                refusedBy: "parameter_control_commands_is_allowed"),
            Defect(
                number: 44, what: "a parameter that can only be read is written",
                statement: command + "VALUES (1, 3, 1)", refusedBy: "parameter_control_commands_is_allowed"),
            Defect(
                number: 45, what: "a command waits for days",
                statement:
                    "INSERT INTO ald.parameter_control_commands (machine_id, parameter_id, target_value, not_after) "
                    + "VALUES (1, 1, 1, now() + interval '3 days')", refusedBy: "parameter_control_commands_deadline"),
            Defect(
                number: 46, what: "a parameter of another machine is driven",
                statement: "DELETE FROM ald.component_parameters WHERE machine_id = 2 AND parameter_id = 3; " + command
                    + "VALUES (2, 3, 1)", refusedBy: "parameter_control_commands_machine_id_parameter_id_fkey"),
            Defect(
                number: 46, what: "a name stands for two parameters",
                statement:
                    "INSERT INTO ald.component_parameters (machine_id, parameter_id, component, name, data_type, "
                    + "min_value, max_value, read_location) VALUES (1, 9, 'Heater', 'temperature', 'float', 0, 1, 'r')",
                refusedBy: "component_parameters_machine_id_component_name_key"),
            Defect(
                number: 47, what: "two terminals carry out commands for one parameter at once",
                statement: command + "VALUES (1, 1, 1), (1, 1, 2); UPDATE ald.parameter_control_commands SET "
                    + "status = 'claimed', claimed_by = 'a', claimed_at = now(), lease_until = now()",
                refusedBy: "parameter_control_commands_one_in_flight"),
            Defect(
                number: 48, what: "two terminals of one kind run",
                statement: "INSERT INTO ald.terminal_instances (machine_id, terminal, hostname, os_pid, version) "
                    + "VALUES (1, 'terminal3', 'a', 1, ''), (1, 'terminal3', 'b', 2, '')",
                refusedBy: "terminal_instances_one_active"),
        ]

        @Test func eachIsRefused() async throws {
            try await SchemaDatabase.with { connection, _ in
                try await connection.accept(SchemaDatabase.plant)
                for defect in Self.all {
                    let refusal = try await connection.refusal(of: defect.statement)
                    #expect(
                        refusal?.constraint ?? refusal?.state == defect.refusedBy, "\(defect.number), \(defect.what)")
                }
            }
        }

        @Test func everyMachineHasAState() async throws {
            try await SchemaDatabase.with { connection, _ in
                try await connection.accept(SchemaDatabase.plant)
                let states = try await connection.rows("SELECT status FROM ald.machine_state")
                #expect(states == ["idle", "idle"])
            }
        }
    }
}
