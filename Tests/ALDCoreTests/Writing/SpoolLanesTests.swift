import ALDTestKit
import Testing

@testable import ALDCore

@Suite("Spool: lanes, confirmations and cutting anew", .timeLimit(.minutes(2))) struct SpoolLanesTests {
    private typealias Fixture = SpoolFixture

    @Test("one call brings one machine and kind, within its limits; the others are left for the next")
    func oneKind() async throws {
        try await Fixture.withSpool { spool, _ in
            for index in 0..<12 {
                _ = try await spool.append(Fixture.rows(2, from: Int32(index)), machine: Int32(index % 3))
            }
            var batches = try await spool.waiting(in: .fresh)
            #expect(batches.map(\.header.machine) == [0, 0, 0, 0] && batches.map(\.header.id.number) == [1, 4, 7, 10])
            batches = try await spool.waiting(in: .fresh, excluding: Set(batches.map(\.position)))
            #expect(batches.map(\.header.id.number) == [2, 5, 8, 11])
            batches = try await spool.waiting(in: .fresh, limits: Spool.Limits(batches: 3))
            #expect(batches.count == 3)
            batches = try await spool.waiting(in: .fresh, limits: Spool.Limits(records: 5))
            #expect(batches.count == 2)
            batches = try await spool.waiting(in: .fresh, limits: Spool.Limits(bytes: 1))
            #expect(batches.count == 1)
            let after = try await spool.waiting(in: .fresh, after: batches[0].position)
            #expect(after.map(\.header.id.number) == [2, 5, 8, 11])
        }
    }

    @Test("moving the boundary makes backlog of what waits, and each lane counts its own")
    func boundary() async throws {
        try await Fixture.withSpool { spool, _ in
            _ = try await spool.append(Fixture.rows(1), machine: 1)
            _ = try await spool.append(Fixture.rows(2), machine: 1)
            spool.moveBoundary()
            #expect(try await spool.waiting(in: .fresh).isEmpty)
            _ = try await spool.append(Fixture.rows(4), machine: 1)
            #expect(spool.account.backlog.records == 3 && spool.account.fresh.records == 4)
            #expect(try await spool.waiting(in: .fresh).map(\.header.records) == [4])
            let backlog = try await spool.waiting(in: .backlog)
            #expect(backlog.map(\.header.records) == [1, 2])
            spool.acknowledge([backlog[1].header])
            #expect(spool.account.backlog.records == 1 && spool.account.fresh.records == 4)
            // A child of a backlog batch in the file of fresh ones is counted where it is found.
            let children = try await spool.recut(backlog[0].position, into: [Fixture.rows(1)], machine: 1)
            let lanes = try await spool.waiting(in: .backlog) + spool.waiting(in: .fresh)
            #expect(lanes.contains { $0.position == children[0].position })
            #expect(
                try await spool.waiting(in: .fresh).reduce(0) { $0 + $1.header.records } == spool.account.fresh.records)
        }
    }

    @Test("confirming twice counts once, and confirmations survive closing")
    func acknowledgement() async throws {
        try await withTemporaryDirectory { directory in
            var spool = try Fixture.open(directory, seed: 1)
            for index in 0..<5 { _ = try await spool.append(Fixture.rows(1, from: Int32(index)), machine: 1) }
            let batches = try await spool.waiting(in: .fresh)
            for _ in 0..<2 { spool.acknowledge(batches[1...2].map(\.header)) }
            #expect(spool.account.acknowledged == 2 && spool.contents.batches == 3)
            spool.noteAttempts([batches[3].position, batches[3].position])
            try spool.close()
            spool = try Fixture.open(directory, seed: 2)
            let left = try await spool.waiting(in: .fresh)
            #expect(left.map(\.header.id.number) == [1, 4, 5] && left.map(\.attempts) == [0, 2, 0])
            #expect(spool.account.carriedOver == 3 && spool.account.isBalanced)
            try spool.close()
        }
    }

    @Test("a batch that is cut anew is replaced by its children for ever, also when the spool is copied in between")
    func recut() async throws {
        try await withTemporaryDirectory { directory in
            var spool = try Fixture.open(directory, seed: 1)
            for index in 0..<3 { _ = try await spool.append(Fixture.rows(2, from: Int32(10 * index)), machine: 1) }
            let parent = try await spool.waiting(in: .fresh)[1]
            let children = try await spool.recut(
                parent.position, into: [Fixture.rows(1, from: 10), Fixture.rows(1, from: 11)], machine: 1)
            #expect(children.map(\.id.number) == [1, 2] && children.allSatisfy { $0.parent == parent.header.id })
            #expect(children.allSatisfy { $0.id.origin == -spool.origin }, "parts have an origin of their own")
            #expect(spool.account.recut == 0 && spool.account.isBalanced && spool.contents.records == 6)
            let names = [try await spool.namesForParts(), try await spool.namesForParts()]
            #expect(children[1].id < names[0] && names[1].number - names[0].number >= BatchCut.mostParts)
            let decided = BatchID(origin: -77, number: 5)
            let parts = try await spool.recut(
                children[0].position, into: [Fixture.rows(1, from: 10)], machine: 1, named: decided)
            #expect(parts.map(\.id) == [decided] && parts[0].parent == children[0].id)
            // It can be neither confirmed nor cut again.
            spool.acknowledge([parent.header])
            #expect(spool.account.acknowledged == 0)
            do throws(SpoolError) {
                _ = try await spool.recut(parent.position, into: [Fixture.rows(1)], machine: 1)
                Issue.record("cut twice")
            } catch { #expect(error.code == .invalidRecord) }
            // The next batch does not take the place of a child.
            _ = try await spool.append(Fixture.rows(1, from: 50), machine: 1)
            try spool.close()
            spool = try Fixture.open(directory, seed: 2)
            #expect(try await Fixture.all(spool).map(\.header.id.number) == [1, 3, 2, 5, 4])
            #expect(try await spool.recount() == spool.contents)
            try spool.close()
        }
    }

    @Test("batches of kinds that are left out are passed over, in every file and lane, and the others come in order")
    func kinds() async throws {
        var configuration = Fixture.small
        configuration.segmentBytes = 65_536
        try await Fixture.withSpool(configuration) { spool, _ in
            let gap = CollectionGap(
                firstMissedAt: Timestamp(microseconds: 1), lastMissedAt: Timestamp(microseconds: 1), instants: 1,
                cause: .plc, detail: "")
            for index in 0..<40 {
                _ = try await spool.append(Fixture.rows(200, from: Int32(index)), machine: 1)
                if index.isMultiple(of: 13) { _ = try await spool.append(.gaps([gap]), machine: 1) }
            }
            let (readings, gaps) = (BatchKind(machine: 1, format: 1), BatchKind(machine: 1, format: 2))
            #expect(spool.kinds[.fresh] == [readings: 40, gaps: 4] && spool.kinds[.backlog].isEmpty)
            let found = try await spool.waiting(in: .fresh, kinds: [readings])
            #expect(found.map(\.header.id.number) == [2, 16, 30, 44] && found.allSatisfy { $0.header.kind == gaps })
            let first = try #require(found.first)
            let others = try await spool.waiting(in: .fresh, excluding: [first.position], kinds: [readings])
            #expect(others.map(\.position) == found.dropFirst().map(\.position))
            spool.moveBoundary()
            #expect(spool.kinds[.fresh].isEmpty && spool.kinds[.backlog] == [readings: 40, gaps: 4])
            #expect(try await spool.waiting(in: .fresh, kinds: [readings]).isEmpty)
            #expect(try await spool.waiting(in: .backlog, kinds: [readings]) == found)
            spool.acknowledge(found.map(\.header))
            #expect(try await spool.waiting(in: .backlog, kinds: [readings]).isEmpty)
            _ = try await spool.recut(
                SpoolPosition(segment: 1, row: 1), into: [Fixture.rows(100), Fixture.rows(100)], machine: 1)
            #expect(spool.kinds[.backlog] == [readings: 41])
            #expect(try await spool.resurrect([first.header]) == 1)
            #expect(spool.kinds[.backlog] == [readings: 41, gaps: 1])
        }
    }

    @Test("what is retained is looked through in parts, each of which a commit may wait for")
    func retainedPages() async throws {
        var configuration = Fixture.small
        configuration.segmentBytes = 65_536
        try await Fixture.withSpool(configuration) { spool, _ in
            for _ in 0..<5 {
                await withDiscardingTaskGroup { group in
                    for index in 0..<500 {
                        group.addTask {
                            do { _ = try await spool.append(Fixture.rows(1, from: Int32(index)), machine: 1) } catch {
                                Issue.record(error)
                            }
                        }
                    }
                }
            }
            let batches = try await Fixture.all(spool)
            spool.acknowledge(batches.filter { !$0.header.id.number.isMultiple(of: 5) }.map(\.header))
            try await spool.tidyUp()
            var found: [BatchHeader] = []
            var position: SpoolPosition? = .start
            while let after = position {
                let page = try await spool.retainedPage(after: after)
                #expect(page.batches.count <= 1000 && page.end.map { $0 > after } ?? true)
                found += page.batches
                position = page.end
            }
            let expected = batches.map(\.header).filter { !$0.id.number.isMultiple(of: 5) }
            #expect(found == expected && found.count == 2000)
        }
    }

    @Test("what the database forgot is found among the retained and waits again, once")
    func resurrect() async throws {
        try await withTemporaryDirectory { directory in
            var spool = try Fixture.open(directory, seed: 1)
            for index in 0..<6 { _ = try await spool.append(Fixture.rows(1, from: Int32(index)), machine: 1) }
            let batches = try await spool.waiting(in: .fresh)
            spool.acknowledge(batches[0..<4].map(\.header))
            // Also before the file has been told.
            var retained = try await spool.retained(limit: 3)
            #expect(retained == batches[0..<3].map(\.header))
            retained += try await spool.retained(after: retained[2].position, limit: 3)
            #expect(retained == batches[0..<4].map(\.header))
            #expect(try await spool.resurrect(Array(retained[1...2])) == 2)
            #expect(try await spool.resurrect([retained[1], batches[5].header]) == 0)
            var other = retained[3]
            other.digest[0] ^= 1
            #expect(try await spool.resurrect([other]) == 0, "another one lies there")
            #expect(spool.account.resurrected == 2 && spool.account.isBalanced)
            #expect(try await spool.waiting(in: .fresh).map(\.header.id.number) == [2, 3, 5, 6])
            try spool.close()
            spool = try Fixture.open(directory, seed: 2)
            #expect(try await spool.waiting(in: .fresh).map(\.header.id.number) == [2, 3, 5, 6])
            try spool.close()
        }
    }
}
