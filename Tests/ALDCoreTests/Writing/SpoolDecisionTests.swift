import ALDTestKit
import Testing

@testable import ALDCore

@Suite("Spool: decisions") struct SpoolDecisionTests {
    @Test("the name of a segment's file says which it is; every other name is none")
    func segmentNames() {
        for (index, revision) in [(0, 0), (1, 0), (42, 7), (999_999_999, 999_999_999)] as [(Int64, Int)] {
            let read = SpoolFiles.segment(named: SpoolFiles.segmentName(index: index, revision: revision))
            #expect(read?.index == index && read?.revision == revision)
        }
        let others = [
            "", "segment-", "segment-.sqlite", "segment-1.sqlite", "segment-1-.sqlite", "segment--1.sqlite",
            "segment-1-2-3.sqlite", "segment-1-2.sqlite-wal", "segment-1-2.sqlite.new", "a-segment-1-2.sqlite",
            "segment-+1-2.sqlite", "segment-1-x.sqlite", "segment- 1-2.sqlite", "segment-1234567890-0.sqlite",
            "segment-\u{0661}-0.sqlite", "segment.sqlite",
        ]
        for name in others { #expect(SpoolFiles.segment(named: name) == nil, "\(name)") }
    }

    @Test("the level follows what is used of what can be had, by quota or by the disk")
    func quota() {
        let quota = SpoolQuota(maximumBytes: 1000, freeSpaceFloor: 100)
        #expect(quota.level(used: 0, free: 10_000) == .green)
        #expect(quota.level(used: 599, free: 10_000) == .green)
        #expect(quota.level(used: 600, free: 10_000) == .yellow)
        #expect(quota.level(used: 850, free: 10_000) == .orange)
        #expect(quota.level(used: 1000, free: 10_000) == .red)
        #expect(quota.level(used: 1500, free: 10_000) == .red)
        // The disk is filled by somebody else.
        #expect(quota.level(used: 0, free: 100) == .red)
        #expect(quota.level(used: 300, free: 200) == .yellow)
        #expect(quota.level(used: 900, free: 101) == .orange)
        // What does not fit is refused before it is tried.
        #expect(quota.level(used: 500, free: 10_000, needed: 501) == .red)
        #expect(quota.available(used: 500, free: 10_000) == 500 && quota.available(used: 0, free: 50) == 0)
        #expect(SpoolLevel.green < .yellow && .yellow < .orange && .orange < .red)
    }

    @Test("what a disk says it has is no reason to end, however much it is")
    func freeSpace() {
        #expect(SpoolFiles.bytes(blocks: 3, size: 4096) == 12_288)
        #expect(SpoolFiles.bytes(blocks: .max, size: 4096) == .max)
        #expect(SpoolFiles.bytes(blocks: .max / 4096, size: 4096) == .max)
        #expect(SpoolQuota(maximumBytes: 1000, freeSpaceFloor: 100).available(used: 1, free: .max) == 999)
    }

    @Test("a spare segment that no disk could hold is refused as any other setting that cannot work")
    func spareTooLarge() {
        var configuration = Spool.Configuration()
        configuration.spareBytes = .max
        do throws(ConfigurationProblems) {
            try configuration.validate()
            Issue.record("accepted")
        } catch {
            #expect(error.problems.count == 1 && "\(error)".contains("segmentBytes"))
        }
    }

    @Test("nothing comes any more once less than a byte came in the last minutes, and the status can be written")
    func rate() {
        var now = MonotonicInstant(nanoseconds: 0)
        var rate = SpoolRate(now: now)
        #expect(rate.hours(for: 1) == nil)
        for _ in 0..<300 {
            rate.add(1000)
            now = now + .seconds(1)
            rate.settle(now: now)
        }
        #expect(rate.hours(for: 3_600_000_000) == 1000)
        // Over a quiet weekend what came before counts ever less, and never quite nothing.
        for _ in 0..<3 * 86_400 {
            now = now + .seconds(1)
            rate.settle(now: now)
            guard let hours = rate.hours(for: .max), !hours.isFinite else { continue }
            Issue.record("\(hours) hours")
            return
        }
        #expect(rate.hours(for: .max) == nil)
    }

    @Test("the window is counted by the monotonic clock, and steps of civil time end nothing early")
    func window() {
        let window = RetainedWindow(length: .seconds(100), maximumBytes: 0)
        let settled = Timestamp(microseconds: 1_000_000_000)
        #expect(window.credit(lastSettledAt: settled, openedAt: settled.advanced(by: .seconds(30))) == .seconds(30))
        #expect(window.credit(lastSettledAt: settled, openedAt: settled.advanced(by: .seconds(-9999))) == .zero)
        #expect(window.credit(lastSettledAt: settled, openedAt: settled.advanced(by: .seconds(9999))) == .seconds(100))
        #expect(window.credit(lastSettledAt: Timestamp(microseconds: .min), openedAt: settled) == .zero)
        let since = MonotonicInstant(nanoseconds: 0)
        #expect(!window.isOver(settledSince: since, comparedAt: since + .seconds(99)))
        #expect(window.isOver(settledSince: since, comparedAt: since + .seconds(100)))
        #expect(!window.isOver(settledSince: since, comparedAt: nil))
    }

    @Test("a file that is gone, unfinished, superseded or unknown is told apart")
    func manifest() {
        var manifest = SpoolManifest()
        manifest[1] = SpoolManifest.Segment(index: 1, isUsed: true)
        manifest[2] = SpoolManifest.Segment(index: 2, revision: 1, isUsed: true)
        manifest[3] = SpoolManifest.Segment(index: 3, isUsed: false)
        manifest[4] = SpoolManifest.Segment(index: 4, isUsed: true)
        let plan = manifest.plan(files: [(2, 0), (2, 1), (4, 0), (4, 1), (9, 0)])
        #expect(plan.open.map(\.index) == [2, 4, 9])
        #expect(plan.missing.map(\.index) == [1])
        #expect(plan.superseded == ["segment-2-0.sqlite"] && plan.unfinished == ["segment-4-1.sqlite"])
        #expect(manifest.nextIndex == 5)
        var ranges: [BatchRange] = []
        for (origin, number) in [(1, 1), (1, 2), (1, 4), (2, 5)] {
            BatchRange.add(BatchID(origin: Int64(origin), number: Int64(number)), to: &ranges)
        }
        #expect(ranges == [(1, 1, 2), (1, 4, 4), (2, 5, 5)].map { BatchRange(origin: $0.0, first: $0.1, last: $0.2) })
    }

    @Test("the checksum is Castagnoli's (RFC 3720, B.4)")
    func checksum() {
        func crc(_ bytes: [UInt8]) -> UInt32 {
            var crc = CRC32C()
            crc.add(bytes)
            return crc.value
        }
        #expect(crc([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(crc([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
        #expect(crc(Array(0...31)) == 0x46DD_794E)
        #expect(crc(Array("123456789".utf8)) == 0xE306_9283)
    }

    private func header(_ segment: Int64, _ row: Int64, records: Int) -> BatchHeader {
        BatchHeader(
            position: SpoolPosition(segment: segment, row: row), id: BatchID(origin: 1, number: segment * 1000 + row),
            machine: 1, format: 1, records: records, bytes: records * 22,
            times: Timestamp(microseconds: 0)...Timestamp(microseconds: 0), acceptedAt: Timestamp(microseconds: 0),
            parent: nil, digest: [])
    }

    @Test("whatever happens, every record is in one place, as a plain model says", .background)
    func bookAgainstModel() {
        var random = SeededGenerator(seed: TestSeed.draw())
        for _ in 0..<40 {
            var book = SpoolBook()
            var rows: [Int64: Int64] = [:]
            var waiting: [SpoolPosition: BatchHeader] = [:]
            var settled: [SpoolPosition: BatchHeader] = [:]
            var boundary = SpoolPosition.start
            let now = MonotonicInstant(nanoseconds: 0)
            func add(_ segment: Int64) -> BatchHeader {
                rows[segment, default: 0] += 1
                return header(segment, rows[segment] ?? 0, records: Int.random(in: 1...9, using: &random))
            }
            for _ in 0..<400 {
                switch Int.random(in: 0..<7, using: &random) {
                case 0, 1, 2:
                    let new = (0..<Int.random(in: 1...3, using: &random)).map { _ in
                        add(Int64(rows.count < 4 ? rows.count + 1 : 4))
                    }
                    book.accepted(new)
                    for header in new { waiting[header.position] = header }
                case 3:
                    guard let header = waiting.values.min(by: { $0.position < $1.position }) else { continue }
                    let (first, second) = (book.acknowledged(header, now: now), book.acknowledged(header, now: now))
                    #expect(first && !second)
                    settled[header.position] = waiting.removeValue(forKey: header.position)
                case 4:
                    guard let position = waiting.keys.sorted().randomElement(using: &random),
                        let header = waiting[position]
                    else { continue }
                    let children = [add(position.segment), add(position.segment)]
                    book.recut(header, into: children, now: now)
                    waiting[position] = nil
                    for child in children { waiting[child.position] = child }
                case 5:
                    guard let position = settled.keys.sorted().randomElement(using: &random),
                        let header = settled[position]
                    else { continue }
                    let isBack = book.resurrected(header)
                    #expect(isBack)
                    waiting[position] = settled.removeValue(forKey: position)
                default:
                    guard Int.random(in: 0..<10, using: &random) == 0 else { continue }
                    book.moveBoundary()
                    let last = rows.map { SpoolPosition(segment: $0.key, row: $0.value) }.max() ?? .start
                    boundary = SpoolPosition(rawValue: last.rawValue + 1)
                }
                #expect(book.account.isBalanced)
                #expect(book.account.waiting.records == waiting.values.reduce(0) { $0 + $1.records })
                #expect(book.account.backlog.batches == waiting.keys.count { $0 < boundary })
                for lane in [Spool.Lane.fresh, .backlog] {
                    var cursor = SpoolPosition.start
                    var seen: [SpoolPosition] = []
                    while let (segment, range) = book.waiting(in: lane, after: cursor) {
                        seen += range.map { SpoolPosition(segment: segment, row: $0) }
                        cursor = seen[seen.count - 1]
                    }
                    #expect(seen == waiting.keys.filter { ($0 < boundary) == (lane == .backlog) }.sorted())
                }
            }
        }
    }

    @Test("what the files are to be told is told whatever comes in between, and then forgotten")
    func unsaved() throws {
        var book = SpoolBook()
        let headers = (Int64(1)...2).map { header(1, $0, records: 1) }
        let now = MonotonicInstant(nanoseconds: 1)
        book.accepted(headers)
        for header in headers { book.noteAttempt(header.position) }
        book.acknowledged(headers[0], now: now)
        // Somebody who does not know it yet tries it once more.
        book.noteAttempt(headers[0].position)
        let settlements = book.takeUnsaved(of: 1)
        #expect(settlements == [1: .acknowledged, 2: .waiting] && book.unsavedCount == 0)
        book.notSaved(settlements, in: 1)
        #expect(book.unsavedCount == 2 && book.takeUnsaved(of: 1) == settlements)
        #expect(book[1]?.attempts == [1: 2, 2: 1])
        book.saved(settlements, in: 1)
        #expect(book[1]?.attempts == [2: 1], "how often was tried what has landed is in the file")
    }

    @Test("what the database confirms while a file is being replaced does not wait again, and is not counted twice")
    func confirmedMeanwhile() {
        var book = SpoolBook()
        let headers = (Int64(1)...3).map { row in
            EncodedRecords(SpoolFixture.rows(2), machine: 1).sealed(
                BatchID(origin: 1, number: row), at: SpoolPosition(segment: 1, row: row),
                acceptedAt: Timestamp(microseconds: 0), parent: nil
            ).header
        }
        book.accepted(headers)
        // The replacement was written with all three of them waiting, but for the last, which cannot be read.
        book.acknowledged(headers[0], now: MonotonicInstant(nanoseconds: 1))
        book.lost([3], of: 1, left: Array(headers.prefix(2)))
        #expect(book.account.waiting.records == 2 && book.account.lost == 2 && book.account.acknowledged == 2)
        #expect(book.account.isBalanced && book.kinds[.fresh].values.reduce(0, +) == 1)
    }
}
