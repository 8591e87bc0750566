import ALDTestKit
import NIOCore
import Testing

@testable import Modbus

private func span(_ first: Int, _ count: Int, _ table: DataTable = .holdingRegisters) -> ReadSpan {
    ReadSpan(table, AddressRange(start: UInt16(first), count: count) ?? AddressRange(UInt16(first)))
}

private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

extension SpanResults {
    fileprivate func isRead(_ span: ReadSpan) -> Bool {
        if case .success(let data) = values(span.table, span.range) { data.count == span.range.count } else { false }
    }
}

@Suite("The adaptive reader", .background)
struct AdaptiveReaderTests {
    @Test("a hole costs some requests once, and afterwards nothing")
    func hole() throws {
        var device = LimitedDevice(missing: [50])
        let spans = [span(0, 2), span(20, 2), span(60, 2), span(80, 2)]
        var reader = try AdaptiveReader(spans, followsCost: false)
        #expect(reader.plan.requests.map { "\($0.range)" } == ["0×82"])
        let first = device.read(with: &reader, now: start)
        #expect(spans.allSatisfy(first.isRead), "the values are there although the block was refused")
        #expect(device.asked.map { "\($0.range)" } == ["0×82", "60×22", "0×22", "20×42"])
        #expect(reader.limits.refused == [span(22, 38)])
        device.forget()
        let second = device.read(with: &reader, now: start + .seconds(1))
        #expect(spans.allSatisfy(second.isRead))
        #expect(device.asked.map { "\($0.range)" } == ["0×22", "60×22"])
    }

    @Test("a value that the device refuses fails alone, with the device's own words, and is left out")
    func missingValue() throws {
        var device = LimitedDevice(missing: [11])
        let spans = (0..<6).map { span($0 * 4, 4) }
        var reader = try AdaptiveReader(spans, followsCost: false)
        for round in 0..<3 {
            let results = device.read(with: &reader, now: start + .seconds(Int64(round)))
            #expect(spans.filter { !results.isRead($0) } == [spans[2]])
            guard case .failure(let error) = results.values(.holdingRegisters, spans[2].range) else {
                Issue.record("no error")
                return
            }
            #expect(error.code == .exception(.illegalDataAddress, .readHoldingRegisters))
        }
        #expect(reader.plan.requests.map { "\($0.range)" } == ["0×8", "12×12"])
        #expect(device.asked.count { $0 == spans[2] } == 1)
    }

    @Test(
        "when the device takes less at once, no more requests are made than that asks for",
        arguments: [1, 2, 13, 32, 50, 99, 124])
    func size(maximum: Int) throws {
        for code in [ExceptionCode.illegalDataValue, .illegalDataAddress] {
            var device = LimitedDevice(maximumRegisters: maximum, codeForSize: code)
            let spans = (0..<375).map { span($0, 1) }
            var reader = try AdaptiveReader(spans, followsCost: false)
            for second in 0..<40 { _ = device.read(with: &reader, now: start + .seconds(Int64(second))) }
            #expect(reader.plan.requests.count == (375 + maximum - 1) / maximum)
            #expect(reader.limits.refused.isEmpty, "no address is blamed")
            #expect(device.asked.count { !device.accepts($0) } <= 30)
            device.forget()
            let results = device.read(with: &reader, now: start + .seconds(100))
            #expect(spans.allSatisfy(results.isRead) && device.asked.count == reader.plan.requests.count)
        }
    }

    @Test("a device that refuses only what it lacks altogether is read through its holes")
    func lenient() throws {
        var device = LimitedDevice(missing: Set(30..<60).union([70]), isLenient: true)
        let spans = [span(0, 2), span(30, 2), span(70, 1), span(80, 2)]
        var reader = try AdaptiveReader(spans, followsCost: false)
        let results = device.read(with: &reader, now: start)
        #expect(spans.allSatisfy(results.isRead) && device.asked.count == 1)
    }

    @Test("an answer within the deadline is no fault of the address: other errors teach nothing")
    func otherErrors() throws {
        var reader = try AdaptiveReader([span(0, 2), span(50, 2)], followsCost: false)
        for code in [
            ModbusError.Code.timedOut(.reply), .connectionClosed(mayHaveExecuted: false),
            .exception(.serverDeviceFailure, .readHoldingRegisters),
            .exception(.serverDeviceBusy, .readHoldingRegisters),
        ] {
            var cycle = reader.begin(now: start)
            reader.take(PlanResult(plan: cycle.next, results: [.failure(ModbusError(code))]), in: &cycle, now: start)
            #expect(cycle.next.requests.isEmpty)
            #expect(reader.finish(cycle).values(.holdingRegisters, AddressRange(50)) == .failure(ModbusError(code)))
        }
        #expect(reader.limits.refused.isEmpty && reader.plan.requests.count == 1)
    }

