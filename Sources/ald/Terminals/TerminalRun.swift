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
        process.add(to: &given)
        let reader = try SettingsReader(options: given, file: common.config)
        let settings = try reader.settings()
        let display = makeDisplay()
        let log = try openLog(settings)
        defer { log?.close() }
        let level = settings.logLevel
        let logger = Logger(label: "ald") { _ -> any LogHandler in
            guard let log else { return TextLogHandler(level: level, write: display.log) }
            return FileLogHandler(log, level: level)
        }
        for warning in reader.warnings { logger.warning("\(warning)") }
        let station = try Station(
            settings: settings, terminals: terminals, startsOffline: collecting?.offline ?? false,
            demonstration: demonstration, failsOnSignal: process.failOnSignal, logger: logger
        ) { station in DisplayService(display: display, station: station) }
        let end: Result<Void, any Error>
        do {
            end = .success(try await Self.runUntilSignal(station, logger: logger))
        } catch {
            end = .failure(error)
        }
        // Whatever went wrong at the end, the account of what was recorded comes first.
        if let status = station.status { display.finish(status) }
        switch end {
        case .success: logger.info("ended in order")
        // Otherwise it is said on standard error, as of every command.
        case .failure(let error):
            if log != nil { logger.critical("ended by an error", metadata: ["reason": "\(error)"]) }
        }
        try end.get()
        if station.status?.isBalanced == false { throw ExitCode(Failure.Status.software.rawValue) }
    }

    /// One file for each process: `{service}` in its name is the command that it is.
    private func openLog(_ settings: Settings) throws -> LogFile? {
        guard let name = settings.logFile else { return nil }
        let service = terminals.count == 1 ? terminals[0].service : "run"
        do {
            return try LogFile(name.replacing("{service}", with: service), policy: settings.logRotation) {
                StandardStream.error.write("ald: \($0)\n")
            }
        } catch let refusal as LogFile.Refusal {
            throw Failure(.configuration, "\(refusal); choose another with --log-file")
        }
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

    @Option(
        help: ArgumentHelp(
            "Log into this file instead of standard error; a new one each day. {service} in it is the command's name.",
            valueName: "file"))
    var logFile: String?

    @Option(help: ArgumentHelp("Put the log file away when it is so long, for instance 100MB.", valueName: "size"))
    var logSize: String?

    @Option(help: ArgumentHelp("How many log files that were put away are kept.", valueName: "number"))
    var logKeep: String?

    @Flag(help: "Write JSON lines instead of text: progress every 10 s and a summary.")
    var json = false

    /// For our own tests: SIGUSR1 is an error that nobody has thought of.
    @Flag(help: .private)
    var failOnSignal = false

    func add(to given: inout [SettingKey: String]) {
        given[.simulatorPort] = simulatorPort
        given[.logFile] = logFile
        given[.logSize] = logSize
        given[.logKeep] = logKeep
    }
}
