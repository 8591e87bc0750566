import ALDCore
import ALDTestKit
import Foundation
import XCTest

/// The network between writer and database is cut, slowed and frozen at every place of a delivery, while records are
/// appended without a pause.
final class WriterNetworkTests: SharedServerTestCase {
    /// The writer buries 20 records of one cause in ten minutes and then holds their kind, so a longer story has rarer ones.
    private static let poisonEvery: Int64 = Gate.isSlow ? 5003 : 307

    /// A writer that reaches its database through a proxy, loaded all the time.
    private func withProxy(
        timeout: Duration = .milliseconds(300),
        _ body: @escaping @Sendable (FaultProxy, WriterRig) async throws -> Void
    ) async throws {
        let database = try await Self.database()
        try await FaultProxy.run(to: try ProxiedDatabase.socket(of: database)) { proxy in
            try await withTemporaryDirectory { directory in
                var options = WriterRig.Options(
                    directory: directory, database: ProxiedDatabase.through(proxy, database))
                options.writer.attemptTimeout = timeout
                options.pool.connectTimeout = timeout
                options.poisonEvery = Self.poisonEvery
                try await WriterRig.run(options, promises: Promises()) { rig in
                    try await rig.withLoad(waitingAtMost: 1000) {
                        try await rig.landMore()
                        try await body(proxy, rig)
                        proxy.heal()
                        try await rig.landMore()
                    }
                    try await rig.drain()
                    let audit = try await LandingAudit(
                        of: rig.promises, machine: 1, poisonEvery: Self.poisonEvery, in: database)
                    XCTAssertEqual(audit.problems, [])
                    XCTAssertEqual(rig.writer.statistics.accepted, rig.promises.acceptedCount)
                }
            }
        }
    }

    func test_connectionCutBeforeDuringAndAfterTheCommit_nothingIsLostOrDoubled() async throws {
        let seed = TestSeed.draw()
        try await withProxy { proxy, rig in
            var random = SeededGenerator(seed: seed)
            for round in 0..<Gate.rounds(60, nominal: 2000) {
                // Upstream the statement itself is cut off, downstream its answer: then the rows are in the database
                // and nobody knows.
                let direction: FaultProxy.Direction = round.isMultiple(of: 3) ? .upstream : .downstream
                let bytes = direction == .upstream ? Int.random(in: 0...4000, using: &random) : round % 40
                let ending: StreamFaults.Ending = round.isMultiple(of: 2) ? .reset : .close
                let before = proxy.evidence.cuts
                proxy.set(.cut(after: bytes, ending), direction)
                try await eventually("cut \(round) bites, seed \(seed), \(rig.writer.statistics)") {
                    proxy.evidence.cuts > before
                }
                proxy.heal()
                try await rig.landMore(20)
            }
        }
    }

    /// The server has done what it was asked and says so, and nobody hears it: the rows are there, and the writer has to
    /// find out. `C` ends the answer to a statement, `Z` the answer to all that was sent together.
    func test_answerOfTheServerIsLost_nothingIsLostOrDoubled() async throws {
        try await withProxy { proxy, rig in
            let losses: [(StreamFaults, ProxyFault)] = [
                (.cut(at: .postgres(message: UInt8(ascii: "C")), .close), .message), (.loseAnswer(.close), .loseAnswer),
                (.cut(at: .postgres(message: UInt8(ascii: "Z")), .reset), .message), (.loseAnswer(.reset), .loseAnswer),
            ]
            for round in 0..<Gate.rounds(16, nominal: 1000) {
                let (loss, fault) = losses[round % losses.count]
                let before = proxy.evidence.bites(of: fault)
                proxy.set(loss, .downstream)
                try await eventually("\(fault) bites in round \(round), \(rig.writer.statistics)") {
                    proxy.evidence.bites(of: fault) > before
                }
                proxy.heal()
                try await rig.landMore(20)
            }
        }
    }

