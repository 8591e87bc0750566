extension Migration {
    static let machinesAndParameters = Migration(
        version: 1, name: "machines and their parameters",
        script: """
            CREATE TABLE ald.machines (
                machine_id int PRIMARY KEY CHECK (machine_id > 0),
                name text NOT NULL UNIQUE CHECK (name <> ''),
                created_at timestamptz NOT NULL DEFAULT clock_timestamp()
            );
            COMMENT ON TABLE ald.machines IS 'The machines that are recorded; every large table is keyed by machine_id.';

            CREATE TABLE ald.component_parameters (
                machine_id int NOT NULL REFERENCES ald.machines,
                parameter_id int NOT NULL CHECK (parameter_id > 0),
                component text NOT NULL CHECK (component <> ''),
                name text NOT NULL CHECK (name <> ''),
                unit text NOT NULL DEFAULT '',
                data_type text NOT NULL CHECK (data_type IN ('float', 'int32', 'int16', 'binary')),
                min_value float8 NOT NULL,
                max_value float8 NOT NULL CHECK (min_value <= max_value),
                read_location text NOT NULL,
                write_location text,
                updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
                PRIMARY KEY (machine_id, parameter_id),
                UNIQUE (machine_id, component, name)
            );
            COMMENT ON TABLE ald.component_parameters IS
                'One row per parameter, from the register map; parameter_id is the map''s number and never reused.';
            COMMENT ON COLUMN ald.component_parameters.read_location IS 'Modbus table and address of the measured value.';
            COMMENT ON COLUMN ald.component_parameters.write_location IS
                'Modbus table and address of the set point; null for a read-only parameter.';
            """)
}
