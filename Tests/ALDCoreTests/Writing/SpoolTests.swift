import ALDTestKit
import Foundation
import GRDB
import Testing

@testable import ALDCore

@Suite("Spool", .timeLimit(.minutes(2))) struct SpoolTests {
    private func rows(_ count: Int, from first: Int32 = 1) -> Records {
        .history(
            (0..<Int32(count)).map {
                HistoryRow(
                    parameter: ParameterID(rawValue: first + $0), time: Timestamp(microseconds: 1), value: 1,
                    quality: .good)
            })
    }

    private func open(_ directory: String, seed: UInt64 = 1) throws -> Spool {
        var random = SeededGenerator(seed: seed)
        return try Spool(directory: directory, random: &random)
    }

    @Test("what was accepted is there after closing and opening again, in the order of acceptance")
    func survives() async throws {
        try await withTemporaryDirectory { directory in
            var spool = try open(directory, seed: 1)
            let first = try await spool.append(rows(3), machine: 7)
            let second = try await spool.append(rows(2), machine: 7)
            #expect(first.number == 1 && second.number == 2 && first.origin == second.origin)
            try spool.close()

            spool = try open(directory, seed: 2)
            #expect(spool.contents == Spool.Contents(batches: 2, records: 5))
            #expect(spool.origin != first.origin)
            let oldest = try #require(try await spool.oldest())
            #expect(oldest.batch.id == first && oldest.batch.records == rows(3) && oldest.batch.machine == 7)
            // New data after a restart never takes an old name, and comes after the old data.
            let third = try await spool.append(rows(1), machine: 7)
            #expect(third.origin == spool.origin && third.number == 1)
            try await spool.acknowledge(oldest)
            #expect(try await spool.oldest()?.batch.id == second)
            #expect(spool.contents == Spool.Contents(batches: 2, records: 3))
            try spool.close()
        }
    }

    @Test("callers that wait together share one commit, and each gets its own batch")
    func groupCommit() async throws {
        try await withTemporaryDirectory { directory in
            let spool = try open(directory)
            let ids = try await withThrowingTaskGroup(of: BatchID.self) { group in
                for index in 0..<200 {
                    group.addTask { try await spool.append(rows(1, from: Int32(index)), machine: 1) }
                }
                return try await group.reduce(into: Set<BatchID>()) { $0.insert($1) }
            }
            #expect(ids.count == 200 && Set(ids.map(\.number)) == Set(1...200))
            #expect(spool.contents == Spool.Contents(batches: 200, records: 200))
            var seen: Set<Int32> = []
            while let stored = try await spool.oldest() {
                guard case .history(let rows) = stored.batch.records else { break }
                seen.formUnion(rows.map(\.parameter.rawValue))
                try await spool.acknowledge(stored)
            }
            #expect(seen == Set(0..<200))
            try spool.close()
        }
    }

    @Test("a caller that is cancelled is told the truth: what it appended is in the spool exactly once")
    func cancellation() async throws {
        try await withTemporaryDirectory { directory in
            let spool = try open(directory)
            for _ in 0..<50 {
                await withTaskGroup(of: Void.self) { group in
                    group.addTask {
                        do { _ = try await spool.append(rows(1), machine: 1) } catch {
                            Issue.record("refused: \(error)")
                        }
                    }
                    group.cancelAll()
                }
            }
            #expect(spool.contents.batches == 50)
            try spool.close()
        }
    }

    @Test("a second process cannot open the same spool")
    func exclusive() async throws {
        try await withTemporaryDirectory { directory in
            let spool = try open(directory)
            do throws(SpoolError) {
                var random = SeededGenerator(seed: 9)
                _ = try Spool(directory: directory, random: &random)
                Issue.record("opened twice")
            } catch {
                #expect(error.code == .inUse && "\(error)".contains("stop the other process"))
            }
            try spool.close()
            try open(directory).close()
        }
    }

    @Test("a directory that does not exist is an error that names the file")
    func missingDirectory() {
        do throws(SpoolError) {
            var random = SeededGenerator(seed: 9)
            _ = try Spool(directory: "/nowhere/at/all", random: &random)
            Issue.record("opened")
        } catch {
            #expect(error.code == .inputOutput && "\(error)".contains("/nowhere/at/all/spool.sqlite"))
        }
    }

    @Test("a file that is no database is corruption, and it stays as it is")
    func notADatabase() async throws {
        try await withTemporaryDirectory { directory in
            let file = URL(fileURLWithPath: directory + "/spool.sqlite")
            let content = Data("this is a text, and long enough to be read as a header".utf8)
            try content.write(to: file)
            do throws(SpoolError) {
                var random = SeededGenerator(seed: 9)
                _ = try Spool(directory: directory, random: &random)
                Issue.record("opened")
            } catch {
                #expect(error.code == .corrupted, "\(error)")
            }
            #expect(try Data(contentsOf: file) == content)
        }
    }

    @Test("one changed bit in a stored batch is noticed before it reaches the database")
    func bitRot() async throws {
        try await withTemporaryDirectory { directory in
            var spool = try open(directory)
            _ = try await spool.append(rows(2), machine: 1)
            try spool.close()
            let database = try DatabaseQueue(path: directory + "/spool.sqlite")
            try await database.write { db in
                try db.execute(sql: "UPDATE batch SET payload = zeroblob(length(payload))")
            }
            try database.close()
            spool = try open(directory)
            do throws(SpoolError) {
                _ = try await spool.oldest()
                Issue.record("not noticed")
            } catch {
                #expect(error.code == .corrupted && "\(error)".contains("does not match the digest"))
            }
            try spool.close()
        }
    }

    @Test("a reading whose quality contradicts its value is not accepted")
    func contradiction() async throws {
        try await withTemporaryDirectory { directory in
            let spool = try open(directory)
            let id = ParameterID(rawValue: 4)
            let nonsense: [(Double?, Quality)] = [(nil, .good), (1, .bad), (.nan, .good)]
            for (value, quality) in nonsense {
                let row = HistoryRow(parameter: id, time: Timestamp(microseconds: 1), value: value, quality: quality)
                do throws(SpoolError) {
                    _ = try await spool.append(.history([row]), machine: 1)
                    Issue.record("accepted \(row)")
                } catch {
                    #expect(error.code == .invalidRecord && "\(error)".contains("parameter 4"))
                }
            }
            #expect(spool.contents == Spool.Contents())
            try spool.close()
        }
    }
}
