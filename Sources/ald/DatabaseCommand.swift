import ALDCore
import ArgumentParser
import Foundation
import Logging
import Subprocess
import UnixSignals

struct DatabaseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "database", abstract: "Set up the database, and look into the recorded data.",
        subcommands: [
            DatabaseMigrateCommand.self, DatabaseStatusCommand.self, DatabaseSeedCommand.self,
            DatabaseMaintainCommand.self, DatabaseVerifyAuditCommand.self, PSQLCommand.self,
        ])
}

struct PSQLCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "psql",
        abstract: "Open psql on the private database, also while it is being recorded into.",
        discussion: """
            Uses the running server of the data directory, or starts it and stops it
            afterwards. Everything after -- goes to psql, whose exit status becomes
            this command's.

            EXAMPLES
              ald database psql
              ald database psql -- -c "select count(*) from ald.parameter_value_history"

            A database named by ALD_DATABASE_URL is yours: call psql with your own
            connection string.
            """)

    @OptionGroup var common: CommonOptions

    @Argument(parsing: .postTerminator, help: "Arguments for psql.")
    var arguments: [String] = []

    func run() async throws {
        try await reportingFailures {
            let settings = try SettingsReader(options: common.given, file: common.config).settings()
            let cluster = URL(fileURLWithPath: settings.dataDirectory).path + "/postgres"
            guard FileManager.default.fileExists(atPath: cluster) else {
                throw Failure(
                    .unavailable, "\(settings.dataDirectory) holds no private database yet; `ald run` creates it")
            }
            if let running = LocalPostgres.connectionString(ofServerIn: cluster) {
                return try await untilSignal { try await psql(running) }
            }
            let logger = Logger(label: "ald") { _ in
                TextLogHandler(level: settings.logLevel) { StandardStream.error.write($0 + "\n") }
            }
            let server = LocalPostgres(directory: cluster, binaryDirectory: settings.postgresBin, logger: logger)
            try await withCleanup {
                try await untilSignal {
                    _ = try await server.start()
                    if let started = await server.connectionString { try await psql(started) }
                }
            } cleanup: {
                try await server.stop()
            }
        }
    }

    /// Runs `body` until it ends or somebody ends this program, which then still cleans up.
    private func untilSignal(_ body: @escaping @Sendable () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                try await body()
                return false
            }
            group.addTask {
                for await _ in await UnixSignalsSequence(trapping: [.sigterm, .sighup]) { return true }
                return false
            }
            let isEnded = try await group.next() ?? false
            group.cancelAll()
            // psql has been ended as well; that it was cancelled is no news.
            do { try await group.waitForAll() } catch {}
            if isEnded { throw ExitCode(Failure.Status.temporary.rawValue) }
        }
    }

    private func psql(_ connectionString: String) async throws {
        // Ctrl-C belongs to psql, which cancels the query; this process waits for psql's end.
        signal(SIGINT, SIG_IGN)
        let status: TerminationStatus
        do {
            status = try await Subprocess.run(
                .name("psql"), arguments: Arguments([connectionString] + arguments), input: .currentStandardInput,
                output: .currentStandardOutput, error: .currentStandardError
            ).terminationStatus
        } catch {
            throw Failure(
                .unavailable,
                "psql cannot be started (\(error)); install PostgreSQL's client, "
                    + "on Debian and Ubuntu: apt install postgresql-client")
        }
        switch status {
        case .exited(0): return
        case .exited(let code): throw ExitCode(code)
        case .signaled(let signal): throw ExitCode(128 + signal)
        }
    }
}
