extension Migration {
    static let equipmentRecipesProcesses = Migration(
        version: 3, name: "equipment, recipes and processes",
        script: [equipmentScript, recipesScript, processesScript, chainScript].joined(separator: "\n\n"))
}
