import ALDTestKit
import Foundation
import Synchronization
import Testing

@testable import ALDCore

/// What a collector that is killed leaves behind, whenever that happens: every instant up to the last one is there, as
/// readings or in a gap, because nobody looks there any more.
@Suite("Terminal 1: killed at any commit", .timeLimit(.minutes(2))) struct CollectionCrashTests {
    private typealias Fixture = SpoolFixture

    /// The disk as it is after each commit.
    private final class Copies: Sendable {
        private let state = Mutex<(names: [String], problem: String?)>(([], nil))
        private let commits = Mutex(0)
        let live: String
        /// Called with the number of the commit.
        let onCommit: @Sendable (Int) -> Void

        init(of live: String, onCommit: @escaping @Sendable (Int) -> Void = { _ in }) {
            self.live = live
            self.onCommit = onCommit
        }

        var failPoints: FailPoints {
            FailPoints { point in
                guard point == .acceptAfterCommit else { return }
                let number = self.commits.withLock { commits in
                    commits += 1
                    return commits
                }
                let copy = "\(self.live)-\(number)"
                do {
                    try FileManager.default.copyItem(atPath: self.live, toPath: copy)
                    self.state.withLock { $0.names.append(copy) }
                } catch {
                    self.state.withLock { $0.problem = "\(error)" }
                }
                self.onCommit(number)
            }
        }

        func all() throws -> [String] {
            let (names, problem) = state.withLock(\.self)
            try #require(problem == nil)
            return names
        }
    }

    private let time = ManualTime()
    private let plc: ScriptedPLC

    init() throws { plc = try ScriptedPLC(time: time) }

    /// What is accounted for: the instants of readings, and those that gaps speak of.
    private static func account(_ directory: String, period: Duration) async throws -> [Timestamp] {
        let spool = try Fixture.open(directory, seed: 77)
        defer { #expect(throws: Never.self) { try spool.close() } }
        var instants: [Timestamp] = []
        for batch in try await Fixture.all(spool) {
            switch try batch.batch().records {
            case .history(let rows): instants += Set(rows.map(\.time))
            case .gaps(let gaps):
                for gap in gaps {
                    instants += (0..<gap.instants).map { gap.firstMissedAt.advanced(by: period * Int($0)) }
                    #expect(instants.last == gap.lastMissedAt)
                }
            default: Issue.record("\(batch.header)")
            }
        }
        // The next start goes on where the account ends.
        #expect(try await spool.recordedUntil(machine: 1) == instants.max())
        return instants.sorted()
    }

    /// Between two collectors the grid begins anew, a quarter of a period late at most.
    private static func expectNoHole(in instants: [Timestamp], period: Duration, _ name: String) {
        for (one, next) in zip(instants, instants.dropFirst()) {
            #expect(next > one && one.advanced(by: period * 1.25) >= next, "\(name): \(one) to \(next)")
        }
    }

    private func collect(
        _ spool: Spool, for duration: Duration, period: Duration = .seconds(1),
        _ body: (DataCollectionService) async throws -> Void
    ) async throws -> CollectionStatistics {
        let writer = try BatchWriter(spool: spool, sink: UnreachableSink(), time: time, logger: Fixture.quiet)
        var configuration = DataCollectionService.Configuration()
        (configuration.duration, configuration.period) = (duration, period)
        let service = try DataCollectionService(
            plc: plc, writer: writer, machine: 1, configuration: configuration, time: time, logger: Fixture.quiet)
        async let collecting: Void = service.run()
        try await body(service)
        try await collecting
        return service.statistics
    }

    /// Lets the service fall asleep, then moves time.
    private func pass(_ duration: Duration = .seconds(1)) async {
        await time.waitForSleepers(1)
        time.advance(by: duration)
    }

    private func withSpool(
        _ copies: Copies, maximumBytes: Int64? = nil, _ body: (Spool) async throws -> Void
    ) async throws {
        try FileManager.default.createDirectory(atPath: copies.live, withIntermediateDirectories: false)
        var configuration = maximumBytes == nil ? Fixture.small : Fixture.tiny
        configuration.failPoints = copies.failPoints
        if let maximumBytes { configuration.maximumBytes = maximumBytes }
        let spool = try Fixture.open(copies.live, configuration)
        try await withCleanup {
            try await body(spool)
        } cleanup: {
            try spool.close()
        }
    }

    @Test("what was missed is on the disk no later than the readings after it")
    func missedBeforeRead() async throws {
        try await withTemporaryDirectory { parent in
            let copies = Copies(of: parent + "/spool")
            try await withSpool(copies) { spool in
                let statistics = try await collect(spool, for: .seconds(14)) { service in
                    await pass()
                    try await eventually("two cycles") { service.statistics.cycles == 2 }
                    plc.behaviour.withLock { $0 = .isUnreachable }
                    for _ in 2...4 { await pass() }
                    try await eventually("three misses") { service.statistics.missedPLC == 3 }
                    plc.behaviour.withLock { $0 = .answers }
                    await pass()
                    try await eventually("it is back") { service.statistics.cycles == 3 }
                    // The cycle of 6 s covers those of 7 to 9 s.
                    plc.behaviour.withLock { $0 = .takes(.seconds(3.5)) }
                    await pass()
                    try await eventually("the slow one") { service.statistics.cycles == 4 }
                    plc.behaviour.withLock { $0 = .answers }
                    await pass(.milliseconds(500))
                    try await eventually("in time again") { service.statistics.cycles == 5 }
                    // The one after a slow one may as well find nobody. This one is waited for, as the controller was slow.
                    plc.behaviour.withLock { $0 = .takes(.seconds(1.5)) }
                    await pass()
                    try await eventually("slow again") { service.statistics.cycles == 6 }
                    plc.behaviour.withLock { $0 = .isUnreachable }
                    await pass(.milliseconds(500))
                    await pass()
                }
                #expect(statistics.cycles == 6 && statistics.missedPLC == 5 && statistics.missedLate == 3)
                #expect(statistics.due == 14)
            }
            let names = try copies.all()
            #expect(names.count >= 8)
            for name in names {
                Self.expectNoHole(in: try await Self.account(name, period: .seconds(1)), period: .seconds(1), name)
            }
            #expect(try await Self.account(copies.live, period: .seconds(1)).count == 14)
        }
    }

    @Test("a second collector in the same process counts from the end of the first")
    func sameProcess() async throws {
        try await withTemporaryDirectory { parent in
            let copies = Copies(of: parent + "/spool")
            try await withSpool(copies) { spool in
                for _ in 0..<3 {
                    _ = try await collect(spool, for: .seconds(2)) { _ in for _ in 0..<2 { await pass() } }
                    time.advance(by: .seconds(60))
                }
            }
            for name in try copies.all() {
                Self.expectNoHole(in: try await Self.account(name, period: .seconds(1)), period: .seconds(1), name)
            }
            #expect(try await Self.account(copies.live, period: .seconds(1)).count == 2 + 60 + 2 + 60 + 2)
        }
    }

    @Test("a disk that is slow at the start takes no instant out of the account")
    func slowStart() async throws {
        let period = Duration.milliseconds(10)
        try await withTemporaryDirectory { parent in
            // The first commit of the second collector takes three and a half periods.
            let time = time
            let copies = Copies(of: parent + "/spool") { number in
                if number == 2 { time.advance(by: .milliseconds(35)) }
            }
            try await withSpool(copies) { spool in
                _ = try await collect(spool, for: period, period: period) { _ in await pass(period) }
                time.advance(by: .milliseconds(200))
                let second = try await collect(spool, for: period * 6, period: period) { _ in
                    await pass(.milliseconds(5))
                    for _ in 0..<2 { await pass(period) }
                }
                #expect(second.due == 6)
            }
            for name in try copies.all() {
                Self.expectNoHole(in: try await Self.account(name, period: period), period: period, name)
            }
        }
    }

    @Test("the last room on a disk is for readings, not for long stories of what was missed")
    func lastRoom() async throws {
        try await withTemporaryDirectory { parent in
            let copies = Copies(of: parent + "/spool")
            try await withSpool(copies, maximumBytes: 400_000) { spool in
                plc.behaviour.withLock { $0 = .fails(String(repeating: "long ", count: 80_000)) }
                let statistics = try await collect(spool, for: .seconds(6)) { service in
                    for _ in 0..<2 { await pass() }
                    try await eventually("three misses") { service.statistics.missedPLC == 3 }
                    plc.behaviour.withLock { $0 = .answers }
                    for _ in 0..<4 { await pass() }
                }
                #expect(statistics.missedPLC == 3 && statistics.cycles == 3 && statistics.missedSpool == 0)
                #expect(statistics.gapRecords == 0)
            }
        }
    }
}
