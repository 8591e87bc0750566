import ALDCore
import ArgumentParser

struct CollectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "collect",
        abstract: "Terminal 1 alone: record a machine until Ctrl-C.",
        discussion: """
            Reads every parameter once per period and records it, keeps the database's
            set points as the machine has them, and notes what somebody changed at the
            machine. It needs the database for its first start only: from then on it
            records into the spool while the database is away.

            EXAMPLES
              ald collect --plc 10.0.0.5
              ald collect --period 100ms --json

            \(TerminalHelp.text)
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var collecting: CollectionOptions
    @OptionGroup var process: ProcessOptions

    func run() async throws {
        try await TerminalRun(terminals: [.collection], common: common, collecting: collecting, process: process).run()
    }
}

struct RecipesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recipes",
        abstract: "Terminal 2 alone: run recipes until Ctrl-C.",
        discussion: """
            Takes recipe commands from the database and runs one recipe at a time. A
            valve that it has opened is closed, whatever happens: on a stop, an error, a
            lost controller, a shutdown, and after a crash at the next start. What a run
            did waits in a spool of its own while the database is away, the same that
            `ald run` uses for it.

            EXAMPLES
              ald recipes --plc 10.0.0.5
              ald recipe start "TMA and water" --wait     from another shell

            \(TerminalHelp.text)
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var process: ProcessOptions

    func run() async throws {
        try await TerminalRun(terminals: [.recipes], common: common, process: process).run()
    }
}

struct CommandsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "commands",
        abstract: "Terminal 3 alone: carry out parameter commands until Ctrl-C.",
        discussion: """
            Takes the commands of one machine from the database, writes each value
            once, reads it back and notes the end. What it cannot tell, it calls
            unknown and never writes again. Without the database it waits.

            EXAMPLES
              ald commands --plc 10.0.0.5
              ald command set "MFC 1.flow" 20 --wait      from another shell

            \(TerminalHelp.text)
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var process: ProcessOptions

    func run() async throws {
        try await TerminalRun(terminals: [.commands], common: common, process: process).run()
    }
}

enum TerminalHelp {
    static let text = """
        One of each terminal runs per machine: a lock in the data directory and the
        registry in the database see to it. Terminals that share a data directory
        share its private database and its simulated machine; each has one connection
        to the controller.

        EXIT STATUS
          0   ended in order                10  this terminal runs already
          69  database or controller away   78  a setting or a file is wrong

        \(SettingsHelp.text)
        """
}
