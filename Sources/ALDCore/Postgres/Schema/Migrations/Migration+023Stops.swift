extension Migration {
    /// Instants that went by while no collector was running leave a gap record as well.
    static let gapsBetweenProcesses = Migration(
        version: 23, name: "gaps between processes",
        script: """
            ALTER TABLE ald_history.collection_gaps
                DROP CONSTRAINT collection_gaps_cause_check,
                ADD CONSTRAINT collection_gaps_cause_check CHECK (cause IN ('late', 'plc', 'spool', 'stopped'));
            COMMENT ON COLUMN ald_history.collection_gaps.cause IS
                'late: the collector came too late. plc: the controller could not be read. spool: the collector''s disk '
                'could not take the readings. stopped: no collector was running.';
            """)
}
