extension Migration {
    static let commandsLiveness = Migration(
        version: 4, name: "parameter commands and liveness",
        script: [commandsScript, claimsScript, livenessScript].joined(separator: "\n\n"))
}
