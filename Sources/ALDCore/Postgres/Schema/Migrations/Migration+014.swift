extension Migration {
    static let processEvents = Migration(
        version: 14, name: "process events",
        script: [processEventsScript, eventLettersScript].joined(separator: "\n\n"))
}
