import ALDCore
import ArgumentParser
import Foundation
import Logging
import ServiceLifecycle
import UnixSignals

/// What `ald run`, `collect`, `recipes` and `commands` have in common: one process with some of a machine's terminals,
/// until a signal ends it.
struct TerminalRun {
    var terminals: [Terminal]
    var common: CommonOptions
    /// Only of a process that collects.
    var collecting: CollectionOptions?
    var process: ProcessOptions
    var demonstration: String?

    func run() async throws {
        try await reportingFailures { try await work() }
    }

    private func work() async throws {
        var given = common.given
        collecting?.add(to: &given)
        given[.simulatorPort] = process.simulatorPort
        let reader = try SettingsReader(options: given, file: common.config)
        let settings = try reader.settings()
        let display = makeDisplay()
        let level = settings.logLevel
        let logger = Logger(label: "ald") { _ in TextLogHandler(level: level, write: display.log) }
        for warning in reader.warnings { logger.warning("\(warning)") }
        let station = try Station(
            settings: settings, terminals: terminals, startsOffline: collecting?.offline ?? false,
            demonstration: demonstration, logger: logger
        ) { station in DisplayService(display: display, station: station) }
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

    private func makeDisplay() -> any Display {
        if process.json { return JSONDisplay(output: .output, errors: .error) }
        return StandardStream.output.isTerminal
            ? LiveDisplay(output: .output) : LineDisplay(output: .output, errors: .error)
    }

    private static func runUntilSignal(_ station: Station, logger: Logger) async throws {
        var configuration = ServiceGroupConfiguration(
            services: [.init(service: station, successTerminationBehavior: .gracefullyShutdownGroup)],
            gracefulShutdownSignals: [.sigint, .sigterm, .sighup], logger: logger)
        // Each step of an ordered shutdown has a bound of its own, and together they stay below five seconds unless a
        // recipe has to close valves at a controller that is away. This one is for what nobody has thought of.
        configuration.maximumGracefulShutdownDuration = ShutdownBudget.ordered
        try await ServiceGroup(configuration: configuration).run()
    }
}

/// The options of a process that collects.
struct CollectionOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Time between two collections, for instance 1s or 100ms.", valueName: "duration"))
    var period: String?

    @Option(help: ArgumentHelp("End by itself after this time, for instance 30s or 5m.", valueName: "duration"))
    var duration: String?

    @Option(
        help: ArgumentHelp(
            "Record only these, for instance \"MFC 1.flow,Valve 1.valve_state\"; recipes and commands know all.",
            valueName: "names"))
    var parameters: String?

    @Flag(help: "Start although the database cannot be reached; rows wait in the spool.")
    var offline = false

    func add(to given: inout [SettingKey: String]) {
        given[.period] = period
        given[.duration] = duration
        given[.parameters] = parameters
    }
}

/// The options of every process that runs terminals.
struct ProcessOptions: ParsableArguments {
    @Option(help: ArgumentHelp("TCP port of the simulated machine.", valueName: "port"))
    var simulatorPort: String?

    @Flag(help: "Write JSON lines instead of text: progress every 10 s and a summary.")
    var json = false
}
