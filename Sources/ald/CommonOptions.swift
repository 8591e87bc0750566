import ALDCore
import ArgumentParser

/// The options that every command shares. Each of them, and a few that have no option, can also be given as an
/// environment variable or in a file.
struct CommonOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Where spool and private database live.", valueName: "directory"))
    var dataDirectory: String?

    @Option(help: ArgumentHelp("The machine's register map, a CSV file.", valueName: "file"))
    var machine: String?

    @Option(help: ArgumentHelp("The controller. Without it, a simulated one is served.", valueName: "host:port"))
    var plc: String?

    @Option(help: ArgumentHelp("A JSON file with settings.", valueName: "file"))
    var config: String?

    /// The options that were given, by setting.
    var given: [SettingKey: String] {
        var given: [SettingKey: String] = [:]
        given[.dataDirectory] = dataDirectory
        given[.machine] = machine
        given[.plc] = plc
        return given
    }
}

/// A duration that was given as an option.
func durationOption(_ text: String) throws -> Duration {
    guard let duration = DurationText.parse(text) else {
        throw ValidationError("`\(text)` is no duration; write for instance 30, 90s or 5m")
    }
    return duration
}

/// The part of the help that every command with settings shares. Lines end before column 79, where the help would
/// break them and its tables with them.
enum SettingsHelp {
    static let text = """
        SETTINGS
        Each can be given as an option, as an environment variable or in a file;
        the first one found, in this order, counts.

          option            variable            meaning (default)
          --data-directory  ALD_DATA_DIRECTORY  spool, private database (.ald)
          --machine         ALD_MACHINE         register map, a CSV file
                                                (Fixtures/Machine/machine-51.csv)
          --plc             ALD_PLC             controller host:port (simulated)
          --period          ALD_PERIOD          between two collections (1s)
          --duration        ALD_DURATION        end by itself after (never)
          --parameters      ALD_PARAMETERS      record only these (all)
          --simulator-port  ALD_SIMULATOR_PORT  simulated machine's port (any)
                            ALD_DATABASE_URL    PostgreSQL (private server)
                            ALD_POSTGRES_BIN    private server's programs (found)
                            ALD_PLC_UNIT        controller's Modbus unit (1)
                            ALD_WORD_ORDER      abcd, badc, cdab, dcba (cdab)
                            ALD_INTERLOCKS      valves' interlocks, YAML (cautious)
                            ALD_MACHINE_ID      number in all rows (1)
                            ALD_MACHINE_NAME    name in the database (ALD-1)
                            ALD_SIMULATOR_SEED  seed of simulated values (1)
                            ALD_LOG_LEVEL       trace … critical (notice)
          --log-file        ALD_LOG_FILE        log of a terminal (standard error)
          --log-size        ALD_LOG_SIZE        put it away when so long (100MB)
          --log-keep        ALD_LOG_KEEP        how many old ones are kept (14)
                            ALD_LOG_SPACE       what these take together (1GB)
          --config          ALD_CONFIG          settings file, JSON (none)

        In a file a setting is called like its variable, without ALD_ and in camel
        case: {"plc": "10.0.0.5:502", "plcUnit": 3}. The database URL may hold a
        password and has no option: everybody on a machine can see arguments.
        """
}
