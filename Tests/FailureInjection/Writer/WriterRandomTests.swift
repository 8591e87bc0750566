import ALDCore
import ALDTestKit
import Foundation
import XCTest

/// Everything at once, in an order that a seed draws: the server dies, freezes and comes back, the network is cut at any
/// byte, the writer ends and begins anew, clocks are set, records are bad or of parameters that nobody has registered.
/// In the end each record that was accepted is in one place.
final class WriterRandomTests: XCTestCase {
    private static let database = "story"
    /// Of so many records one breaks a rule: few enough that no life takes it for a fault of the database.
    private static let poisonEvery: Int64 = 1009

    private static func execute(_ script: String, _ database: PostgresConfiguration) async throws {
        try await TestDatabase.withConnection(database) { _ = try await $0.execute(script: script, deadline: $1) }
    }

    /// Those that may happen to have no effect, and then prove nothing.
    private enum Fault: Hashable { case cut, reset, silence, freeze }

    /// What the stories act on.
    private struct Stage {
        let cluster: PostgresCluster
        let proxy: FaultProxy
        let time: SteppedTime
        let promises: Promises
        let options: WriterRig.Options
        var random: SeededGenerator
        /// What has been done, for whoever has to find out why.
        var story: [String] = []
        var planted: [Fault: Int] = [:]
        var bitten: [Fault: Int] = [:]

        /// Plants a fault and counts whether it bites: whether `evidence` of it is more afterwards.
        mutating func plant(
            _ fault: Fault, evidence: () -> Int, _ body: (inout Stage) async throws -> Void
        ) async throws {
            let before = evidence()
            try await body(&self)
            planted[fault, default: 0] += 1
            if evidence() > before { bitten[fault, default: 0] += 1 }
        }

        mutating func chance(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }
    }

    func test_randomSequencesOfFaults_everyAcceptedRecordIsInOnePlace() async throws {
        let seed = TestSeed.draw()
        try await PostgresCluster.run { cluster in
            try await Self.execute("CREATE DATABASE \(Self.database)", try cluster.configuration(database: "postgres"))
            let database = try cluster.configuration(database: Self.database)
            try await TestDatabase.withConnection(database) { _ = try await Migrator().migrate($0, deadline: $1) }
            try await Self.execute(NumberedRecords.rule, database)
            try await FaultProxy.run(to: try ProxiedDatabase.socket(of: database), seed: seed) { proxy in
                try await withTemporaryDirectory { directory in
                    var options = WriterRig.Options(
                        directory: directory, database: ProxiedDatabase.through(proxy, database))
                    options.poisonEvery = Self.poisonEvery
                    options.copiedRows = 200
                    options.writer.attemptTimeout = .milliseconds(700)
                    options.pool.connectTimeout = .milliseconds(700)
                    let time = SteppedTime()
                    options.time = time
                    var stage = Stage(
                        cluster: cluster, proxy: proxy, time: time, promises: Promises(), options: options,
                        random: SeededGenerator(seed: seed))
                    do {
                        for life in 0..<Gate.rounds(4, nominal: 150) { try await Self.live(life, &stage) }
                        try await Self.settle(&stage, database)
                        // The proxy's thread has counted them by now.
                        stage.bitten[.reset] = proxy.evidence.resets
                        let bites = "planted \(stage.planted), bitten \(stage.bitten), seed \(seed)"
                        XCTAssertGreaterThan(stage.bitten.values.reduce(0, +), 0, bites)
                        for (fault, count) in stage.planted where count >= 4 {
                            XCTAssertGreaterThan(stage.bitten[fault, default: 0], 0, "\(fault): \(bites)")
                        }
                    } catch {
                        XCTFail("\(error), seed \(seed), after \(stage.story.suffix(40).joined(separator: ", "))")
                    }
                }
            }
        }
    }

    /// One life of the writer; what it has not landed, the next one finds.
    private static func live(_ life: Int, _ stage: inout Stage) async throws {
        var options = stage.options
        options.strangers = life.isMultiple(of: 3) ? stage.chance(0...2) : 2
        options.recording = stage.chance(0...3) == 0 ? .historyOnly : .synchronized
        stage.story.append("life \(life), \(options.strangers) strangers, \(options.recording)")
        var random = stage.random
        let steps = (0..<Int.random(in: 6...12, using: &random)).map { _ in Int.random(in: 0..<24, using: &random) }
        stage.random = random
        let (before, promises) = (stage, stage.promises)
        stage = try await WriterRig.run(options, promises: promises) { rig in
            var stage = before
            for step in steps {
                let count = stage.chance(1...40)
                try await append(count, to: rig)
                try await act(step, rig, &stage)
            }
            return stage
        }
        stage.proxy.heal()
    }

    private static func append(_ count: Int, to rig: WriterRig) async throws {
        do throws(SpoolError) {
            try await rig.append(count, kind: count % 7 == 0 ? .gaps : count % 7 == 3 ? .events : .history)
        } catch {
            // A disk that is busy may refuse.
            guard error.code == .overloaded else { throw error }
        }
    }

