extension Migration {
    /// Recipes and commands exclude each other also where each is a process of its own, and nothing that was taken is
    /// forgotten when its answer is lost.
    static let runsAlone = Migration(
        version: 19, name: "runs have their valves alone",
        script: [runValvesScript, takenOnceScript].joined(separator: "\n\n"))
}
