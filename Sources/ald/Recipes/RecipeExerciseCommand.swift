import ALDCore
import ALDTestKit
import ArgumentParser
import Foundation
import Logging
import Modbus
import ServiceLifecycle
import UnixSignals

/// For our own tests: the recipe service in a process that is killed. It says `ready` on standard output when it takes
/// commands. The database is the one that `ALD_DATABASE_URL` names; spool and journal are in the directory.
struct RecipeExerciseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "exercise-recipes", shouldDisplay: false)

    @OptionGroup var options: RecipeOptions
    @Argument var directory: String
    @Option var port: Int

    func run() async throws {
        try await reportingFailures {
            let settings = try options.settings()
            guard let url = settings.databaseURL else {
                throw Failure(.configuration, "ALD_DATABASE_URL names no database")
            }
            try await serve(try settings.registerMap(), try PostgresConfiguration(connectionString: url))
        }
    }

    private func serve(_ map: RegisterMap, _ database: PostgresConfiguration) async throws {
        let logger = Logger(label: "ald.exercise") { _ in SwiftLogNoOpLogHandler() }
        try FileManager.default.createDirectory(atPath: directory + "/spool", withIntermediateDirectories: true)
        let spool = try Spool(directory: directory + "/spool")
        let pool = try ConnectionPool(configuration: database, logger: logger)
        let sink = PostgresSink(
            pool: pool, registration: MachineRegistration(machine: 1, name: "ALD-1", registerMap: map), logger: logger)
        let writer = try BatchWriter(spool: spool, sink: sink, logger: logger)
        let client = try ModbusClient(configuration: .init(host: "127.0.0.1", port: port), logger: logger)
        var configuration = RecipeService.Configuration(
            machine: 1, interlocks: .cautious(on: map), journal: directory + "/recipe.json")
        configuration.execution = .patient
        let service = try RecipeService(
            configuration: configuration, plc: ModbusPLC(map, client: client), pool: pool, writer: writer,
            logger: logger)
        try await withCleanup {
            try await ServiceGroup(
                configuration: .init(
                    services: [
                        .init(service: pool), .init(service: writer), .init(service: service),
                        .init(service: Announcement(service: service), successTerminationBehavior: .ignore),
                    ], gracefulShutdownSignals: [.sigterm], logger: logger)
            ).run()
        } cleanup: {
            await client.close()
            try spool.close()
        }
    }

    private struct Announcement: Service {
        let service: RecipeService

        func run() async throws {
            try await cancelWhenGracefulShutdown {
                try await eventually("it takes commands", within: .seconds(300)) { service.status.phase == .ready }
                try LineOutput.write("ready")
            }
        }
    }
}
