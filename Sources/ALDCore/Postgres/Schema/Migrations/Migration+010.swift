extension Migration {
    static let deadLetterQueue = Migration(
        version: 10, name: "dead letters are corrected, sent again and discarded",
        script: [letterHistoryScript, letterRecordsScript, letterActionsScript].joined(separator: "\n\n"))
}
