import ALDCore
import ArgumentParser
import Modbus

/// What a command ends with when it cannot do its work: a message for people and an exit status that means something
/// (`sysexits.h`).
struct Failure: Error, CustomStringConvertible {
    enum Status: Int32 {
        /// What was found is not what was asked for: nothing matched, or something is not as it should be.
        case mismatch = 1
        /// Another process is this terminal of this machine.
        case duplicate = 10
        /// A command may or may not have been executed: somebody has to look at the machine.
        case unknownOutcome = 11
        /// `EX_UNAVAILABLE`: something this program needs is not there.
        case unavailable = 69
        /// `EX_SOFTWARE`: this program is wrong.
        case software = 70
        /// `EX_TEMPFAIL`: in use, or not ready yet.
        case temporary = 75
        /// `EX_CONFIG`: a setting or a file is wrong.
        case configuration = 78
    }

    var status: Status
    var message: String

    var description: String { message }

    init(_ status: Status, _ message: String) {
        self.status = status
        self.message = message
    }

    /// Finds the status for anything the libraries throw.
    init(_ error: any Error) {
        switch error {
        case let error as Failure: self = error
        case let error as PostgresError: self.init(Self.status(of: error), "\(error.advised)")
        case let error as SpoolError: self.init(error.code == .inUse ? .temporary : .unavailable, "\(error)")
        case let error as RegisterMapError:
            let isUnreadable = error.problems.contains { $0.line == 0 }
            self.init(.configuration, "\(error)" + (isUnreadable ? "; name a register map with --machine" : ""))
        case is ConfigurationProblems, is MachineRegistration.Conflict, is Migrator.SchemaTooNew,
            is Migrator.HistoryMismatch:
            self.init(.configuration, "\(error)")
        case let error as PLCError:
            if case .unknownParameter = error {
                self.init(.configuration, "\(error)")
            } else {
                self.init(.unavailable, "\(error)")
            }
        case let error as RecipeStore.Problem:
            self.init(error.code == .notFound ? .mismatch : .configuration, "\(error)")
        case let error as ModbusError: self.init(.unavailable, "\(error)")
        case let error as ModbusServerError: self.init(.unavailable, "\(error)")
        default: self.init(.software, "\(error)")
        }
    }

    private static func status(of error: PostgresError) -> Status {
        switch error.code {
        case .localServerDirectoryInUse, .serverStarting: .temporary
        case .authenticationFailed, .databaseMissing, .configurationInvalid, .localServerVersionMismatch,
            .localServerDirectoryUnusable, .encodingFailed:
            .configuration
        case .queryFailed: error.isOutage ? .unavailable : .configuration
        default: .unavailable
        }
    }
}

/// Runs a command's body and turns whatever it throws into one message on standard error and an exit status.
func reportingFailures(_ body: () async throws -> Void) async throws {
    defer {
        StandardStream.output.flush()
        StandardStream.error.flush()
    }
    do {
        try await body()
    } catch let exit as ExitCode {
        throw exit
    } catch {
        let failure = Failure(error)
        StandardStream.error.write("ald: \(failure.message)\n")
        throw ExitCode(failure.status.rawValue)
    }
}
