import ALDCore
import ALDTestKit
import Foundation
import XCTest

/// The process that writes is killed: at every named place, in the middle of a delivery, and whenever it happens. Each
/// life finds what the one before has left; in the end everything that was ever promised is in the database, once.
final class WriterCrashTests: SharedServerTestCase {
    private static let poisonEvery: Int64 = 307

    func test_killedAtEveryNamedPlace_nothingIsLostOrDoubled() async throws {
        let seed = TestSeed.draw()
        // What a spool has given up cannot be sent again: where it gives up early, the database must not forget.
        let releasing: Set<FailPoint> = [.releaseNoted, .releaseDone]
        let others = FailPoint.allCases.filter { !releasing.contains($0) }
        let halves = [others.prefix(others.count / 2), others.suffix(from: others.count / 2)].map { Array($0) }
        let (legs, rounds) = (Gate.rounds(1, nominal: 15), Gate.rounds(3, nominal: 4))
        let parts = [halves[0], halves[1], Array(releasing)]
        let kills = FailPoint.allCases.count * legs * rounds
        try await onMachines(parts, legs: legs, seed: seed, kills: kills) { chain, places, random in
            for round in 0..<rounds {
                for place in places.shuffled(using: &random) {
                    try await Self.die(at: place, chain, round: round, &random)
                    guard releasing.isDisjoint(with: places), Int.random(in: 0..<8, using: &random) == 0 else {
                        continue
                    }
                    try await chain.forget(transactions: 2)
                }
                try await Self.settle(chain, "round \(round), seed \(seed)")
            }
        }
    }

    /// - Parameter round: the first time a place is reached at once, later after a while.
    private static func die(
        at place: FailPoint, _ chain: WriterChain, round: Int, _ random: inout SeededGenerator
    ) async throws {
        let count = round == 0 ? 1 : Int.random(in: 1...place.most, using: &random)
        switch place {
        case .reconcileBefore: _ = try await chain.live { $0.appends = 20 }
        case .reconcileAnswered, .reconcileResurrected:
            _ = try await chain.live { $0.appends = 20 }
            try await chain.forget(transactions: 3)
        default: break
        }
        try await chain.die("\(place.rawValue) for the \(count). time") { order in
            (order.failPoint, order.count) = (place, count)
            switch place {
            case .releaseNoted, .releaseDone:
                // On and on: a file can go when one delivery has settled it and a later one has been answered.
                order.forgets = true
            case .closeBefore, .closeAfter: order.appends = 30
            default: break
            }
        }
    }

    func test_killedInTheMiddleOfADelivery_nothingIsLostOrDoubled() async throws {
        let seed = TestSeed.draw()
        let (legs, rounds) = (Gate.rounds(1, nominal: 30), 30)
        try await onMachines([0, 1], legs: legs, seed: seed, kills: 2 * legs * rounds) { chain, _, random in
            for _ in 0..<rounds {
                let delay = Int.random(in: 0...3000, using: &random)
                let number = Int.random(in: 1...8, using: &random)
                try await chain.die("\(delay) µs after delivery \(number) has begun") { order in
                    (order.duringSend, order.count) = (delay, number)
                }
                if Int.random(in: 0..<6, using: &random) == 0 { try await chain.forget(transactions: 2) }
            }
            try await Self.settle(chain, "seed \(seed)")
        }
    }

    func test_killedWheneverItHappens_nothingIsLostOrDoubled() async throws {
        let seed = TestSeed.draw()
        let (legs, rounds) = (Gate.rounds(1, nominal: 26), 35)
        try await onMachines([0, 1], legs: legs, seed: seed, kills: 2 * legs * rounds) { chain, _, random in
            for _ in 0..<rounds {
                let patience = Int.random(in: 1...120, using: &random)
                if Bool.random(using: &random) {
                    try await chain.die("the \(patience). place that is passed") { $0.count = patience * 3 }
                } else {
                    try await chain.die("from outside") { _ in
                    } _: { child in
                        try await eventually(
                            "\(patience) lines, but \(child.output.suffix(3)), seed \(seed)", within: .seconds(120)
                        ) { child.output.count >= patience }
                        child.send(SIGKILL)
                    }
                }
                if Int.random(in: 0..<6, using: &random) == 0 { try await chain.forget(transactions: 2) }
            }
            try await Self.settle(chain, "seed \(seed)")
        }
    }

    /// Several spools at a time, each with a part of the work of its own; on every leg it is a new spool of a new machine.
    /// A spool keeps for a day what has landed, and the files of hundreds of lives take longer to open than anybody waits.
    ///
    /// - Parameter kills: so many processes have to die, or the story has not happened.
    private func onMachines<Part: Sendable>(
        _ parts: [Part], legs: Int, seed: UInt64, kills expected: Int,
        _ story: @escaping @Sendable (WriterChain, Part, inout SeededGenerator) async throws -> Void
    ) async throws {
        let database = try await Self.database()
        try await withTemporaryDirectory { directory in
            try await withThrowingTaskGroup(of: Int.self) { group in
                for (index, part) in parts.enumerated() {
                    group.addTask {
                        var random = SeededGenerator(seed: seed + UInt64(index))
                        var kills = 0
                        for leg in 0..<legs {
                            let machine = Int32(leg * parts.count + index + 1)
                            let chain = try WriterChain(
                                directory: directory, machine: machine, database: database,
                                poisonEvery: Self.poisonEvery)
                            try await story(chain, part, &random)
                            kills += chain.kills
                        }
                        return kills
                    }
                }
                let kills = try await group.reduce(into: []) { $0.append($1) }
                XCTAssertEqual(kills.reduce(0, +), expected)
            }
        }
    }

    private static func settle(_ chain: WriterChain, _ story: String) async throws {
        try await chain.drain()
        let audit = try await chain.audit()
        XCTAssertEqual(audit.problems, [], "machine \(chain.machine), \(story)")
        XCTAssertGreaterThan(chain.promises.acceptedCount, 0)
        XCTAssertGreaterThanOrEqual(audit.found, chain.promises.acceptedCount)
    }
}

extension FailPoint {
    /// As often it is passed in a life that goes on for some tenths of a second.
    fileprivate var most: Int {
        switch self {
        case .acceptBeforeCommit, .acceptInCommit, .acceptAfterCommit: 120
        case .sendBefore, .sendAfter, .acknowledged: 15
        case .copyWritten: 4
        case .voidBefore, .voidAfter, .recutBefore, .recutInCommit, .recutAfter: 6
        case .segmentMade, .segmentReserved, .rollCheckpointed, .rollDone: 2
        case .progressBeforeSave, .progressInSave, .progressAfterSave: 2
        case .openedBeforeOrigin, .openedAfterOrigin, .reconcileBefore, .reconcileAnswered, .reconcileResurrected,
            .releaseNoted, .releaseDone, .closeBefore, .closeAfter:
            1
        }
    }
}