    private static func act(_ step: Int, _ rig: WriterRig, _ stage: inout Stage) async throws {
        let direction: FaultProxy.Direction = stage.chance(0...1) == 0 ? .upstream : .downstream
        switch step {
        case 0...3:
            // A delivery is some thousand bytes, its answer some dozen.
            let bytes = stage.chance(direction == .upstream ? 0...6000 : 0...60)
            let ending: StreamFaults.Ending = [.close, .reset, .timeout][stage.chance(0...2)]
            stage.story.append("cut \(direction) after \(bytes): \(ending)")
            let proxy = stage.proxy
            try await stage.plant(.cut) {
                proxy.evidence.cuts
            } _: { stage in
                let (cuts, before) = (proxy.evidence.cuts, rig.writer.statistics)
                proxy.set(.cut(after: bytes, ending), direction)
                try await append(stage.chance(1...300), to: rig)
                // Readings may be held, and then only others are sent.
                try await append(210, to: rig)
                try await eventually("it bites or all goes through, \(rig.writer.statistics)") {
                    let now = rig.writer.statistics
                    return proxy.evidence.cuts > cuts || now.spooled == 0 || now.landed >= before.landed + 210
                        || now.failedAttempts > before.failedAttempts
                }
                proxy.heal()
            }
        case 4, 5:
            stage.story.append("reset")
            stage.planted[.reset, default: 0] += 1
            stage.proxy.reset()
        case 6:
            stage.story.append("silence")
            let proxy = stage.proxy
            try await stage.plant(.silence) {
                rig.writer.statistics.failedAttempts
            } _: { stage in
                proxy.freeze()
                try await append(300, to: rig)
                try await settleDown(rig, stage)
                proxy.heal()
            }
        case 7:
            stage.story.append("kill")
            try await stage.cluster.kill()
            try await append(stage.chance(1...300), to: rig)
            try await stage.cluster.start()
        case 8:
            stage.story.append("freeze")
            let cluster = stage.cluster
            try await stage.plant(.freeze) {
                rig.writer.statistics.failedAttempts
            } _: { stage in
                cluster.freeze()
                try await append(stage.chance(1...300), to: rig)
                try await settleDown(rig, stage)
                cluster.thaw()
            }
        case 9:
            let hours = stage.chance(-50...50)
            stage.story.append("clock \(hours) h")
            stage.time.step(to: .seconds(3600 * hours))
        case 10...13:
            let rows = stage.chance(200...900)
            stage.story.append("\(rows) rows")
            try await append(rows, to: rig)
        case 14, 15:
            stage.story.append("sessions ended")
            do {
                try await execute(
                    """
                    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE pid <> pg_backend_pid() AND datname = current_database()
                    """, try stage.cluster.configuration(database: database))
            } catch is PostgresError {
                // It was about to end in any case.
            }
        default:
            stage.story.append("rest")
            try await settleDown(rig, stage)
        }
    }

    /// Until everything has landed that can, or something stands in the way: a fault, or a person who has to do something.
    private static func settleDown(_ rig: WriterRig, _ stage: Stage) async throws {
        let before = rig.writer.statistics
        try await eventually("it moves or says why not, \(rig.writer.statistics)") {
            let now = rig.writer.statistics
            return now.spooled == 0 || now.heldBecause != nil || now.landed >= before.landed + 300
                || now.failedAttempts > before.failedAttempts
        }
    }

    /// Nothing is wrong any more, and everything is known. A fault that many records had in common holds what is left for
    /// ten minutes; another process looks at it anew.
    private static func settle(_ stage: inout Stage, _ database: PostgresConfiguration) async throws {
        stage.proxy.heal()
        stage.time.step(to: .zero)
        var options = stage.options
        (options.strangers, options.database) = (0, database)
        var left = Int.max
        while left > 0 {
            let before = left
            left = try await WriterRig.run(options, promises: stage.promises) { rig in
                // 1000 records a second, on a machine that has ten times as much to do as it can.
                let limit = Duration.seconds(60 + rig.writer.statistics.spooled / 1000)
                do {
                    try await eventually("all landed or held, \(rig.writer.statistics)", within: limit) {
                        let now = rig.writer.statistics
                        return now.spooled == 0 && now.isReconciled
                            || now.deadLettered >= 20 && now.heldBecause != nil
                    }
                } catch {
                    throw NeverHappened(description: "\(error); in the end \(rig.writer.statistics)")
                }
                XCTAssertTrue(rig.writer.statistics.isBalanced)
                return rig.writer.statistics.spooled
            }
            guard left < before else { throw NeverHappened(description: "\(left) records wait and nothing moves") }
        }
        let audit = try await LandingAudit(of: stage.promises, machine: 1, poisonEvery: poisonEvery, in: database)
        XCTAssertEqual(audit.problems, [])
        XCTAssertEqual(audit.found, stage.promises.acceptedCount, "accepted = landed + dead letters, each once")
        let rows = try await TestDatabase.number(
            "SELECT count(*) - count(DISTINCT sampled_at) FROM ald_history.parameter_value_history", database)
        XCTAssertEqual(rows, 0)
    }
}
