import ArgumentParser

/// The options of commands that work on a database and know nothing of a controller.
struct DatabaseOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Where the private database lives.", valueName: "directory"))
    var dataDirectory: String?

    @Option(help: ArgumentHelp("A JSON file with settings.", valueName: "file"))
    var config: String?

    func settings(_ others: [SettingKey: String] = [:]) throws -> Settings {
        var given = others
        given[.dataDirectory] = dataDirectory
        return try SettingsReader(options: given, file: config).settings()
    }
}
