import ArgumentParser

struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure in half a minute what something costs.",
        discussion: """
            `ald stress` proves requirements, `ald modbus bench` measures a device; here
            a developer sees what a change has done to the whole.

            EXAMPLES
              ald bench sync                      current values beside the history
            """,
        subcommands: [BenchSyncCommand.self])
}
