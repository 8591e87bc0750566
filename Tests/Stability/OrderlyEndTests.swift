import ALDCore
import ALDTestKit
import Foundation
import XCTest

/// Real processes, real signals: however a run ends, nothing accepted is lost or doubled and nothing is left running.
final class OrderlyEndTests: XCTestCase {
    private struct Contents {
        var rows: Int
        /// (Parameter, time) pairs that occur more than once.
        var doubled: Int
        /// Quarters of a second and more without readings and without gap records that say why.
        var unexplained: Int
        /// Gap records of the times between two processes.
        var stops: Int
    }

    /// What lies in the station's database.
    private func contents(of station: AldProcess) async throws -> Contents {
        let server = LocalPostgres(directory: station.dataDirectory + "/postgres", logger: TestDatabase.quiet)
        let configuration = try await server.start()
        let rows = try await TestDatabase.number("SELECT count(*) FROM ald.parameter_value_history", configuration)
        let distinct = try await TestDatabase.number(
            "SELECT count(DISTINCT (machine_id, parameter_id, sampled_at)) FROM ald.parameter_value_history",
            configuration)
        let unexplained = try await RecordingHoles.unexplained(
            longerThan: .milliseconds(250), everyInstantOf: .milliseconds(100), in: configuration)
        let stops = try await TestDatabase.number(
            "SELECT count(*) FROM ald.collection_gaps WHERE cause = 'stopped'", configuration)
        try await server.stop()
        return Contents(rows: rows, doubled: rows - distinct, unexplained: unexplained, stops: stops)
    }

    /// The account of a run that ended well: exit status 0, balanced, nothing left in the spool.
    private func everythingLanded(
        _ result: ChildResult, file: StaticString = #filePath, line: UInt = #line
    ) throws -> RunSummary {
        XCTAssertEqual(result.exitCode, 0, result.transcript, file: file, line: line)
        let summary = try AldProcess.summary(of: result)
        XCTAssertTrue(summary.isBalanced, file: file, line: line)
        XCTAssertEqual(summary.spooled, 0, file: file, line: line)
        return summary
    }

    private func isRecording(_ station: AldProcess) -> Bool {
        LocalPostgres.connectionString(ofServerIn: station.dataDirectory + "/postgres") != nil
    }

    func test_run_endsByItselfAfterItsDurationWithEveryRowInTheDatabase() async throws {
        try await AldProcess.withStation { station in
            let result = try await station.run(["--duration", "3", "--period", "100ms"])
            XCTAssertEqual(result.exitCode, 0, result.transcript)
            let summary = try AldProcess.summary(of: result)
            // On a busy machine a reading may take longer than its cycle allows: every instant is in exactly one place.
            XCTAssertEqual(summary.cycles + summary.missedLate + summary.missedPlc + summary.missedSpool, 30)
            XCTAssertEqual(summary.rows, 51 * summary.cycles)
            XCTAssertTrue(summary.isBalanced)
            XCTAssertEqual(summary.spooled, 0)
            XCTAssertEqual(summary.rowsInDatabase, summary.rows)
            let contents = try await contents(of: station)
            XCTAssertEqual(contents.rows, summary.rows)
            XCTAssertEqual(contents.doubled, 0)
        }
    }

    func test_SIGTERM_endsInOrderWithinFiveSeconds() async throws { try await endsInOrder(on: SIGTERM) }

    func test_SIGINT_endsInOrderWithinFiveSeconds() async throws { try await endsInOrder(on: SIGINT) }

    func test_SIGHUP_endsInOrderWithinFiveSeconds() async throws { try await endsInOrder(on: SIGHUP) }

    func test_SIGTERM_whileASessionHoldsTheHistory_endsWithinFiveSecondsAndKeepsTheRows() async throws {
        try await AldProcess.withStation { station in
            let clock = ContinuousClock()
            var signalled = clock.now
            let result = try await station.run(["--period", "50ms"]) { child in
                try await eventually("recording") { try await rowsWhileRunning(station) > 100 }
                let running = try XCTUnwrap(
                    LocalPostgres.connectionString(ofServerIn: station.dataDirectory + "/postgres"))
                try await TestDatabase.withConnection(try PostgresConfiguration(connectionString: running)) {
                    other, deadline in
                    _ = try await other.execute(
                        script: "BEGIN; LOCK TABLE ald_history.parameter_value_history", deadline: deadline)
                    // What began before the signal has a deadline of its own.
                    try await eventually("a delivery waits for it") {
                        let waiting = try await other.query(
                            "SELECT count(*) FROM pg_locks WHERE NOT granted", deadline: deadline)
                        return try XCTUnwrap(waiting.first).decode(0, as: Int64.self) > 0
                    }
                    signalled = clock.now
                    child.send(SIGTERM)
                    try await eventually("the end") { ChildProcess.isFinished(child.processIdentifier) }
                }
            }
            XCTAssertLessThan(clock.now - signalled, .seconds(5))
            XCTAssertEqual(result.exitCode, 0, result.transcript)
            let summary = try AldProcess.summary(of: result)
            XCTAssertTrue(summary.isBalanced)
            XCTAssertFalse(isRecording(station), "the database server was left running")
        }
    }

