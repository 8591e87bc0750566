extension Migration {
    static let synchronisedRecording = Migration(
        version: 7, name: "synchronised recording",
        script: [currentValuesScript, recordingScript].joined(separator: "\n\n"))
}
