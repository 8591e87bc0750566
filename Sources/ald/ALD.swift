import ArgumentParser

@main
struct ALD: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ald",
        abstract: "Records an atomic layer deposition machine: every PLC parameter, every second, into PostgreSQL.",
        discussion: """
            EXAMPLES
              ald run                                  a simulated machine and a private PostgreSQL, until Ctrl-C
              ald run --duration 30                    the same for 30 seconds
              ALD_PLC=10.0.0.5:502 ald run             a real controller
              ald run --config plant.json              settings from a file, see `ald run --help`
              ald doctor                               what is missing or wrong, and what to do about it
              ald database psql                        look into the recorded data

            EXIT STATUS
              0   done                                 69  something needed is not available
              64  wrong arguments                      70  an error in this program
              78  a setting or a file is wrong         75  it may work later, for instance: in use
            """,
        version: "0.1.0",
        subcommands: [RunCommand.self, DoctorCommand.self, DatabaseCommand.self])
}
