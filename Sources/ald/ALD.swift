import ArgumentParser

@main
struct ALD: AsyncParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "ald",
        abstract: "Records a machine: every PLC parameter, every second, in PostgreSQL.",
        discussion: """
            EXAMPLES
              ald run                        a simulated machine into a private database
              ald run --duration 30          the same for 30 seconds
              ALD_PLC=10.0.0.5:502 ald run   a real controller
              ald status --watch             terminals, machine, process, queue, spool
              ald command set "MFC 1.flow" 20 --wait
              ald doctor                     what is missing or wrong, and what to do
              ald database psql              look into the recorded data
              ald spool status               what waits on this disk for the database
              ald dead-letters list          records that the database refuses
              ald verify                     prove that nothing is missing or doubled
              ald recipe start NAME --wait   run a recipe; validate, import, list, stop, …
              ald stress --list              what the requirements ask for, and run it
              ald bench sync                 what current values cost, in 30 seconds
              ald simulate --hours 24        a day with every fault, in seconds
              ald modbus read holding 100    read, write, watch, scan any Modbus device

            EXIT STATUS
              0   done
              1   what was looked for is not there, or not as it should be
              10  another process is this terminal of this machine
              11  a command may or may not have been executed: look at the machine
              64  wrong arguments
              69  something needed is not there, or does not answer
              70  an error in this program
              75  not now: in use, or starting
              78  a setting or a file is wrong
              130 interrupted by a signal; what there is was written
            """,
        version: version,
        subcommands: [
            RunCommand.self, CollectCommand.self, RecipesCommand.self, CommandsCommand.self, StatusCommand.self,
            CommandCommand.self, TraceCommand.self, RecipeCommand.self, DoctorCommand.self, DatabaseCommand.self,
            SpoolCommand.self, DeadLettersCommand.self, VerifyCommand.self, StressCommand.self, ReportCommand.self,
            BenchCommand.self, SimulateCommand.self, ModbusCommand.self,
            SpoolExerciseCommand.self, WriterExerciseCommand.self, RecipeExerciseCommand.self,
        ])
}