    func test_outputThatNobodyReads_recordingAndTheEndGoOn() async throws {
        try await AldProcess.withStation { station in
            // The shell stops reading at once and keeps the pipe open, which is full before the program begins.
            let command = """
                { head -c 65536 /dev/zero; "$0" run --period 10ms --data-directory "$1" --machine "$2"; } 2>&1 |
                    { sleep 600 & echo $!; wait; }
                """
            var environment = station.environment
            environment["ALD_LOG_LEVEL"] = "trace"
            _ = try await ChildProcess.run(
                "/bin/sh", ["-c", command, try Executables.ald(), station.dataDirectory, station.machine],
                environment: environment
            ) { shell in
                try await eventually("the reader that does not read") { !shell.output.isEmpty }
                let reader = try XCTUnwrap(Int32(shell.output[0]))
                try await eventually("recording goes on") { try await rowsWhileRunning(station) > 51 * 300 }
                let owner = try XCTUnwrap(
                    Int32(
                        try String(contentsOfFile: station.dataDirectory + "/terminal1-machine1.lock", encoding: .utf8)
                            .split(separator: "\n")[0]))
                kill(owner, SIGTERM)
                try await eventually("the end") { ChildProcess.isFinished(owner) }
                kill(reader, SIGKILL)
            }
            XCTAssertFalse(isRecording(station), "the database server was left running")
        }
    }

    private func endsInOrder(on signal: Int32) async throws {
        try await AldProcess.withStation { station in
            let clock = ContinuousClock()
            var signalled = clock.now
            let result = try await station.run(["--period", "50ms"]) { child in
                // The first progress line comes when recording has begun.
                try await eventually("recording") { !child.output.isEmpty }
                signalled = clock.now
                child.send(signal)
            }
            XCTAssertLessThan(clock.now - signalled, .seconds(5))
            _ = try everythingLanded(result)
            XCTAssertFalse(isRecording(station), "the database server was left running")
        }
    }

    func test_SIGKILL_theNextRunGoesOnWithTheSameDataAndNothingIsLostOrDoubled() async throws {
        try await AldProcess.withStation { station in
            var recorded = 0
            for _ in 0..<Gate.rounds(2, nominal: 50) {
                let killed = try await station.run(["--period", "20ms"]) { child in
                    try await eventually("rows are recorded") { try await rowsWhileRunning(station) > recorded + 500 }
                    recorded = try await rowsWhileRunning(station)
                    child.send(SIGKILL)
                }
                XCTAssertEqual(killed.signal, SIGKILL)
                XCTAssertTrue(isRecording(station), "a server outlives a killed owner; if not, nothing is tested here")
            }
            let result = try await station.run(["--duration", "2", "--period", "100ms"])
            let summary = try everythingLanded(result)
            XCTAssertEqual(summary.rowsInDatabase, summary.rows)
            let contents = try await contents(of: station)
            XCTAssertEqual(contents.doubled, 0)
            XCTAssertEqual(contents.rows % 51, 0, "half a cycle was recorded")
            XCTAssertGreaterThanOrEqual(contents.rows, recorded + summary.rows)
            XCTAssertGreaterThan(contents.stops, 0, "nobody recorded between the kill and the next start")
            XCTAssertEqual(contents.unexplained, 0, "times without readings and without a record of it")
        }
    }

    private func rowsWhileRunning(_ station: AldProcess) async throws -> Int {
        guard let running = LocalPostgres.connectionString(ofServerIn: station.dataDirectory + "/postgres") else {
            return 0
        }
        return try await TestDatabase.number(
            "SELECT count(*) FROM ald.parameter_value_history", PostgresConfiguration(connectionString: running))
    }

    func test_privateServerKilled_isStartedAgainAndEveryRowLands() async throws {
        try await AldProcess.withStation { station in
            let result = try await station.run(["--period", "50ms"]) { child in
                try await eventually("recording") { try await rowsWhileRunning(station) > 100 }
                let server = try TestDatabase.serverProcess(in: station.dataDirectory + "/postgres")
                kill(server, SIGKILL)
                try await eventually("the server is gone") { ChildProcess.isFinished(server) }
                try await eventually("it is back") { try await rowsWhileRunning(station) > 51 * 60 }
                child.send(SIGTERM)
            }
            let summary = try everythingLanded(result)
            XCTAssertEqual(summary.rowsInDatabase, summary.rows)
            let contents = try await contents(of: station)
            XCTAssertEqual(contents.doubled, 0)
        }
    }

    func test_startedAgain_itGoesOnWithTheSameData() async throws {
        try await AldProcess.withStation { station in
            var rows = 0
            for _ in 0..<2 {
                let result = try await station.run(["--duration", "1", "--period", "100ms"])
                rows += try AldProcess.summary(of: result).rows
            }
            let contents = try await contents(of: station)
            XCTAssertEqual(contents.rows, rows)
        }
    }

    func test_aSecondInstance_isToldWhoIsTheTerminal() async throws {
        try await AldProcess.withStation { station in
            _ = try await station.run { first in
                try await eventually("recording") { !first.output.isEmpty }
                let second = try await station.run()
                XCTAssertEqual(second.exitCode, 10)
                XCTAssertEqual(
                    second.errors.last,
                    "ald: Terminal 1 (collection) of machine 1 runs already in \(station.dataDirectory): process "
                        + "\(first.processIdentifier); stop it, or choose another directory with --data-directory")
                first.send(SIGTERM)
            }
        }
    }
}