    @Test("what was not found out in one cycle is asked in the next, and the refused block is not asked again")
    func interrupted() throws {
        var device = LimitedDevice(missing: [50])
        let spans = [span(0, 2), span(20, 2), span(60, 2), span(80, 2)]
        var reader = try AdaptiveReader(spans, followsCost: false)
        for round in 0..<5 {
            _ = device.read(with: &reader, now: start + .seconds(Int64(round)), interrupting: true)
        }
        #expect(device.asked.count { $0 == span(0, 82) } == 1)
        #expect(spans.allSatisfy(device.read(with: &reader, now: start + .seconds(9)).isRead))
        #expect(reader.limits.refused == [span(22, 38)])
    }

    @Test("after its expiry a refusal is tried again, once; what has come to exist is read from then on")
    func expiry() throws {
        var device = LimitedDevice(missing: [11, 40])
        let spans = [span(0, 2), span(10, 2), span(20, 2), span(60, 2)]
        var reader = try AdaptiveReader(spans, followsCost: false)
        _ = device.read(with: &reader, now: start)
        _ = device.read(with: &reader, now: start + .seconds(1))
        #expect(Set(reader.limits.refused) == [span(10, 2), span(22, 38)])
        device.forget()
        for second in 2..<3600 { _ = device.read(with: &reader, now: start + .seconds(Int64(second))) }
        #expect(device.asked.count { !device.accepts($0) } == 0)
        device.forget()
        for second in 3600..<3700 { _ = device.read(with: &reader, now: start + .seconds(Int64(second))) }
        #expect(device.asked.filter { !device.accepts($0) } == [span(10, 2), span(20, 42)])
        device.missing = []
        let later = start + .seconds(8000)
        for second in 0..<4 { _ = device.read(with: &reader, now: later + .seconds(Int64(second))) }
        #expect(reader.limits.refused.isEmpty && reader.plan.requests.map { "\($0.range)" } == ["0×62"])
    }

    @Test("a device that takes less than it did, or lacks what it had, is learnt anew")
    func changed() throws {
        var device = LimitedDevice()
        let spans = (0..<100).map { span($0, 1) }
        var reader = try AdaptiveReader(spans, followsCost: false)
        _ = device.read(with: &reader, now: start)
        #expect(device.asked.count == 1)
        device.maximumRegisters = 40
        for second in 1..<20 {
            let results = device.read(with: &reader, now: start + .seconds(Int64(second)))
            #expect(spans.allSatisfy(results.isRead))
        }
        #expect(reader.limits.maximum(of: .holdingRegisters) == 40 && reader.plan.requests.count == 3)
        device.missing = [7]
        for second in 20..<30 {
            let results = device.read(with: &reader, now: start + .seconds(Int64(second)))
            #expect(spans.filter { !results.isRead($0) } == [spans[7]])
        }
        #expect(reader.limits.refused == [spans[7]])
        (device.missing, device.maximumRegisters) = ([], 125)
        for second in 4000..<4020 { _ = device.read(with: &reader, now: start + .seconds(Int64(second))) }
        #expect(reader.plan.requests.count == 1 && reader.limits.maximum(of: .holdingRegisters) == nil)
    }

