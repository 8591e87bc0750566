extension Migration {
    /// For whom and why somebody touches a dead letter is said of that alone, and who brings letters from a file is not
    /// who the file says.
    static let lettersByWhom = Migration(
        version: 18, name: "who touches dead letters",
        script: [lettersByWhomScript, letterDecisionsScript].joined(separator: "\n\n"))
}
