extension Migration {
    /// What machines are built of, what of it may be written, and what must hold before a recipe starts.
    static let equipmentScript = """
        CREATE TABLE ald.component_definitions (
            definition_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            name text NOT NULL UNIQUE CHECK (name <> ''),
            kind text NOT NULL CHECK (kind IN
                ('heater', 'flow_controller', 'pressure_gauge', 'pump', 'valve', 'gas_generator', 'other')),
            vendor text NOT NULL DEFAULT '',
            part_number text NOT NULL DEFAULT '',
            datasheet_url text NOT NULL DEFAULT ''
        );
        COMMENT ON TABLE ald.component_definitions IS
            'Catalogue of the kinds of components that machines are built of.';

        CREATE TABLE ald.machine_components (
            machine_id int NOT NULL REFERENCES ald.machines,
            name text NOT NULL CHECK (name <> ''),
            definition_id bigint REFERENCES ald.component_definitions,
            is_active boolean NOT NULL DEFAULT true,
            PRIMARY KEY (machine_id, name)
        );
        COMMENT ON TABLE ald.machine_components IS
            'What a machine is built of; the name is the one the register map uses, and never changes its meaning.';
        COMMENT ON COLUMN ald.machine_components.definition_id IS 'What it is; null while nobody has said so.';
        COMMENT ON COLUMN ald.machine_components.is_active IS 'False: fitted no more, kept for its history.';
        INSERT INTO ald.machine_components (machine_id, name)
        SELECT DISTINCT machine_id, component FROM ald.component_parameters;

        -- NaN sorts above Infinity, so the two comparisons leave only finite numbers
        ALTER TABLE ald.component_parameters
            ADD COLUMN description text NOT NULL DEFAULT '',
            ADD COLUMN write_protected boolean NOT NULL DEFAULT false,
            ADD COLUMN is_writable boolean
                GENERATED ALWAYS AS (write_location IS NOT NULL AND NOT write_protected) STORED,
            ADD COLUMN readback_tolerance float8
                CHECK (readback_tolerance >= 0 AND readback_tolerance < 'Infinity'),
            ADD COLUMN setpoint_tolerance float8
                CHECK (setpoint_tolerance >= 0 AND setpoint_tolerance < 'Infinity'),
            ADD COLUMN scale_factor float8 NOT NULL DEFAULT 1
                CHECK (scale_factor > '-Infinity' AND scale_factor < 'Infinity' AND scale_factor <> 0),
            ADD COLUMN scale_offset float8 NOT NULL DEFAULT 0
                CHECK (scale_offset > '-Infinity' AND scale_offset < 'Infinity'),
            ADD COLUMN show_in_ui boolean NOT NULL DEFAULT true,
            ADD COLUMN show_in_graph boolean NOT NULL DEFAULT false,
            ADD CONSTRAINT component_parameters_limits_are_finite
                CHECK (min_value > '-Infinity' AND max_value < 'Infinity'),
            ADD FOREIGN KEY (machine_id, component) REFERENCES ald.machine_components;
        COMMENT ON COLUMN ald.component_parameters.data_type IS
            'How the controller stores it: float and int32 in two registers, int16 in one, binary in a coil or '
            'register.';
        COMMENT ON COLUMN ald.component_parameters.min_value IS
            'Smallest value that makes sense, in the unit, included; no command below it is accepted.';
        COMMENT ON COLUMN ald.component_parameters.max_value IS
            'Largest value that makes sense, in the unit, included; no command above it is accepted.';
        COMMENT ON COLUMN ald.component_parameters.write_protected IS
            'True: no command may write it although the controller could be written.';
        COMMENT ON COLUMN ald.component_parameters.is_writable IS
            'Whether commands may write it: it has a place to write and is not protected.';
        COMMENT ON COLUMN ald.component_parameters.readback_tolerance IS
            'Largest difference, in the unit, between a value written and its set-point register read back; '
            'null: none beyond what the data type rounds.';
        COMMENT ON COLUMN ald.component_parameters.setpoint_tolerance IS
            'Smallest difference, in the unit, that counts as a set point changed by somebody else; '
            'null: every difference beyond what the data type rounds.';
        COMMENT ON COLUMN ald.component_parameters.scale_factor IS
            'value = number in the controller x factor + offset.';
        COMMENT ON COLUMN ald.component_parameters.scale_offset IS 'In the unit; see scale_factor.';
        COMMENT ON COLUMN ald.component_parameters.show_in_ui IS 'Shown in overviews.';
        COMMENT ON COLUMN ald.component_parameters.show_in_graph IS
            'Shown in charts unless somebody chooses otherwise.';

        CREATE TABLE ald.machine_idle_conditions (
            machine_id int NOT NULL REFERENCES ald.machines,
            condition_id bigint GENERATED ALWAYS AS IDENTITY,
            name text NOT NULL CHECK (name <> ''),
            is_active boolean NOT NULL DEFAULT false,
            PRIMARY KEY (machine_id, condition_id),
            UNIQUE (machine_id, name)
        );
        CREATE UNIQUE INDEX machine_idle_conditions_one_active ON ald.machine_idle_conditions (machine_id)
            WHERE is_active;
        COMMENT ON TABLE ald.machine_idle_conditions IS
            'Profiles of what must hold before a recipe may start; at most one per machine is in force.';

        CREATE TABLE ald.machine_idle_condition_items (
            machine_id int NOT NULL,
            condition_id bigint NOT NULL,
            parameter_id int NOT NULL,
            check_kind text NOT NULL CHECK (check_kind IN ('range', 'on', 'off')),
            min_value float8 CHECK (min_value > '-Infinity' AND min_value < 'Infinity'),
            max_value float8 CHECK (max_value > '-Infinity' AND max_value < 'Infinity'),
            priority smallint NOT NULL DEFAULT 10,
            note text NOT NULL DEFAULT '',
            PRIMARY KEY (machine_id, condition_id, parameter_id),
            FOREIGN KEY (machine_id, condition_id) REFERENCES ald.machine_idle_conditions ON DELETE CASCADE,
            FOREIGN KEY (machine_id, parameter_id) REFERENCES ald.component_parameters,
            CONSTRAINT machine_idle_condition_items_bounds CHECK (
                CASE WHEN check_kind = 'range'
                THEN num_nonnulls(min_value, max_value) >= 1 AND (min_value <= max_value) IS NOT FALSE
                ELSE num_nonnulls(min_value, max_value) = 0 END)
        );
        COMMENT ON TABLE ald.machine_idle_condition_items IS 'One parameter''s part of an idle condition.';
        COMMENT ON COLUMN ald.machine_idle_condition_items.min_value IS
            'For a range, in the unit, included; null: no lower bound. Equal bounds ask for one value.';
        COMMENT ON COLUMN ald.machine_idle_condition_items.priority IS 'Lower numbers are reported first.';
        """
}
