import ALDCore
import ArgumentParser
import Foundation

struct DatabaseSeedCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "seed",
        abstract: "Load a machine and its parameters from a register map.",
        discussion: """
            Brings the schema up to date first. Safe to repeat: says what changed and
            writes that alone. Parameters that the register map has no more are kept,
            with their history. The audit log notes the file as the reason.

            EXAMPLE
              ald database seed machine.csv --machine 1 --name ALD-1
            """)

    @OptionGroup var options: DatabaseOptions

    @Argument(help: "The machine's register map, a CSV file.")
    var file: String

    @Option(help: "The machine's number in all rows; otherwise ALD_MACHINE_ID.")
    var machine: Int32?

    @Option(help: "The machine's name; otherwise ALD_MACHINE_NAME.")
    var name: String?

    func validate() throws {
        if let machine, machine < 1 { throw ValidationError("--machine is \(machine), must be 1 or more") }
        if let name, name.isEmpty { throw ValidationError("--name must not be empty") }
    }

    /// Names no option, as the commands do that have one for the file.
    private static func registerMap(_ settings: Settings) throws -> RegisterMap {
        do { return try settings.registerMap() } catch let error as RegisterMapError {
            throw Failure(.configuration, "\(error)")
        }
    }

    func run() async throws {
        try await reportingFailures {
            let settings = try options.settings([.machine: file])
            let registration = MachineRegistration(
                machine: machine ?? settings.machineID, name: name ?? settings.machineName,
                registerMap: try Self.registerMap(settings))
            let reason = "register map \(URL(fileURLWithPath: file).lastPathComponent)"
            let changes = try await interruptibly {
                try await DatabaseAccess(settings: settings).withConnection(within: DatabaseAccess.noLimit) {
                    connection, deadline in
                    _ = try await withTicker { ticker in
                        try await Migrator().migrate(connection, deadline: deadline) {
                            ticker.begin("migrating to version \($0.version), \($0.name)")
                        }
                    }
                    return try await registration.register(connection, reason: reason, deadline: deadline)
                }
            }
            StandardStream.output.write(SchemaReport.text(changes, of: registration))
        }
    }
}
