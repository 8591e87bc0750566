import ALDCore
import Testing

@testable import ALDTestKit

/// The checks of logs that are put away find what they are made to find.
@Suite("Verdicts of the logs") struct LogVerdictTests {
    private static let writers = 4
    private static let bytes: Int64 = 1000

    /// A service whose lines fill so many files that were put away, and a part of one that is being written.
    private struct Log: Sendable {
        typealias Line = (text: String, archive: LogArchive?)

        var name: String
        var volume: Double
        var lines: [Line] = []
        var archives: [LogArchive] = []
        var rotations: Int
        var lost = 0
        var linesOfEach: Int

        /// - Parameters:
        ///   - days: of each file, the last one of that which is being written.
        ///   - deleted: of the files that were put away, the oldest.
        init(_ name: String, volume: Double, days: [Int], deleted: Int = 0) {
            (self.name, self.volume, linesOfEach) = (name, volume, days.count)
            for (place, day) in days.enumerated() where place >= deleted {
                let date = "2026-01-0\(day)"
                let file =
                    place == days.count - 1
                    ? nil : LogArchive(name: "\(name).log.\(date).00000\(place + 1).gz", of: "\(name).log", bytes: 99)
                if let file { archives.append(file) }
                for writer in 0..<LogVerdictTests.writers {
                    let time = "\(date)T00:00:0\(place).000000Z"
                    lines.append(("\(time) debug cycle number=\(place) what=xx writer=\(writer) x=end", file))
                }
            }
            rotations = days.count - 1
        }

        func account(_ policy: LogRotation.Policy) -> RotationAccount.Service {
            var account = RotationAccount.Service(
                name: name, volume: volume, rotations: rotations, lost: lost, archives: archives)
            for line in lines { account.reading.read(line.text, line.archive) }
            account.reading.end(
                linesOfEach: linesOfEach, writers: LogVerdictTests.writers,
                isComplete: account.deletable(keeping: policy.keptFiles) == 0)
            return account
        }
    }

    private struct Seen: Sendable {
        var policy: LogRotation.Policy
        var logs: [Log]
        var most = 2000
        var full: RotationAccount.Full?

        init(_ logs: [Log], keeping count: Int = 1000, fills: Bool = false) {
            policy = LogRotation.Policy()
            (policy.maximumBytes, policy.keptFiles) = (LogVerdictTests.bytes, count)
            policy.keptBytes = 10 * policy.maximumBytes
            self.logs = logs
            full = fills ? .init(lines: 100, lost: 100, alerts: 1) : nil
        }

        func note(_ run: ScenarioRun) {
            var account = RotationAccount(policy: policy, most: most)
            account.services = logs.map { $0.account(policy) }
            account.full = full
            account.note(run)
        }

        /// Lines that do not fit are as long as a file.
        mutating func lengthen(_ place: Int) {
            let line = logs[0].lines[place].text
            let what = String(repeating: "x", count: Int(LogVerdictTests.bytes))
            logs[0].lines[place].text = line.replacing("what=xx", with: "what=\(what)")
        }

        mutating func move(_ place: Int, to date: String) {
            logs[0].lines[place].text = date + logs[0].lines[place].text.dropFirst(10)
        }
    }

    private func planted(_ id: String, _ good: Seen) -> PlantedDefects<Seen> {
        PlantedDefects(id: id, good: good) { $0.note($1) }
    }

    private func failed(_ result: ScenarioResult) -> Set<String> {
        Set(result.findings.filter { $0.verdict == .fail }.map(\.criterion.measure))
    }

    private let disorder = "lines lost, doubled, torn or out of order"

    private var defects: [PlantedDefects<Seen>.Defect] {
        let last = { @Sendable (seen: Seen) in seen.logs[0].lines.count - 1 }
        return [
            // One that is lost, one that is there twice, and both of them.
            ([disorder], { $0.logs[0].lines.remove(at: 5) }),
            ([disorder], { $0.logs[0].lines.insert($0.logs[0].lines[5], at: 5) }),
            (
                [disorder],
                { seen in
                    seen.logs[0].lines.remove(at: 5)
                    seen.logs[0].lines.insert(seen.logs[0].lines[6], at: 6)
                }
            ),
            ([disorder], { $0.logs[0].lines[last($0)].text.removeLast(4) }),
            ([disorder], { seen in seen.logs[0].lines.swapAt(4, 8) }),
            (["lines that the disk did not take"], { $0.logs[0].lost = 1 }),
            (["files not compressed"], { $0.logs[0].archives[0].isCompressed = false }),
            (["files that are too long"], { $0.lengthen(4) }),
            // Also of the one that is being written.
            (["files that are too long"], { $0.lengthen(last($0)) }),
            (["services that rotate with others"], { $0.logs[0].volume = 20 }),
            (["most on the disk, of what there may be"], { $0.most = 12_001 * $0.logs.count }),
        ]
    }

