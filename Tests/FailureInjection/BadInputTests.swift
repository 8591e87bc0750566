import ALDCore
import ALDTestKit
import Foundation
import Modbus
import XCTest

/// What people get wrong when they start a recorder: the message says what, where and what to do, the exit status says
/// which kind, and nothing is left behind.
final class BadInputTests: XCTestCase {
    /// Runs a station that must refuse to start.
    private func refusal(
        of station: AldProcess, _ arguments: [String] = [], status: Int32, says expected: [String],
        file: StaticString = #filePath, line: UInt = #line
    ) async throws -> ChildResult {
        let result = try await station.run(["--duration", "30"] + arguments)
        XCTAssertEqual(result.exitCode, status, result.transcript, file: file, line: line)
        for text in expected {
            XCTAssertTrue(
                result.errors.joined(separator: "\n").contains(text), result.transcript, file: file, line: line)
        }
        XCTAssertEqual(result.output, [], "nothing was recorded, so nothing is reported", file: file, line: line)
        XCTAssertNil(LocalPostgres.connectionString(ofServerIn: station.dataDirectory + "/postgres"))
        return result
    }

    func test_noServerBinaries_saysWhereItLookedAndWhatToInstall() async throws {
        try await AldProcess.withStation { station in
            station.environment["ALD_POSTGRES_BIN"] = "/nowhere/bin"
            _ = try await refusal(
                of: station, status: 69, says: ["no PostgreSQL server", "/nowhere/bin", "apt install postgresql"])
        }
    }

    func test_simulatorPortTaken_namesThePort() async throws {
        let other = try SilentListener()
        defer { other.close() }
        try await AldProcess.withStation { station in
            _ = try await refusal(
                of: station, ["--simulator-port", "\(other.port)"], status: 69,
                says: ["127.0.0.1:\(other.port)", "in use"])
        }
    }

    func test_databaseUnreachable_saysSoAndHowToRecordAnyway() async throws {
        let refusing = try SilentListener(accepts: false)
        defer { refusing.close() }
        let port = refusing.port
        try await AldProcess.withStation { station in
            station.environment["ALD_DATABASE_URL"] = "postgresql://ald:s3cr3t-word@127.0.0.1:\(port)/ald"
            let result = try await refusal(
                of: station, status: 69, says: ["127.0.0.1", "\(port)", "refused", "--offline"])
            XCTAssertFalse(result.transcript.contains("s3cr3t-word"))
        }
    }

    func test_databaseUnreachableAndOffline_rowsWaitInTheSpool() async throws {
        let refusing = try SilentListener(accepts: false)
        defer { refusing.close() }
        let port = refusing.port
        try await AldProcess.withStation { station in
            station.environment["ALD_DATABASE_URL"] = "postgresql://ald:s3cr3t-word@127.0.0.1:\(port)/ald"
            let result = try await station.run(["--offline", "--duration", "1", "--period", "100ms"])
            XCTAssertEqual(result.exitCode, 0, result.transcript)
            let summary = try AldProcess.summary(of: result)
            XCTAssertTrue(summary.isBalanced)
            XCTAssertEqual(summary.landed, 0)
            XCTAssertEqual(summary.spooled, summary.accepted)
            XCTAssertGreaterThan(summary.spooled, 51)
            XCTAssertFalse(result.transcript.contains("s3cr3t-word"))
        }
    }

    func test_wrongPassword_isRefusedAndNeverPrinted() async throws {
        try await TestDatabase.withPrivateServer { _, lease in
            let cluster = try XCTUnwrap(lease.directory)
            let socket = try XCTUnwrap(LocalPostgres.connectionString(ofServerIn: cluster))
            try await TestDatabase.withConnection(lease.configuration) { connection, deadline in
                _ = try await connection.execute(
                    script: "CREATE ROLE guarded LOGIN PASSWORD 'right-password'", deadline: deadline)
                try Data("local all guarded scram-sha-256\nlocal all all trust\n".utf8)
                    .write(to: URL(fileURLWithPath: cluster + "/data/pg_hba.conf"))
                _ = try await connection.query("SELECT pg_reload_conf()", deadline: deadline)
            }
            try await AldProcess.withStation { station in
                station.environment["ALD_DATABASE_URL"] =
                    socket.replacing("user=ald", with: "user=guarded password=wrong-s3cr3t")
                let result = try await refusal(of: station, status: 78, says: ["guarded", "28P01"])
                XCTAssertFalse(result.transcript.contains("wrong-s3cr3t"))
                XCTAssertFalse(result.transcript.contains("right-password"))
            }
        }
    }

