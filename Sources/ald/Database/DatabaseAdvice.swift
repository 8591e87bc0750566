import ALDCore

extension PostgresError {
    /// With what to do when the schema is not what this program needs, or the login may not do what it was asked for.
    var advised: PostgresError {
        guard remedy == nil, let remedy = advice else { return self }
        var advised = self
        advised.remedy = remedy
        return advised
    }

    private var advice: String? {
        switch sqlState?.rawValue {
        case "3F000", "42P01", "42883", "42703":
            "The schema is missing or of another version: `ald database status` shows it, `ald database migrate` brings "
                + "it up to date."
        case "42501" where message.contains("no member of machine"):
            "Let the administrator add this login: INSERT INTO ald.machine_members (member, machine_id) "
                + "VALUES ('LOGIN', MACHINE)."
        case "42501" where message.contains("for database") || message.contains("create"):
            "Let the owner of the database do this, or a login that may create schemas and roles."
        case "42501":
            "Let the administrator give this login the role for it: GRANT ald_reader (to look), ald_operator (to deal "
                + "with dead letters), ald_auditor (to verify the audit) or ald_maintainer (to maintain) TO LOGIN. "
                + "`ald database status` shows which roles there are; the owner's `ald database migrate` makes those "
                + "that are missing."
        default: nil
        }
    }
}