    @Test("a log by day of which a line or a file is wrong")
    func days() async throws {
        let planted = planted("LR-02", Seen([Log("a", volume: 0.008, days: [1, 2, 3])]))
        try await planted.expectFound(
            defects,
            and: [
                // A line of the third day in the file of the second, and one of the second in the third's.
                ([disorder, "lines in a file of another day"], { $0.move(4, to: "2026-01-03") }),
                ([disorder, "lines in a file of another day"], { $0.move(11, to: "2026-01-02") }),
                // The day was over, and the file went on.
                (
                    ["lines in a file of another day", "files"],
                    { seen in
                        for place in 4..<8 { seen.logs[0].lines[place].archive = nil }
                        seen.logs[0].archives.removeLast()
                        seen.logs[0].rotations = 1
                    }
                ),
                (["days"], { seen in for place in 8..<12 { seen.move(place, to: "2026-01-02") } }),
                // The last one of each writer is lost.
                ([disorder], { $0.logs[0].linesOfEach = 4 }),
                // The oldest is gone, and need not have been.
                (
                    ["files deleted that are to be kept", "files", "days", disorder],
                    { $0.logs[0] = Log("a", volume: 0.008, days: [1, 2, 3], deleted: 1) }
                ),
                (["files beyond those that are kept"], { $0.policy.keptFiles = 1 }),
            ])
    }

    @Test("a log that fills a disk of which nobody is told, or too often")
    func full() async throws {
        let planted = planted("LR-01", Seen([Log("a", volume: 3, days: [1, 1, 2, 2])], fills: true))
        let alerts = "alerts of a full disk"
        for count in [0, 2] {
            let result = try await planted.result { $0.full?.alerts = count }
            #expect(result.verdict == .fail && failed(result) == [alerts])
        }
        let few = try await planted.result { $0.logs[0] = Log("a", volume: 3, days: [1, 2, 2]) }
        #expect(few.verdict == .fail && few.reasons == ["files is 3, required ≥ 4"], "\(few.reasons)")
        let long = try await planted.result { $0.logs[0] = Log("a", volume: 3, days: [1, 1, 2, 3]) }
        #expect(long.verdict == .fail && long.reasons == ["days is 3, required = 2"], "\(long.reasons)")
        try await planted.expectUnknown("a disk was full") { $0.full?.lost = 99 }
    }

    @Test("a quick log that is not deleted, or too soon, and one that does not rotate")
    func quick() async throws {
        let days = Array(repeating: 1, count: 10)
        func quick(deleted: Int) -> Seen {
            Seen([Log("a", volume: 8, days: days, deleted: deleted)], keeping: 4)
        }
        // Fewer than the scenario puts away.
        func failed(_ seen: Seen) async throws -> Set<String> {
            self.failed(try await planted("LR-03", seen).result())
        }
        #expect(try await failed(quick(deleted: 5)) == ["files put away"])
        let late = try await failed(quick(deleted: 3))
        #expect(late.isSuperset(of: ["files beyond those that are kept", "files deleted"]))
        #expect(try await failed(quick(deleted: 6)).contains("files deleted that are to be kept"))
    }

    @Test("what is wrong with the first of several services is not forgotten for the last")
    func several() async throws {
        let logs = [
            Log("a", volume: 3, days: [1, 1, 2, 2]), Log("b", volume: 1.5, days: [1, 2]),
            Log("c", volume: 0.5, days: [1, 2]),
        ]
        let planted = planted("LR-04", Seen(logs))
        for (measures, plant) in defects {
            let result = try await planted.result(plant)
            #expect(failed(result) == measures, "\(result.reasons)")
        }
        #expect(try await planted.result().verdict == .pass)
        // Whenever one is full all of them are put away.
        let together = try await planted.result { $0.logs[2] = Log("c", volume: 0.5, days: [1, 1, 2, 2]) }
        #expect(together.verdict == .fail && together.measurement("services that rotate with others") == 1)
        let few = try await planted.result { $0.logs.removeLast() }
        #expect(few.verdict == .fail && few.reasons == ["files is 6, required ≥ 8"], "\(few.reasons)")
    }
}
