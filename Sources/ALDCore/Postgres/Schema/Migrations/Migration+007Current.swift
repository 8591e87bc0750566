extension Migration {
    /// The newest reading of every parameter, and how to find the process of an old one.
    static let currentValuesScript = """
        -- One row per machine: a cycle replaces it as a whole. One row per parameter would cost 84 times the row
        -- versions, locks and log records, and more time than the history itself.
        CREATE TABLE ald_history.current_readings (
            machine_id int PRIMARY KEY,
            newest_at timestamptz NOT NULL,
            parameter_ids int[] NOT NULL,
            sampled_at timestamptz[] NOT NULL,
            readings float8[] NOT NULL,
            qualities smallint[] NOT NULL,
            CONSTRAINT current_readings_parallel CHECK (cardinality(parameter_ids) = ALL (
                ARRAY[cardinality(sampled_at), cardinality(readings), cardinality(qualities)]))
        ) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500,
                toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 5000);
        SELECT ald.protect_table('ald_history.current_readings');
        COMMENT ON TABLE ald_history.current_readings IS
            'The newest reading of every parameter of a machine, in arrays that belong together; ald.record_cycle '
            'writes it.';

        ALTER TABLE ald.component_parameters ADD COLUMN set_value float8
            CHECK (set_value > '-Infinity' AND set_value < 'Infinity');
        COMMENT ON COLUMN ald.component_parameters.set_value IS 'Target, in the unit; null: none known.';

        CREATE VIEW ald.component_parameter_values WITH (security_invoker = on) AS
        SELECT c.machine_id, u.parameter_id, u.value, u.quality, u.sampled_at
        FROM ald_history.current_readings c, unnest(c.parameter_ids, c.readings, c.qualities, c.sampled_at)
            u(parameter_id, value, quality, sampled_at);
        COMMENT ON VIEW ald.component_parameter_values IS 'The newest reading of every parameter that has one.';
        CREATE VIEW ald.component_parameters_full WITH (security_invoker = on) AS
        SELECT p.*, v.value AS current_value, v.quality AS current_quality, v.sampled_at AS current_at
        FROM ald.component_parameters p LEFT JOIN ald.component_parameter_values v USING (machine_id, parameter_id);
        COMMENT ON VIEW ald.component_parameters_full IS
            'Parameters with their newest reading; it is null where it was bad.';

        -- finds the processes that a reading belongs to when it arrives long after
        CREATE INDEX process_executions_ended ON ald.process_executions (machine_id, ended_at);
        """
}
