import ALDTestKit
import Foundation
import Testing

@testable import ALDCore

/// Servers whose start is interrupted and servers that do not obey.
@Suite(.serialized, .place, .timeLimit(.minutes(5)))
struct LocalPostgresEndingTests {
    enum Moment: CaseIterable {
        case before
        case aProcessRuns
        case theProcessFileExists
    }

    private func server(_ directory: String) -> LocalPostgres {
        LocalPostgres(directory: directory, logger: TestPlace.logger)
    }

    private func processes(_ directory: String) throws -> [LocalPostgresProcess] {
        LocalPostgresProcess.servers(of: directory + "/data", home: directory, account: try .current())
    }

    /// The suite's cluster, made by the first test.
    private func withCluster(_ body: (String) async throws -> Void) async throws {
        let directory = try TestPlace.directory("ending")
        try await cycle(directory)
        try await withCleanup {
            try await body(directory)
        } cleanup: {
            for process in try processes(directory) { kill(process.id, SIGKILL) }
        }
    }

    /// Starts and stops, which proves that nobody holds the directory.
    private func cycle(_ directory: String) async throws {
        let server = server(directory)
        _ = try await server.start()
        try await server.stop()
    }

    /// Starts of this cluster do not come to their end while `body` runs: the server waits for a file that it wants to
    /// recover from. So a test that watches a start is never too late, however busy the machine is.
    private func withEndlessStart(_ directory: String, _ body: () async throws -> Void) async throws {
        let (file, signal) = (directory + "/data/postgresql.conf", directory + "/data/recovery.signal")
        let gate = try TestPlace.directory("gate")
        let settings = try #require(LocalPostgresFiles.contents(of: file))
        let wait = "while test -e \"\(gate)\"; do sleep 0.05; done; false"
        try (settings + "\nrestore_command = '\(wait)'\n").write(toFile: file, atomically: false, encoding: .utf8)
        for path in [gate, signal] { try "".write(toFile: path, atomically: false, encoding: .utf8) }
        try await withCleanup(body) {
            for path in [gate, signal] { try LocalPostgresFiles.remove(path) }
            try settings.write(toFile: file, atomically: false, encoding: .utf8)
        }
    }

    @Test(arguments: Moment.allCases) func aCancelledStartLeavesNothingRunning(moment: Moment) async throws {
        try await withCluster { directory in
            try await withEndlessStart(directory) {
                let server = server(directory)
                let error = try await withThrowingTaskGroup(of: PostgresError.self) { group in
                    group.addTask { try await failure { _ = try await server.start() } }
                    try await eventually("\(moment)") {
                        switch moment {
                        case .before: true
                        case .aProcessRuns: try !processes(directory).isEmpty
                        case .theProcessFileExists: LocalPostgresFiles.exists(directory + "/data/postmaster.pid")
                        }
                    }
                    group.cancelAll()
                    return try #require(try await group.next())
                }
                #expect(error.code == .cancelled, "\(error)")
                #expect(await server.connectionString == nil)
            }
            try await eventually("the last process is gone") { try processes(directory).isEmpty }
            try await cycle(directory)
        }
    }

    @Test func aStartThatFailsAfterTheServerRunsStopsIt() async throws {
        try await withCluster { directory in
            let file = directory + "/data/pg_hba.conf"
            let rules = try #require(LocalPostgresFiles.contents(of: file))
            try ("local all all reject\n" + rules).write(toFile: file, atomically: false, encoding: .utf8)
            let server = server(directory)
            let error = try await failure { _ = try await server.start() }
            #expect(error.code == .authenticationFailed, "\(error)")
            #expect(!LocalPostgresFiles.exists(directory + "/data/postmaster.pid"))
            try rules.write(toFile: file, atomically: false, encoding: .utf8)
            try await cycle(directory)
        }
    }

    @Test func aFrozenServerIsKilledAndRecovers() async throws {
        try await withCluster { directory in
            let server = server(directory)
            _ = try await server.start()
            let frozen = try processes(directory)
            #expect(frozen.count > 1)
            for process in frozen { kill(process.id, SIGSTOP) }
            try await server.stop()
            #expect(try processes(directory).isEmpty)
            try await cycle(directory)
        }
    }

    /// 1. A start was interrupted before the server had written its file. 2. Nobody but the kernel knows of it.
    @Test func aServerWithoutItsFileIsFound() async throws {
        try await withCluster { directory in
            let server = server(directory)
            _ = try await server.start()
            let file = directory + "/data/postmaster.pid"
            #expect(rename(file, directory + "/data/hidden.pid") == 0)
            try await server.stop()
            #expect(try processes(directory).isEmpty)
            try await cycle(directory)
        }
    }

    @Test func aProgramThatHangsIsKilledAtItsLimit() async throws {
        let account = try LocalPostgresAccount.current()
        let error = try await failure {
            _ = try await account.run("/bin/sleep", ["1000"], limit: .milliseconds(50))
        }
        #expect(error.code == .localServerFailed)
        #expect(error.message.contains("/bin/sleep did not end"))
    }

    @Test func aProgramOfACancelledTaskIsSaidToBeCancelled() async throws {
        let account = try LocalPostgresAccount.current()
        let error = try await withThrowingTaskGroup(of: PostgresError.self) { group in
            group.addTask {
                try await failure { _ = try await account.run("/bin/sleep", ["1000"], limit: .seconds(1000)) }
            }
            group.cancelAll()
            return try #require(try await group.next())
        }
        #expect(error.code == .cancelled)
    }

    /// `pg_ctl` hands its paths to a shell.
    @Test func theNameOfTheDirectoryIsNeverExecuted() async throws {
        let directory = try TestPlace.directory("$(touch pwned) ü 'x' \"y\" `touch pwned`")
        try await cycle(directory)
        #expect(LocalPostgresFiles.exists(directory + "/log/start.log"))
        for place in ["", directory, directory + "/data"] {
            #expect(!LocalPostgresFiles.exists(place + "/pwned"), "\(place)")
        }
    }
}
