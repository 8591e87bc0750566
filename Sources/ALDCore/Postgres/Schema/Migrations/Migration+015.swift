extension Migration {
    static let runsOfRecipes = Migration(
        version: 15, name: "runs of recipes follow from their events",
        script: [runEventsScript, runGateScript].joined(separator: "\n\n"))
}
