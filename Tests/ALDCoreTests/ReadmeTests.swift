import ALDCore
import ALDTestKit
import Foundation
import Testing

@Suite("README") struct ReadmeTests {
    @Test("the examples are the code that these tests compile")
    func sameCode() throws {
        let readme = try String(contentsOfFile: Repository.root + "/README.md", encoding: .utf8)
        let blocks = readme.split(separator: "```swift\n").dropFirst().compactMap { $0.split(separator: "```").first }
        let compiled = try ["ReadmeExample", "ReadmeRecorderExample"].map {
            try String(contentsOfFile: Repository.root + "/Tests/ALDCoreTests/\($0).swift", encoding: .utf8)
        }
        #expect(blocks.map(String.init) == compiled)
    }

    @Test(
        "the example records a machine",
        .enabled(
            if: ProcessInfo.processInfo.environment["ALD_DATABASE_URL"] == nil,
            "needs a private server; unset ALD_DATABASE_URL"))
    func itWorks() async throws {
        // The example names the register map as a reader would, from the repository's root.
        #expect(FileManager.default.changeCurrentDirectoryPath(Repository.root))
        try await TestDatabase.withDatabase { lease in
            let directory = try #require(lease.directory)
            let url = try #require(LocalPostgres.connectionString(ofServerIn: directory))
            try await withTemporaryDirectory { directory in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await record(into: url, keepingRowsIn: directory) }
                    // The whole schema is made first, beside everything else that is tested at this moment.
                    try await eventually("a cycle is in the database", within: .seconds(120)) {
                        try await TestDatabase.number(
                            "SELECT count(*) FROM ald.parameter_value_history", lease.configuration) >= 51
                    }
                    group.cancelAll()
                }
                // Nobody holds the writer any more; its spool writes down what it has to and gives the directory up.
                try await eventually("the spool is closed") {
                    do {
                        try Spool(directory: directory).close()
                        return true
                    } catch let error as SpoolError where error.code == .inUse {
                        return false
                    }
                }
            }
        }
    }
}
