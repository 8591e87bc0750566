extension Migration {
    static let rollupsAndRetention = Migration(
        version: 8, name: "rollups and retention",
        script: [rollupsScript, retentionScript].joined(separator: "\n\n"))
}
