import ALDTestKit
import Testing

@testable import ALDCore

/// The whole writer without disk and network: what it decides, against a database that can do everything a database
/// can do to it.
@Suite("Writer, all that can happen", .background) struct WriterSchedulesTests {
    @Test(
        "random faults, crashes, late deliveries, fail-overs, strangers, a table that is broken: every record lands once",
        .background)
    func randomSchedules() async throws {
        let seed = TestSeed.draw()
        var followed = 0
        for round in 0..<Gate.rounds(10_000, nominal: 500_000) {
            await TestSeed.letOthersRun(round: round)
            do {
                followed += try Self.run(seed: seed &+ UInt64(round))
            } catch {
                Issue.record("\(error), seed \(seed &+ UInt64(round))")
                return
            }
        }
        #expect(followed > 1000, "what was read ahead was of use \(followed) times")
    }

    /// - Returns: how often what was read ahead was delivered next.
    @discardableResult static func run(seed: UInt64) throws -> Int {
        var model = try WriterModel(seed: seed)
        var random = SeededGenerator(seed: seed ^ 0x5EED)
        model.hasLine = Bool.random(using: &random)
        model.mostAtOnce = Bool.random(using: &random) ? .max : Int.random(in: 1...4, using: &random)
        let sickness: Double = [0.0, 0.2, 0.5, 0.9].randomElement(using: &random) ?? 0
        let poison: Double = [0.0, 0.0, 0.05, 0.3].randomElement(using: &random) ?? 0
        let stranger: Double = [0.0, 0.0, 0.2, 1.0].randomElement(using: &random) ?? 0
        func fate() -> WriterModel.Fate {
            Double.random(in: 0..<1, using: &random) < sickness
                ? WriterModel.Fate.allCases.randomElement(using: &random) ?? .truth : .truth
        }
        for _ in 0..<Int.random(in: 10...50, using: &random) {
            switch Int.random(in: 0..<20, using: &random) {
            case 0...2:
                model.accept(
                    (0..<Int.random(in: 1...4, using: &random)).map { _ in
                        Double.random(in: 0..<1, using: &random) < poison
                    }, Int.random(in: 0..<3, using: &random) == 0 ? .gaps : .readings,
                    strangers: Set((0..<4).filter { _ in Double.random(in: 0..<1, using: &random) < stranger }))
            case 15 where Int.random(in: 0..<8, using: &random) == 0: model.hasRegistered.toggle()
            case 14 where Int.random(in: 0..<6, using: &random) == 0:
                model.broken = [nil, .readings, .gaps, .letters].randomElement(using: &random) ?? nil
            case 3: try model.runLate()
            case 4 where Int.random(in: 0..<8, using: &random) == 0: model.forget()
            case 5 where Int.random(in: 0..<8, using: &random) == 0: try model.crash { _ in fate() }
            case 6...12 where !model.underWay.isEmpty:
                try model.end(Int.random(in: model.underWay.indices, using: &random), fate())
            case 13: model.now = model.now + .milliseconds(Int.random(in: 1...2000, using: &random))
            default:
                if case .wait(let until?) = try model.ask(), model.underWay.isEmpty { model.now = until }
            }
            try model.checkLaw()
        }
        try model.heal()
        return model.followed
    }

    @Test(
        "every sequence of three fates of two batches, one of them with a bad record; four with ALD_SLOW", .background)
    func allSequences() async throws {
        let fates = WriterModel.Fate.allCases
        let depth = Gate.rounds(3, nominal: 4)
        var sequence = Array(repeating: 0, count: depth)
        var round = 0
        repeat {
            round += 1
            await TestSeed.letOthersRun(round: round)
            do {
                try Self.run(sequence.map { fates[$0] }, hasLine: round.isMultiple(of: 2))
            } catch {
                Issue.record("\(error), fates \(sequence.map { fates[$0] })")
                return
            }
            var place = depth - 1
            while place >= 0, sequence[place] == fates.count - 1 { (sequence[place], place) = (0, place - 1) }
            if place < 0 { break }
            sequence[place] += 1
        } while true
        #expect(round >= fates.count * fates.count * fates.count)
    }

    private static func run(_ fates: [WriterModel.Fate], hasLine: Bool) throws {
        var model = try WriterModel(seed: 1)
        model.hasLine = hasLine
        model.accept([false, true])
        model.accept([false])
        var left = fates[...]
        var steps = 0
        while !left.isEmpty, model.stored.contains(where: { $0.state == .waiting }) {
            steps += 1
            if steps > 2000 { throw WriterModel.Violation(description: "it does not move") }
            if let index = model.underWay.indices.first {
                var fate = WriterModel.Fate.truth
                switch model.underWay[index].action {
                case .deliver, .void: fate = left.popFirst() ?? .truth
                default: break
                }
                try model.end(index, fate)
                if steps.isMultiple(of: 3) { try model.runLate() }
            } else if case .wait(let until) = try model.ask() {
                guard let until else { throw WriterModel.Violation(description: "waits for ever") }
                model.now = until
            }
            try model.checkLaw()
        }
        try model.heal()
    }
}