    func test_cablePulledInTheMiddleOfADelivery_nothingIsLostOrDoubled() async throws {
        try await withProxy { proxy, rig in
            for round in 0..<Gate.rounds(6, nominal: 60) {
                let (cuts, failed) = (proxy.evidence.cuts, rig.writer.statistics.failedAttempts)
                let direction: FaultProxy.Direction = round.isMultiple(of: 2) ? .downstream : .upstream
                proxy.set(.cut(after: round, .timeout), direction)
                try await eventually("nothing passes any more, \(rig.writer.statistics)") {
                    proxy.evidence.cuts > cuts && rig.writer.statistics.failedAttempts > failed
                }
                try await rig.keepAccepting()
                proxy.heal()
                // When a cable is back, the system of whoever has given up ends what the server still holds. Without that
                // the attempts of some thirty rounds would have all of its connections.
                if round % 5 == 4 { proxy.reset() }
                try await rig.landMore(20)
            }
        }
    }

    func test_networkStalls_nothingIsLostOrDoubled() async throws {
        // As configured: an attempt may take 10 s, so a stall of 30 s outlives three.
        try await withProxy(timeout: Gate.isSlow ? .seconds(10) : .milliseconds(300)) { proxy, rig in
            for _ in 0..<3 {
                let failed = rig.writer.statistics.failedAttempts
                proxy.freeze()
                try await eventually("attempts fail, \(rig.writer.statistics)", within: .seconds(60)) {
                    rig.writer.statistics.failedAttempts > failed + 1
                }
                proxy.heal()
                try await rig.landMore(20)
            }
        }
    }

    func test_bytesTrickle_recordsLandWithoutAFault() async throws {
        try await withProxy(timeout: .seconds(20)) { proxy, rig in
            var trickle = StreamFaults()
            (trickle.slicer, trickle.slicerDelay) = (64, .milliseconds(1))
            (trickle.latency, trickle.jitter) = (.milliseconds(5), .milliseconds(4))
            for direction in FaultProxy.Direction.allCases { proxy.set(trickle, direction) }
            let before = rig.writer.statistics.failedAttempts
            try await rig.landMore(200)
            var narrow = StreamFaults()
            narrow.bandwidth = 100_000
            for direction in FaultProxy.Direction.allCases { proxy.set(narrow, direction) }
            try await rig.landMore(200)
            XCTAssertLessThanOrEqual(
                rig.writer.statistics.failedAttempts - before, 40, "only records with a fault fail")
        }
    }

    func test_nobodyListens_acceptanceGoesOnAndEverythingLandsAfterwards() async throws {
        try await withProxy { proxy, rig in
            for _ in 0..<3 {
                proxy.down()
                try await eventually("refused") { proxy.evidence.refused > 0 }
                try await rig.keepAccepting()
                proxy.heal()
                try await rig.landMore(100)
            }
        }
    }

    func test_poolerKilledAndRestartedInTheMiddleOfDeliveries_nothingIsLostOrDoubled() async throws {
        try XCTSkipUnless(PgBouncer.isRequired, "install PgBouncer: .ci/setup --tests")
        let database = try await Self.database()
        try await withTemporaryDirectory { directory in
            // Whoever stands before the pooler keeps its address while one process follows the other.
            try await FaultProxy.run(to: directory + "/nobody") { proxy in
                let options = WriterRig.Options(
                    directory: directory, database: ProxiedDatabase.through(proxy, database))
                try await WriterRig.run(options, promises: Promises()) { rig in
                    try await rig.withLoad {
                        for round in 0..<Gate.rounds(4, nominal: 40) {
                            try await PgBouncer.run(before: "\(database)") { pooler in
                                proxy.retarget(try ProxiedDatabase.socket(of: pooler.configuration))
                                try await rig.landMore()
                                pooler.process.send(round.isMultiple(of: 2) ? SIGKILL : SIGTERM)
                                try await eventually("it is gone") {
                                    ChildProcess.isFinished(pooler.process.processIdentifier)
                                }
                            }
                        }
                        proxy.retarget(try ProxiedDatabase.socket(of: database))
                        try await rig.landMore()
                    }
                    try await rig.drain()
                    let audit = try await LandingAudit(of: rig.promises, machine: 1, in: database)
                    XCTAssertEqual(audit.problems, [])
                }
            }
        }
    }
}
