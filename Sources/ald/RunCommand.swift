import ALDCore
import ArgumentParser
import Logging
import ServiceLifecycle
import UnixSignals

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Record a machine until Ctrl-C.",
        discussion: """
            Reads every parameter of the controller once per period and records it in
            PostgreSQL. Without a controller it serves a simulated machine over Modbus
            TCP and records that; without a database it keeps a private PostgreSQL in
            the data directory. Rows are on disk before they count as recorded, and
            stay there until the database has confirmed them.

            EXAMPLES
              ald run --duration 30
              ald run --period 100ms --parameters "MFC 1.flow"
              ALD_DATABASE_URL=postgresql://ald@db/ald ald run --plc 10.0.0.5
              ald run --json | jq .cycles

            \(SettingsHelp.text)
            """)

    @OptionGroup var common: CommonOptions

    @Option(help: ArgumentHelp("Time between two collections, for instance 1s or 100ms.", valueName: "duration"))
    var period: String?

    @Option(help: ArgumentHelp("End by itself after this time, for instance 30s or 5m.", valueName: "duration"))
    var duration: String?

    @Option(
        help: ArgumentHelp("Record only these, for instance \"MFC 1.flow,Valve 1.valve_state\".", valueName: "names"))
    var parameters: String?

    @Option(help: ArgumentHelp("TCP port of the simulated machine.", valueName: "port"))
    var simulatorPort: String?

    @Flag(help: "Start although the database cannot be reached; rows wait in the spool.")
    var offline = false

    @Flag(help: "Write JSON lines instead of text: progress every 10 s and a summary.")
    var json = false

    func run() async throws {
        try await reportingFailures {
            var given = common.given
            given[.period] = period
            given[.duration] = duration
            given[.parameters] = parameters
            given[.simulatorPort] = simulatorPort
            let reader = try SettingsReader(options: given, file: common.config)
            let settings = try reader.settings()
            let display = makeDisplay()
            let level = settings.logLevel
            let logger = Logger(label: "ald") { _ in TextLogHandler(level: level, write: display.log) }
            for warning in reader.warnings { logger.warning("\(warning)") }
            let station = try Station(settings: settings, startsOffline: offline, logger: logger) { station in
                DisplayService(display: display, station: station)
            }
            let end: Result<Void, any Error>
            do {
                end = .success(try await Self.runUntilSignal(station, logger: logger))
            } catch {
                end = .failure(error)
            }
            // Whatever went wrong at the end, the account of what was recorded comes first.
            if let status = station.status { display.finish(status) }
            try end.get()
            if station.status?.isBalanced == false { throw ExitCode(Failure.Status.software.rawValue) }
        }
    }

    private func makeDisplay() -> any Display {
        if json { return JSONDisplay(output: .output, errors: .error) }
        return StandardStream.output.isTerminal
            ? LiveDisplay(output: .output) : LineDisplay(output: .output, errors: .error)
    }

    private static func runUntilSignal(_ station: Station, logger: Logger) async throws {
        var configuration = ServiceGroupConfiguration(
            services: [.init(service: station, successTerminationBehavior: .gracefullyShutdownGroup)],
            gracefulShutdownSignals: [.sigint, .sigterm, .sighup], logger: logger)
        // Each step of an ordered shutdown has a bound of its own, and together they stay below five seconds. This one
        // is for what nobody has thought of.
        configuration.maximumGracefulShutdownDuration = .seconds(10)
        try await ServiceGroup(configuration: configuration).run()
    }
}