    func test_databaseUrlThatIsNone_isRefusedWithoutRepeatingIt() async throws {
        try await AldProcess.withStation { station in
            station.environment["ALD_DATABASE_URL"] = "postgresql://ald:s3cr3t-word@[::1/ald"
            let result = try await refusal(of: station, status: 78, says: ["connection string"])
            XCTAssertFalse(result.transcript.contains("s3cr3t-word"))
        }
    }

    func test_malformedRegisterMap_namesFileLineColumnAndWhatWasExpected() async throws {
        try await withMachine(replacing: ",38,coil,38,coil", with: ",37,coil,x,coil") { station in
            _ = try await refusal(
                of: station, status: 78,
                says: ["\(station.machine):26:43: expected an address from 0 to 65535, found \"x\""])
        }
    }

    func test_overlappingAddresses_nameBothParameters() async throws {
        try await withMachine(replacing: ",38,coil,38,coil", with: ",37,coil,37,coil") { station in
            _ = try await refusal(
                of: station, status: 78,
                says: ["coils 37 belongs to both MFC 1.power_on and Nitrogen Generator.power_on"])
        }
    }

    /// A station whose register map is the 51-parameter machine's with one change.
    private func withMachine(
        replacing text: String, with other: String, _ body: (AldProcess) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { directory in
            let file = directory + "/plant.csv"
            let original = try String(contentsOfFile: Repository.machine51, encoding: .utf8)
            try Data(original.replacing(text, with: other).utf8).write(to: URL(fileURLWithPath: file))
            try await AldProcess.withStation(machine: file) { try await body($0) }
        }
    }

    func test_unknownParameter_isRefusedWithTheNamesThatComeClose() async throws {
        try await AldProcess.withStation { station in
            _ = try await refusal(
                of: station, ["--parameters", "MFC 1.flow,Valve 1"], status: 78,
                says: ["unknown parameter \"Valve 1\"; did you mean \"Valve 1.valve_state\""])
        }
    }

    func test_durationShorterThanThePeriod_isRefusedBeforeAnythingIsCreated() async throws {
        try await AldProcess.withStation { station in
            _ = try await refusal(of: station, ["--duration", "0.5"], status: 78, says: ["duration", "period"])
            XCTAssertFalse(FileManager.default.fileExists(atPath: station.dataDirectory))
        }
    }

    func test_machineKnownByAnotherNumber_isRefusedWithoutAdviceToWait() async throws {
        try await TestDatabase.withPrivateServer { _, lease in
            let url = try XCTUnwrap(LocalPostgres.connectionString(ofServerIn: XCTUnwrap(lease.directory)))
            try await AldProcess.withStation { station in
                station.environment["ALD_DATABASE_URL"] = url
                let first = try await station.run(["--duration", "1"])
                XCTAssertEqual(first.exitCode, 0, first.transcript)
                station.environment["ALD_MACHINE_ID"] = "2"
                let second = try await refusal(of: station, status: 78, says: ["ALD-1", "ALD_MACHINE_ID"])
                XCTAssertFalse(second.transcript.contains("--offline"))
            }
        }
    }

    func test_wrongArguments_areUsageErrors() async throws {
        try await AldProcess.withStation { station in
            let result = try await station.run(["--perod", "1s"])
            XCTAssertEqual(result.exitCode, 64, result.transcript)
            XCTAssertTrue(result.transcript.contains("--period"), result.transcript)
        }
    }

    func test_doctor_findsWhatARunWouldStumbleOver() async throws {
        let other = try SilentListener()
        defer { other.close() }
        try await withTemporaryDirectory { directory in
            let arguments = [
                "doctor", "--json", "--data-directory", directory + "/data", "--machine", Repository.machine51,
            ]
            let environment = AldProcess(dataDirectory: directory, machine: "").environment
            let well = try await ChildProcess.run(try Executables.ald(), arguments, environment: environment)
            XCTAssertEqual(well.exitCode, 0, well.transcript)
            XCTAssertEqual(try findings(well).map(\.state), ["ok", "ok", "ok", "ok", "ok"], well.transcript)

            var broken = environment
            broken["ALD_POSTGRES_BIN"] = "/nowhere"
            broken["ALD_PLC"] = "127.0.0.1:\(other.port)"
            broken["ALD_DATABSE_URL"] = "postgresql://"
            let ill = try await ChildProcess.run(try Executables.ald(), arguments, environment: broken)
            XCTAssertEqual(ill.exitCode, 69, ill.transcript)
            XCTAssertEqual(
                try findings(ill).map { "\($0.subject) \($0.state)" },
                [
                    "settings warning", "data directory ok", "schedule ok", "register map ok", "database failed",
                    "controller failed",
                ])
        }
    }

    private struct Finding: Decodable {
        var subject: String
        var state: String
    }

    private func findings(_ result: ChildResult) throws -> [Finding] {
        try JSONDecoder().decode([Finding].self, from: Data(result.output.joined(separator: "\n").utf8))
    }
}
