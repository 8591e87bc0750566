extension Migration {
    static let checkedRecipesUpkeep = Migration(
        version: 12, name: "recipes checked when they start, terminals that come back, upkeep",
        script: [checkedValuesScript, checkedRecipesScript, revivalScript, auditContextScript, upkeepScript]
            .joined(separator: "\n\n"))
}
