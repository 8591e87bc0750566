import ALDTestKit
import Foundation
import Testing

@testable import ALDCore

extension LetterServerTests {
    /// Somebody else's program that wants its values kept.
    @Suite("A recorder for everybody") struct MachineRecorderTests {
        /// Runs `body` with the URL of an empty database and an empty directory.
        private static func withPlace(
            _ body: @Sendable (_ url: String, _ directory: String, PostgresConfiguration) async throws -> Void
        ) async throws {
            try await SchemaDatabase.with(version: 0) { _, database in
                try await withTemporaryDirectory { directory in
                    try await body("\(database)", directory + "/rows", database)
                }
            }
        }

        private static func recorder(
            _ url: String, _ directory: String, machine: Int32 = 7, name: String = "Oven",
            _ parameters: [MachineRecorder.Parameter] = ["temperature", "pressure"]
        ) throws -> MachineRecorder {
            try MachineRecorder(
                url: url, directory: directory, machine: machine, name: name, parameters: parameters,
                patience: .init(introduction: .seconds(60), flush: .seconds(60)), logger: TestDatabase.quiet)
        }

        /// Starts once more, until everything has landed.
        private static func land(_ url: String, _ directory: String) async throws {
            try await recorder(url, directory).recording { recorder in
                try await eventually("landed, \(recorder.statistics)") { recorder.statistics.spooled == 0 }
            }
        }

        private static func refusal(_ body: () async throws -> Void) async throws -> RecorderError {
            do { try await body() } catch let error as RecorderError { return error }
            return try #require(nil as RecorderError?, "no RecorderError")
        }

        @Test("the example of the README records an oven into an empty database")
        func example() async throws {
            try await Self.withPlace { url, directory, database in
                try await recordOven(
                    into: url, keepingRowsIn: directory,
                    readings: [["temperature": 451.5, "pressure": 0.98], ["temperature": nil]])
                // On a machine that is busy the last of them may still be on disk.
                try await Self.land(url, directory)
                try await TestDatabase.withConnection(database) { connection, _ in
                    let rows = try await connection.rows(
                        """
                        SELECT p.component, p.name, h.value, h.quality FROM ald.parameter_value_history h
                        JOIN ald.component_parameters p USING (machine_id, parameter_id) WHERE machine_id = 7
                        ORDER BY sampled_at, parameter_id
                        """)
                    #expect(rows == ["Oven|temperature|451.5|192", "Oven|pressure|0.98|192", "Oven|temperature|0"])
                }
                // The directory was given up, and nothing is left in it.
                let spool = try SpoolFixture.open(directory)
                #expect(spool.contents.records == 0)
                try spool.close()
            }
        }

        @Test("what is outside of a parameter's range is uncertain, and a name that is not known is refused by name")
        func appending() async throws {
            try await Self.withPlace { url, directory, database in
                let narrow = MachineRecorder.Parameter("level", unit: "mm", range: 0...10)
                let recorder = try Self.recorder(url, directory, [narrow])
                try await recorder.recording { recorder in
                    try await recorder.append(["level": 11], at: Timestamp(microseconds: 1_789_000_000_000_000))
                    try await recorder.append(["level": .nan])
                    let error = try await Self.refusal { try await recorder.append(["level": 1, "lvel": 2]) }
                    try await eventually("landed") { recorder.statistics.spooled == 0 }
                    #expect(
                        error.code == .unknownParameter
                            && error.description
                                == "no parameter is called \"lvel\"; the recorder was made with: level"
                    )
                }
                #expect(recorder.statistics.landed == 2 && recorder.statistics.isBalanced)
                try await TestDatabase.withConnection(database) { connection, _ in
                    let rows = try await connection.rows(
                        "SELECT value, quality FROM ald.parameter_value_history ORDER BY sampled_at")
                    #expect(rows == ["11|64", "0"])
                }
                let late = try await Self.refusal { try await recorder.append(["level": 1]) }
                #expect(late.code == .notAccepted)
            }
        }

        @Test("every mistake in what is registered is told at once, before anything is opened")
        func invalid() async throws {
            let error = try await Self.refusal {
                _ = try Self.recorder("host=/nowhere", "/nowhere", machine: 0, name: "", ["a", "a", ""])
            }
            #expect(error.code == .invalid)
            #expect(
                error.message
                    == "the machine's number is 0, must be 1 or more; the machine has no name; a parameter has no name; "
                    + "2 parameters are called \"a\"")
            let noURL = try await Self.refusal { _ = try Self.recorder("postgres//x", "/nowhere") }
            #expect(noURL.code == .invalid && noURL.remedy == "correct the database's URL")
            let noDirectory = try await Self.refusal { _ = try Self.recorder("host=/nowhere", "/proc/nowhere") }
            #expect(noDirectory.code == .directory)
        }

        @Test("a directory that another recorder has is refused, and free again when that has ended")
        func directoryInUse() async throws {
            try await Self.withPlace { url, directory, _ in
                try await Self.recorder(url, directory).recording { _ in
                    let error = try await Self.refusal { _ = try Self.recorder(url, directory) }
                    #expect(error.code == .directory && error.message.contains("another process has this spool open"))
                }
                try await Self.recorder(url, directory).recording { _ in }
            }
        }

        @Test("a list whose order has changed is refused with what to do: history would change its meaning")
        func conflict() async throws {
            try await Self.withPlace { url, directory, _ in
                try await Self.recorder(url, directory).recording { _ in }
                let error = try await Self.refusal {
                    try await Self.recorder(url, directory, ["pressure", "temperature"]).recording { _ in
                        Issue.record("recorded")
                    }
                }
                #expect(error.code == .database && error.remedy?.contains("put new ones at its end") == true)
                // A new one at the end is welcome.
                try await Self.recorder(url, directory, ["temperature", "pressure", "door"]).recording {
                    try await $0.append(["door": 1])
                }
            }
        }

        @Test("without a database values are accepted, and land at the next start")
        func offline() async throws {
            try await Self.withPlace { url, directory, database in
                let offline = try MachineRecorder(
                    url: "host=\(directory) dbname=none", directory: directory, machine: 7, name: "Oven",
                    parameters: ["temperature", "pressure"], patience: .init(flush: .zero), logger: TestDatabase.quiet)
                try await offline.recording { try await $0.append(["temperature": 1, "pressure": 2]) }
                #expect(offline.statistics.spooled == 2)
                try await Self.land(url, directory)
                let rows = try await TestDatabase.number("SELECT count(*) FROM ald.parameter_value_history", database)
                #expect(rows == 2)
            }
        }

        @Test("what the caller's part throws ends the recording, and what it had appended lands")
        func bodyFails() async throws {
            struct Broken: Error {}
            try await Self.withPlace { url, directory, database in
                await #expect(throws: Broken.self) {
                    try await Self.recorder(url, directory).recording {
                        try await $0.append(["temperature": 1])
                        throw Broken()
                    }
                }
                try await Self.land(url, directory)
                let rows = try await TestDatabase.number("SELECT count(*) FROM ald.parameter_value_history", database)
                #expect(rows == 1)
            }
        }
    }
}
