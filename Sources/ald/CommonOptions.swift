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

enum SettingsHelp {
    static let text = """
        SETTINGS
          Every setting can be given in three ways; the first one found counts: option, environment variable, file.

            option              environment            file               meaning (default)
            --data-directory    ALD_DATA_DIRECTORY     dataDirectory      spool and private database (.ald)
            --machine           ALD_MACHINE            machine            register map (Fixtures/Machine/machine-51.csv)
            --plc               ALD_PLC                plc                controller, host:port (simulated)
            --period            ALD_PERIOD             period             between two collections (1s)
            --duration          ALD_DURATION           duration           end by itself after (never)
            --parameters        ALD_PARAMETERS         parameters         record only these, comma-separated (all)
            --simulator-port    ALD_SIMULATOR_PORT     simulatorPort      TCP port of the simulated machine (any free)
                                ALD_DATABASE_URL       databaseUrl        PostgreSQL (private server)
                                ALD_POSTGRES_BIN       postgresBin        programs of the private server (usual places)
                                ALD_PLC_UNIT           plcUnit            Modbus unit of the controller (1)
                                ALD_WORD_ORDER         wordOrder          abcd, badc, cdab or dcba (cdab)
                                ALD_MACHINE_ID         machineId          key of this machine's rows (1)
                                ALD_MACHINE_NAME       machineName        name of this machine (ALD-1)
                                ALD_SIMULATOR_SEED     simulatorSeed      seed of the simulated values (1)
                                ALD_LOG_LEVEL          logLevel           trace … critical (notice)
            --config            ALD_CONFIG                                the file, JSON: {"plc": "10.0.0.5:502"}

          The database URL holds a password, so it has no option: arguments are visible to every user of a machine.
        """
}
