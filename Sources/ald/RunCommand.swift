import ALDCore
import ArgumentParser

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Run a machine until Ctrl-C: record it, carry out recipes and commands.",
        discussion: """
            All three terminals in one process, on one connection to the controller.
            Reads every parameter once per period and records it in PostgreSQL. Without
            a controller it serves a simulated machine over Modbus TCP; without a
            database it keeps a private PostgreSQL in the data directory. Rows are on
            disk before they count as recorded, and stay there until the database has
            confirmed them. A terminal that fails is started again; the others go on.

            EXAMPLES
              ald run --duration 30
              ald run --period 100ms --parameters "MFC 1.flow"
              ALD_DATABASE_URL=postgresql://ald@db/ald ald run --plc 10.0.0.5
              ald run --json | jq .cycles

            \(TerminalHelp.text)
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var collecting: CollectionOptions
    @OptionGroup var process: ProcessOptions

    @Option(
        help: ArgumentHelp("Run this recipe again and again, on the simulated machine only.", valueName: "file"))
    var demonstration: String?

    func run() async throws {
        try await TerminalRun(
            terminals: Terminal.allCases, common: common, collecting: collecting, process: process,
            demonstration: demonstration
        ).run()
    }
}