    @Test(
        "random holes and sizes: all that can be read is, with the plan that knowing them all would give", .background)
    func random() async throws {
        let seed = TestSeed.draw()
        var random = SeededGenerator(seed: seed)
        for round in 0..<300 {
            await TestSeed.letOthersRun(round: round)
            let isBits = round % 5 == 4
            let tables: [DataTable] = isBits ? [.coils] : [.holdingRegisters]
            var device = LimitedDevice()
            device.maximumRegisters = round % 3 == 0 ? 125 : .random(in: 4...125, using: &random)
            device.maximumBits = round % 3 == 0 ? 2000 : .random(in: 4...400, using: &random)
            device.codeForSize = round % 2 == 0 ? .illegalDataValue : .illegalDataAddress
            for _ in 0..<Int.random(in: 0...12, using: &random) {
                let first = UInt16.random(in: 0...400, using: &random)
                device.missing.formUnion(first...(first + .random(in: 0...20, using: &random)))
            }
            let spans = Set(
                (0..<Int.random(in: 1...60, using: &random)).map { _ in
                    span(.random(in: 0...400, using: &random), .random(in: 1...4, using: &random), tables[0])
                })
            var reader = try AdaptiveReader(Array(spans), followsCost: false)
            let story = "seed \(seed) round \(round)"
            let readable = spans.filter(device.accepts)
            var cycle = 0
            var quiet = 0
            // Quiet: nothing but the plan was asked.
            while quiet < 3 {
                let before = device.asked.count
                let planned = reader.plan.requests.count
                let results = device.read(with: &reader, now: start + .seconds(Int64(cycle)))
                if device.asked.count - before < planned + AdaptiveReader.questionsPerCycle {
                    try #require(readable.count { !results.isRead($0) } == 0, "\(story) cycle \(cycle)")
                }
                cycle += 1
                let asked = device.asked.count - before
                quiet = asked == reader.begin(now: start + .seconds(Int64(cycle))).next.requests.count ? quiet + 1 : 0
                try #require(cycle < 60, "\(story) never rests")
            }
            let results = device.read(with: &reader, now: start + .seconds(Int64(cycle)))
            try #require(spans.count { results.isRead($0) != readable.contains($0) } == 0, "\(story)")
            for span in spans.subtracting(readable) {
                try #require(device.asked.count { $0 == span } <= 1, "\(story): \(span) asked again")
            }
            let refusals = device.asked.count { !device.accepts($0) }
            let unreadable = spans.count - readable.count
            let gaps = reader.limits.refused.count - unreadable
            try #require(refusals <= 16 + 6 * (unreadable + gaps), "\(story): \(refusals) refusals")
            try #require(reader.plan.requests.allSatisfy { device.accepts(ReadSpan($0.table, $0.range)) }, "\(story)")
            var planner = ReadPlanner()
            planner.maximumRegisters = device.maximumRegisters
            planner.maximumBits = device.maximumBits
            planner.forbidden = device.missing.map { span(Int($0), 1, tables[0]) }
            let price = Price(planner.goal, bits: isBits)
            func cost(_ plan: ReadPlan) -> Price.Cost { plan.requests.reduce(.zero) { $0 + price.of($1.range.count) } }
            let best = try planner.plan(Array(readable))
            try #require(
                cost(reader.plan) == cost(best), "\(story): \(reader.plan.explain()) against \(best.explain())")
        }
    }

    @Test("with what requests cost, the plan changes from fewest requests to least time")
    func followsCost() throws {
        var device = LimitedDevice(perRequest: .milliseconds(20), perRegister: .milliseconds(2))
        let spans = [0, 5, 30, 100, 130, 220, 224, 300, 306, 400].map { span($0, 2) }
        var reader = try AdaptiveReader(spans)
        #expect(reader.plan.requests.map { "\($0.range)" } == ["0×102", "130×96", "300×102"])
        for second in 0..<10 { _ = device.read(with: &reader, now: start + .seconds(Int64(second))) }
        #expect(reader.fit.isMeasured && reader.fit.breakEvenGap == 10)
        #expect(
            reader.plan.requests.map { "\($0.range)" } == ["0×7", "30×2", "100×2", "130×2", "220×6", "300×8", "400×2"])
    }

    @Test("one space for both kinds of registers: values are found under the table they were asked for")
    func oneSpace() throws {
        var planner = ReadPlanner()
        planner.aliases = ReadPlanner.oneSpace
        var device = LimitedDevice(missing: [3])
        let spans = [span(0, 2), span(4, 2, .inputRegisters), span(3, 1, .inputRegisters)]
        var reader = try AdaptiveReader(spans, planner: planner, followsCost: false)
        let results = device.read(with: &reader, now: start)
        #expect(results.values(.inputRegisters, spans[1].range) == .success(.registers([4, 5])))
        #expect(results.register(.holdingRegisters, at: 1) == .success(1))
        #expect(results.register(.inputRegisters, at: 3)?.isSuccess == false)
        #expect(results.register(.inputRegisters, at: 9) == nil && results.bit(.coils, at: 0) == nil)
        #expect(device.asked.allSatisfy { $0.table == .holdingRegisters })
    }

    @Test("when half of the time is used, nothing is asked but values")
    func noTime() throws {
        let spans = [span(0, 2), span(100, 2)]
        for (milliseconds, isAsked) in [(500, true), (501, false)] {
            var device = LimitedDevice()
            var reader = try AdaptiveReader(spans)
            var cycle = reader.begin(now: start, deadline: start + .seconds(1))
            reader.take(device.run(cycle.next), in: &cycle, now: start + .milliseconds(Int64(milliseconds)))
            #expect(cycle.next.requests.isEmpty != isAsked)
        }
    }

    @Test("when every value is refused, each says so, and so does the whole")
    func allRefused() throws {
        var device = LimitedDevice(missing: [0, 50])
        let spans = [span(0, 2), span(50, 2)]
        var reader = try AdaptiveReader(spans)
        for second in 0..<3 {
            let results = device.read(with: &reader, now: start + .seconds(Int64(second)))
            #expect(!results.hasData)
            #expect(results.firstError?.code == .exception(.illegalDataAddress, .readHoldingRegisters))
        }
        #expect(device.asked.count == 3)
    }

    @Test("refusals are bounded: the one that expires first is forgotten")
    func bounded() {
        var limits = DeviceLimits()
        for index in 0...DeviceLimits.maximumRefusals {
            limits.refuse(span(index * 4, 2), isValue: true, .illegalDataAddress, now: start + .seconds(Int64(index)))
        }
        #expect(limits.refused.count == DeviceLimits.maximumRefusals && !limits.refused.contains(span(0, 2)))
    }
}

extension Result {
    fileprivate var isSuccess: Bool {
        if case .success = self { true } else { false }
    }
}
