import ALDCore
import ALDTestKit
import Testing

@Suite("Log rotation") struct LogRotationTests {
    /// 2026-01-31T00:00:00Z.
    private let day = Timestamp(microseconds: 1_769_817_600_000_000)

    private func policy(_ change: (inout LogRotation.Policy) -> Void) -> LogRotation.Policy {
        var policy = LogRotation.Policy()
        change(&policy)
        return policy
    }

    /// Writes lines of these lengths at these hours, and says before which of them the file was put away, under which name.
    private func names(
        _ lines: [(length: Int, hour: Double)], _ rotation: LogRotation
    ) -> [String?] {
        var rotation = rotation
        return lines.map { length, hour in
            let now = day.advanced(by: .milliseconds(Int64(hour * 3_600_000)))
            defer { rotation.wasWritten(length, now: now) }
            guard case .putAway(let archive) = rotation.next(lineOf: length, now: now) else { return nil }
            rotation.wasPutAway()
            return archive.name
        }
    }

    @Test("a line that would make the file longer than it may be begins a new one; a longer line has one of its own")
    func size() {
        let rotation = LogRotation(policy { $0.maximumBytes = 100 }, log: "a.log")
        #expect(
            names([(60, 0), (40, 0), (1, 0), (500, 0), (1, 0)], rotation)
                == [nil, nil, "a.log.2026-01-31.000001", "a.log.2026-01-31.000002", "a.log.2026-01-31.000003"])
    }

    @Test("the first line of a day begins a new file, which is named after the day of its lines")
    func days() {
        let rotation = LogRotation(policy { _ in }, log: "a.log")
        #expect(
            names([(9, 0), (9, 23.999), (9, 24), (9, 47), (9, 96)], rotation)
                == [nil, nil, "a.log.2026-01-31.000001", nil, "a.log.2026-02-01.000002"])
        let bySize = LogRotation(policy { $0.isDaily = false }, log: "a.log")
        #expect(names([(9, 0), (9, 24), (9, 480)], bySize) == [nil, nil, nil])
    }

    @Test("a clock that is corrected about midnight makes no file, one that was a day and more ahead does")
    func clocks() {
        let rotation = LogRotation(policy { _ in }, log: "a.log")
        #expect(names([(9, 24.01), (9, 23.99), (9, 24.01)], rotation) == [nil, nil, nil])
        #expect(names([(9, 240), (9, 12)], rotation) == [nil, "a.log.2026-02-10.000001"])
    }

    @Test("what was there before a start counts: its size, its day, and the numbers of what was put away")
    func restart() {
        let before = LogArchive(name: "a.log.2026-01-29.000041.gz", of: "a.log", bytes: 5)
        let rotation = LogRotation(
            policy { $0.maximumBytes = 100 }, log: "a.log", bytes: 99, lastWritten: day,
            archives: [before].compactMap(\.self))
        #expect(names([(2, 1)], rotation) == ["a.log.2026-01-31.000042"])
        #expect(names([(1, 25)], rotation) == ["a.log.2026-01-31.000042"])
        #expect(names([(1, 1)], rotation) == [nil])
    }

    @Test("what is kept: the newest, as many and as much as may be; two of one number while one is compressed")
    func retention() {
        let archives = (1...9).map { LogArchive(name: "a.log.2026-01-31.00000\($0).gz", of: "a.log", bytes: 10) }
            .compactMap(\.self)
        func kept(_ files: Int, _ bytes: Int64) -> [Int] {
            let surplus = LogRotation.surplus(
                archives.shuffled(),
                policy {
                    $0.keptFiles = files
                    $0.keptBytes = bytes
                })
            return archives.map(\.number).filter { number in !surplus.contains { $0.number == number } }
        }
        #expect(
            kept(3, 1000) == [7, 8, 9] && kept(100, 25) == [8, 9] && kept(0, 1000) == [] && kept(9, 90).count == 9)
        let raw = LogArchive(name: "a.log.2026-01-31.000009", of: "a.log", bytes: 30)
        let both = [archives[8], raw].compactMap(\.self)
        #expect(LogRotation.surplus(both, policy { $0.keptFiles = 1 }) == [])
    }

    @Test(
        "only what has such a name is an archive of this log: nobody else's file is ever deleted",
        arguments: [
            ("a.log.2026-01-31.000001", true), ("a.log.2026-01-31.000001.gz", true), ("a.log.2026-01-31.1234567", true),
            ("a.log", false), ("a.log.gz", false), ("a.log.1", false), ("a.log.2026-01-31.000001.gz.new", false),
            ("a.log.old.000001", false), ("b.log.2026-01-31.000001", false), ("a.log.2026-01-31.00001", false),
            ("a.log.2026-01-31.000001.bak", false), ("aa.log.2026-01-31.000001", false),
        ])
    func names(name: String, isArchive: Bool) {
        let archive = LogArchive(name: name, of: "a.log", bytes: 1)
        #expect((archive != nil) == isArchive)
        if let archive { #expect(archive.name == name) }
    }

    @Test("a policy that makes no sense says all that is wrong")
    func validation() throws {
        let error = try #require(throws: ConfigurationProblems.self) {
            try policy { ($0.maximumBytes, $0.keptFiles, $0.keptBytes) = (0, -1, -1) }.validate()
        }
        #expect(error.problems.count == 3)
        #expect(throws: ConfigurationProblems.self, "a full file would be deleted as soon as it was put away") {
            try policy { ($0.maximumBytes, $0.keptBytes) = (100, 199) }.validate()
        }
        try policy { ($0.maximumBytes, $0.keptBytes) = (100, 200) }.validate()
        try policy { ($0.maximumBytes, $0.keptFiles, $0.keptBytes) = (100, 0, 0) }.validate()
    }
}
