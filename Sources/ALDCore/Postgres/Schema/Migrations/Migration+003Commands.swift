extension Migration {
    /// The columns that commands of both kinds share, from status on, with their checks.
    static func commandColumns(_ table: String) -> String {
        """
            status text NOT NULL DEFAULT 'pending' CHECK (status IN
                ('pending', 'claimed', 'executing', 'succeeded', 'failed', 'expired', 'unknown', 'cancelled')),
            requested_by text NOT NULL DEFAULT session_user CHECK (requested_by <> ''),
            reason text NOT NULL DEFAULT '',
            created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            not_after timestamptz NOT NULL DEFAULT clock_timestamp() + interval '30 s',
            claimed_by text CHECK (claimed_by <> ''),
            lease_until timestamptz,
            attempts smallint NOT NULL DEFAULT 0 CHECK (attempts BETWEEN 0 AND 5),
            claimed_at timestamptz,
            executing_at timestamptz,
            finished_at timestamptz,
            error text CHECK (error <> ''),
            PRIMARY KEY (machine_id, command_id),
            UNIQUE (machine_id, request_id),
            CONSTRAINT \(table)_deadline CHECK (not_after > created_at AND not_after <= created_at + interval '1 day'),
            CONSTRAINT \(table)_claim CHECK (CASE
                WHEN status = 'pending' THEN num_nonnulls(claimed_by, lease_until, claimed_at) = 0
                WHEN status IN ('claimed', 'executing') THEN num_nonnulls(claimed_by, lease_until, claimed_at) = 3
                ELSE lease_until IS NULL END),
            CONSTRAINT \(table)_execution CHECK (CASE
                WHEN status IN ('executing', 'succeeded', 'unknown') THEN executing_at IS NOT NULL
                ELSE status = 'failed' OR executing_at IS NULL END),
            CONSTRAINT \(table)_end CHECK (
                (finished_at IS NULL) = (status IN ('pending', 'claimed', 'executing'))
                AND (error IS NULL) = (status IN ('pending', 'claimed', 'executing', 'succeeded')))
        """
    }

    /// What holds for commands of both kinds: their life and what of them never changes. `identity` names the columns,
    /// quoted, that say what is to be done.
    static func commandRules(_ table: String, identity: String) -> String {
        """
        COMMENT ON COLUMN ald.\(table).request_id IS
            'Made by whoever asks: the same request sent twice is one command.';
        COMMENT ON COLUMN ald.\(table).status IS
            'pending, claimed by a terminal, executing (the controller may have been written), then one of the '
            'ends; '
            'unknown: the terminal ended while executing and the controller could not tell, so somebody has to '
            'look.';
        COMMENT ON COLUMN ald.\(table).requested_by IS
            'Who asked, as the application says; the audit log has the login.';
        COMMENT ON COLUMN ald.\(table).not_after IS 'Not begun by then, it never will be; at most a day.';
        COMMENT ON COLUMN ald.\(table).claimed_by IS 'The terminal that has it, or ended it.';
        COMMENT ON COLUMN ald.\(table).lease_until IS
            'When a claim ends by itself. A claimed command may then be claimed again, an executing one never.';
        COMMENT ON COLUMN ald.\(table).attempts IS
            'How often it was claimed; after five claims without a begin it fails.';
        COMMENT ON COLUMN ald.\(table).executing_at IS 'When the terminal was about to act.';
        COMMENT ON COLUMN ald.\(table).error IS 'Why it did not succeed.';
        CREATE INDEX \(table)_open ON ald.\(table) (machine_id, command_id)
            WHERE status IN ('pending', 'claimed', 'executing');
        INSERT INTO ald.status_transitions VALUES
            ('\(table)', '', 'pending'),
            ('\(table)', 'pending', 'claimed'), ('\(table)', 'pending', 'expired'),
            ('\(table)', 'pending', 'cancelled'),
            ('\(table)', 'claimed', 'pending'), ('\(table)', 'claimed', 'executing'), ('\(table)', 'claimed', 'failed'),
            ('\(table)', 'claimed', 'expired'), ('\(table)', 'claimed', 'cancelled'),
            ('\(table)', 'executing', 'succeeded'), ('\(table)', 'executing', 'failed'),
            ('\(table)', 'executing', 'unknown');
        CREATE TRIGGER a_transitions BEFORE INSERT OR UPDATE OF status ON ald.\(table)
            FOR EACH ROW EXECUTE FUNCTION ald.refuse_illegal_transition();
        CREATE TRIGGER b_ended BEFORE UPDATE ON ald.\(table) FOR EACH ROW
            WHEN (OLD.finished_at IS NOT NULL) EXECUTE FUNCTION ald.refuse_change('the command has ended');
        CREATE TRIGGER c_identity BEFORE UPDATE ON ald.\(table) FOR EACH ROW EXECUTE FUNCTION ald.refuse_other_identity(
            'machine_id', 'command_id', 'request_id', \(identity), 'requested_by', 'reason', 'created_at', 'not_after');
        """
    }
}
