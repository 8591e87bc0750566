extension Migration {
    static let rolesAudit = Migration(
        version: 5, name: "members, audit log, roles and row-level security",
        script: [auditScript, rolesScript].joined(separator: "\n\n"))
}
