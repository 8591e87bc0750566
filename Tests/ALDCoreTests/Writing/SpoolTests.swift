import ALDTestKit
import Foundation
import GRDB
import Testing

@testable import ALDCore

@Suite("Spool", .timeLimit(.minutes(2))) struct SpoolTests {
    private typealias Fixture = SpoolFixture

    @Test("what was accepted is there after closing and opening again, in the order of acceptance")
    func survives() async throws {
        try await withTemporaryDirectory { directory in
            var spool = try Fixture.open(directory, seed: 1)
            let first = try await spool.append(Fixture.rows(3), machine: 7)
            let second = try await spool.append(Fixture.rows(2), machine: 7)
            #expect(first.number == 1 && second.number == 2 && first.origin == second.origin)
            try spool.close()

            spool = try Fixture.open(directory, seed: 2)
            #expect(spool.account.carriedOver == 5 && spool.contents.batches == 2)
            #expect(spool.origin != first.origin)
            let waiting = try await Fixture.all(spool)
            let batch = try waiting[0].batch()
            #expect(batch.id == first && batch.records == Fixture.rows(3) && batch.machine == 7)
            // New data after a restart never takes an old name, and comes after the old data.
            let third = try await spool.append(Fixture.rows(1), machine: 7)
            #expect(third.origin == spool.origin && third.number == 1)
            spool.acknowledge([waiting[0].header])
            #expect(try await Fixture.all(spool).map(\.header.id) == [second, third])
            #expect(spool.contents.records == 3 && spool.account.isBalanced)
            #expect(try await spool.recount() == spool.contents)
            try spool.close()
        }
    }

    @Test("recorded is as far as was accepted last, whatever the clock said before")
    func recordedUntil() async throws {
        func at(_ microseconds: Int32) -> Records { Fixture.rows(1, from: microseconds) }
        func until(_ spool: Spool) async throws -> Int64? {
            try await spool.recordedUntil(machine: 1)?.microseconds
        }
        try await withTemporaryDirectory { directory in
            var spool = try Fixture.open(directory, seed: 1)
            #expect(try await until(spool) == nil)
            // The clock was ahead, and was set right.
            for (instant, machine) in [(100, 1), (9000, 1), (200, 1), (300, 2)] as [(Int32, Int32)] {
                _ = try await spool.append(at(instant), machine: machine)
            }
            #expect(try await until(spool) == 200)
            let positions = try await Fixture.all(spool).map(\.position)
            // What is cut anew was recorded long before.
            _ = try await spool.recut(positions[0], into: [at(100)], machine: 1)
            _ = try await spool.recut(positions[1], into: [at(9000)], machine: 1)
            #expect(try await until(spool) == 200)
            try spool.close()
            spool = try Fixture.open(directory, seed: 2)
            #expect(try await until(spool) == 200)
            let (gap, read) = (Timestamp(microseconds: 400), at(500))
            let missed = CollectionGap(firstMissedAt: gap, lastMissedAt: gap, instants: 1, cause: .plc, detail: "")
            let ids = try await spool.append(together: [.gaps([missed]), read], machine: 1)
            #expect(ids.map(\.number) == [1, 2])
            #expect(try await until(spool) == 500)
            try spool.close()
        }
    }

    @Test("how far was recorded is known also when a full disk has left no file that says so")
    func recordedOnAFullDisk() async throws {
        let disk = SimulatedDisk()
        var configuration = Fixture.small
        configuration.disk = disk
        try await withTemporaryDirectory { directory in
            var spool = try Fixture.open(directory, seed: 1, configuration)
            for (instant, machine) in [(100, 1), (300, 2), (200, 1)] as [(Int32, Int32)] {
                _ = try await spool.append(Fixture.rows(1, from: instant), machine: machine)
            }
            spool.acknowledge(try await Fixture.all(spool).map(\.header))
            disk.capacity = 0
            let refusal = await #expect(throws: SpoolError.self) {
                _ = try await spool.append(Fixture.rows(1, from: 900), machine: 1)
            }
            #expect(refusal?.code == .full)
            try spool.close()
            disk.capacity = SimulatedDisk.plenty
            spool = try Fixture.open(directory, seed: 2, configuration)
            #expect(try await Fixture.all(spool).isEmpty && spool.contents.records == 0)
            #expect(try await spool.recordedUntil(machine: 1)?.microseconds == 200)
            #expect(try await spool.recordedUntil(machine: 2)?.microseconds == 300)
            _ = try await spool.append(Fixture.rows(1, from: 150), machine: 1)
            #expect(try await spool.recordedUntil(machine: 1)?.microseconds == 150)
            try spool.close()
        }
    }

    @Test("what the database may have forgotten is not given up for want of room while that is being found out")
    func nothingIsGivenUpInDoubt() async throws {
        let disk = SimulatedDisk()
        var configuration = Fixture.small
        configuration.disk = disk
        try await withTemporaryDirectory { directory in
            let spool = try Fixture.open(directory, seed: 1, configuration)
            _ = try await spool.append(Fixture.rows(3), machine: 1)
            spool.acknowledge(try await Fixture.all(spool).map(\.header))
            // A connection that may lead to another database.
            spool.doubt(true)
            disk.capacity = disk.used
            func refusal() async -> SpoolError.Code? {
                do throws(SpoolError) {
                    _ = try await spool.append(Fixture.rows(3), machine: 1)
                    return nil
                } catch {
                    return error.code
                }
            }
            #expect(await refusal() == .full)
            #expect(try await spool.retainedPage(after: .start, looksAt: 10).batches.count == 1)
            spool.doubt(false)
            #expect(await refusal() == nil)
            #expect(try await spool.retainedPage(after: .start, looksAt: 10).batches.isEmpty)
            try spool.close()
        }
    }

    @Test("the same seed, and so the same origin, is drawn anew when it was used before")
    func originIsNew() async throws {
        try await withTemporaryDirectory { directory in
            var origins: Set<Int64> = []
            for _ in 0..<3 {
                let spool = try Fixture.open(directory, seed: 5)
                _ = try await spool.append(Fixture.rows(1), machine: 1)
                origins.insert(spool.origin)
                try spool.close()
            }
            #expect(origins.count == 3)
        }
    }

    @Test(
        "callers that wait together share a commit; those of one machine and kind share a batch", arguments: [1, 1000])
    func groupCommit(merged: Int) async throws {
        var configuration = Fixture.small
        configuration.mergedRecords = merged
        try await Fixture.withSpool(configuration) { spool, _ in
            let ids = try await withThrowingTaskGroup(of: BatchID.self) { group in
                for index in 0..<200 {
                    group.addTask {
                        try await spool.append(Fixture.rows(1, from: Int32(index)), machine: Int32(index % 2))
                    }
                }
                return try await group.reduce(into: Set<BatchID>()) { $0.insert($1) }
            }
            if merged == 1 { #expect(ids.count == 200) }
            #expect(Set(ids.map(\.number)) == Set(1...Int64(ids.count)))
            #expect(spool.contents.batches == ids.count && spool.contents.records == 200)
            var seen: [Int32: Set<Int32>] = [:]
            for stored in try await Fixture.all(spool) {
                let records = try stored.batch().records
                #expect(stored.header.times == records.times)
                guard case .history(let rows) = records else { continue }
                for row in rows {
                    #expect(row.parameter.rawValue % 2 == stored.header.machine)
                    #expect(seen[stored.header.machine, default: []].insert(row.parameter.rawValue).inserted)
                }
                spool.acknowledge([stored.header])
            }
            #expect(seen.values.reduce(0) { $0 + $1.count } == 200)
            #expect(spool.contents == Spool.Contents())
        }
    }

    @Test("a caller that is cancelled is told the truth: what it appended is in the spool exactly once")
    func cancellation() async throws {
        try await Fixture.withSpool { spool, _ in
            for _ in 0..<50 {
                await withTaskGroup(of: Void.self) { group in
                    group.addTask {
                        do { _ = try await spool.append(Fixture.rows(1), machine: 1) } catch {
                            Issue.record("refused: \(error)")
                        }
                    }
                    group.cancelAll()
                }
            }
            #expect(spool.contents.batches == 50)
        }
    }

    @Test("a second process cannot open the same spool")
    func exclusive() async throws {
        try await withTemporaryDirectory { directory in
            let spool = try Fixture.open(directory)
            do {
                _ = try Fixture.open(directory, seed: 9)
                Issue.record("opened twice")
            } catch let error as SpoolError {
                #expect(error.code == .inUse && "\(error)".contains("stop the other process"))
            }
            try spool.close()
            try Fixture.open(directory).close()
        }
    }

    @Test("a directory that does not exist is an error that names it")
    func missingDirectory() throws {
        do {
            _ = try Fixture.open("/nowhere/at/all")
            Issue.record("opened")
        } catch let error as SpoolError {
            #expect(error.code == .inputOutput && "\(error)".contains("/nowhere/at/all"))
        }
    }

    @Test("settings that cannot work are all named")
    func settings() async throws {
        try await withTemporaryDirectory { directory in
            var configuration = Fixture.small
            (configuration.segmentBytes, configuration.mergedRecords, configuration.segmentAge) = (1, 0, .zero)
            do {
                _ = try Fixture.open(directory, configuration)
                Issue.record("opened")
            } catch let error as SpoolError {
                #expect(error.code == .misconfigured)
                for name in ["segmentBytes", "mergedRecords", "segmentAge"] { #expect("\(error)".contains(name)) }
            }
        }
    }

    @Test("the settings that durability needs are read back from the file that is used")
    func durability() async throws {
        try await withTemporaryDirectory { directory in
            var configuration = SpoolSegment.configuration
            configuration.prepareDatabase { db in try db.execute(sql: "PRAGMA synchronous = NORMAL") }
            let weak = try DatabaseQueue(path: directory + "/weak.sqlite", configuration: configuration)
            do {
                try await weak.writeWithoutTransaction { try SpoolSegment.verifyDurability($0, file: "weak") }
                Issue.record("accepted")
            } catch let error as SpoolError {
                #expect(error.code == .notDurable && "\(error)".contains("synchronous is 1"))
            }
        }
    }

    @Test("after the end nothing is taken and everybody is told")
    func closed() async throws {
        try await withTemporaryDirectory { directory in
            let spool = try Fixture.open(directory)
            try spool.close()
            try spool.close()
            do throws(SpoolError) {
                _ = try await spool.append(Fixture.rows(1), machine: 1)
                Issue.record("accepted")
            } catch {
                #expect(error.code == .closed)
            }
        }
    }

    @Test("a reading whose quality contradicts its value is not accepted")
    func contradiction() async throws {
        try await Fixture.withSpool { spool, _ in
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
        }
    }
}
