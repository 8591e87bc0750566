extension Migration {
    static let privateHistory = Migration(
        version: 6, name: "history in a private schema",
        script: [privateHistoryScript, partitionsScript, batchesScript].joined(separator: "\n\n"))
}
