import ALDCore
import ArgumentParser
import Foundation

/// The options of all commands about recipes.
struct RecipeOptions: ParsableArguments {
    @OptionGroup var database: DatabaseOptions

    @Option(help: ArgumentHelp("The machine's register map, a CSV file.", valueName: "file"))
    var machine: String?

    @Flag(help: "Write JSON.")
    var json = false

    func settings() throws -> Settings { try database.settings(machine.map { [.machine: $0] } ?? [:]) }
}

/// Who asks, and why: both stay in the record.
struct RecipeAuthor: ParsableArguments {
    @Option(help: "Who answers for it (the login of this computer).")
    var `operator`: String?

    @Option(help: "Why.")
    var reason = ""

    var name: String {
        get throws {
            let login = ProcessInfo.processInfo.environment["USER"] ?? NSUserName()
            let name = `operator` ?? login
            guard !name.isEmpty else { throw Failure(.configuration, "nobody answers for this; say --operator") }
            return name
        }
    }
}
