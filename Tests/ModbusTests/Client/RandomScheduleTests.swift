import ALDTestKit
import NIOCore
import Testing

@testable import Modbus

/// What must hold whatever happens, and did not.
private struct Broken: Error {
    let promise: String
}

/// Not `#require`: this is asked tens of millions of times.
private func demand(_ condition: Bool, _ promise: @autoclosure () -> String) throws {
    if !condition { throw Broken(promise: promise()) }
}

/// One random life of a client machine against a random peer, with the invariants that must hold whatever happens.
private struct RandomSchedule {
    private var random: SeededGenerator
    private(set) var story: ClientStory
    private let isAdaptive: Bool
    private let window: Int
    /// Frames the peer has received on this connection and not answered.
    private var owed: [ByteBuffer] = []
    /// Calls that have not ended, with their deadlines.
    private var pending: [UInt64: NIODeadline] = [:]
    private var firstAddress: [UInt64: UInt16] = [:]
    private var seenEnds = 0
    private var nextID: UInt64 = 1
    private var isDialing = false
    private var isUp = false
    /// The peer stopped in the middle of a frame, or for good: nothing more comes over this connection.
    private var isStalled = false
    private var seenDials = 0
    private var seenDisconnects = 0
    /// How often each write was received, less how often it was refused as busy.
    private var executions: [UInt16: Int] = [:]

    init(seed: UInt64) {
        random = SeededGenerator(seed: seed)
        let window = Int.random(in: 1...4, using: &random)
        let progress = Int.random(in: 300...3000, using: &random)
        let isAdaptive = Bool.random(using: &random)
        self.window = window
        self.isAdaptive = isAdaptive
        story = ClientStory(seed: seed) {
            if isAdaptive { $0.windowLimit = window } else { $0.window = window }
            $0.queueLimit = 4
            $0.lateReplyLimit = 6
            $0.progressTimeout = .milliseconds(progress)
        }
        // A schedule is too short for a window to grow by itself, so it begins with one that has just grown.
        var now = story.now
        while story.machine.window < window {
            story.machine.adaptive?.event(.inFlight(window), now: now)
            now = now + .nanoseconds(840 / Int64(story.machine.window))
            story.machine.adaptive?.event(.answered(after: .nanoseconds(1), isWanted: true), now: now)
        }
    }

    mutating func run() throws {
        for _ in 0..<Int.random(in: 10...60, using: &random) {
            step()
            try look()
        }
        // Then everything heals: the peer answers, every deadline passes. Only a stalled connection stays so.
        for _ in 0..<200 where !pending.isEmpty { try heal() }
        try demand(pending.isEmpty, "a call never ended")
        // And the client is usable without help.
        submit(.single(.read(.holdingRegisters, AddressRange(77))), at: 77, within: .seconds(30))
        let last = nextID - 1
        for _ in 0..<600 where !pending.isEmpty { try heal() }
        try demand(story.registers(last) == [77], "the client is dead: \(String(describing: story.result(last)))")
        let machine = story.machine
        try demand(machine.statistics.pending == 0 && machine.jobs.isEmpty, "a job is left")
        try demand(machine.ready.isEmpty && machine.delayed.isEmpty, "a repetition is left")
        try demand(machine.reads.isEmpty && machine.writes.isEmpty && machine.activeWrite == nil, "a place is left")
        try demand(machine.session?.exchanges.isEmpty ?? true, "a slot is left")
    }

    private mutating func heal() throws {
        if isDialing { connect() }
        while !owed.isEmpty, isUp, !isStalled { story.receive(ClientStory.reply(to: owed.removeFirst())) }
        story.pass(.milliseconds(50))
        try look()
    }

    private mutating func step() {
        switch Int.random(in: 0..<24, using: &random) {
        case 0...4: submit()
        case 5: story.cancel(UInt64.random(in: 0...nextID, using: &random))
        case 6...8: story.pass(.milliseconds(Int64.random(in: 0...400, using: &random)))
        case 9: if isDialing { refuse() }
        case 10...12: if isDialing { connect() }
        case 13: if isUp { end() }
        case 14: if isUp { disturb() }
        case 15: if !owed.isEmpty { owed.remove(at: Int.random(in: 0..<owed.count, using: &random)) }
        default: if isUp, !isStalled, !owed.isEmpty { answer(Int.random(in: 0..<owed.count, using: &random)) }
        }
    }

    private mutating func submit() {
        let time = TimeAmount.milliseconds(.random(in: 0...1500, using: &random))
        // Few addresses, so that callers often want the same.
        let first = UInt16.random(in: 1...6, using: &random) * 7
        switch Int.random(in: 0..<4, using: &random) {
        case 0, 1: submit(.single(.read(.holdingRegisters, AddressRange(first))), at: first, within: time)
        case 2: submit(.single(.writeRegister(address: UInt16(nextID), value: 7)), at: UInt16(nextID), within: time)
        default:
            let count = UInt16.random(in: 1...4, using: &random)
            let reads = (0..<count).map { index -> PlannedRead in
                let range = AddressRange(first: first + index, last: first + 2 * index)
                return PlannedRead(table: index % 2 == 0 ? .holdingRegisters : .coils, range: range, filler: 0)
            }
            submit(.plan(reads), at: first, within: time)
        }
    }

    private mutating func submit(_ work: ClientWork, at address: UInt16, within time: TimeAmount) {
        let id = nextID
        nextID += 1
        pending[id] = story.now + time
        firstAddress[id] = address
        story.submit(id, work, within: time)
    }

    /// The peer answers one of the requests it owes: right, busy, twice, in pieces, wrong, or only half of it.
    private mutating func answer(_ index: Int) {
        let request = owed.remove(at: index)
        var reply = ClientStory.reply(to: request)
        switch Int.random(in: 0..<20, using: &random) {
        case 0:
            if let write = Self.writtenAddress(request) { executions[write, default: 0] -= 1 }
            story.receive(ClientStory.exception(.serverDeviceBusy, to: request))
        case 1: story.receive(ClientStory.exception(.acknowledge, to: request))
        case 2: story.receive(.joined([reply, reply]))
        case 3, 4:
            let cut = Int.random(in: 0...reply.readableBytes, using: &random)
            story.receive(reply.part(0, cut))
            story.pass(.milliseconds(Int64.random(in: 0...50, using: &random)))
            observe()
            if isUp { story.receive(reply.part(cut, reply.readableBytes)) }
        case 5:
            reply.setInteger(UInt8.random(in: 2...255, using: &random), at: reply.readerIndex + 6)
            story.receive(reply)
        case 6:
            reply.setInteger(UInt8.random(in: 5...127, using: &random), at: reply.readerIndex + 7)
            story.receive(reply)
        case 7:
            story.receive(reply.part(0, Int.random(in: 0..<reply.readableBytes, using: &random)))
            isStalled = true
        default: story.receive(reply)
        }
    }

    /// The peer sends what nobody asked for, or nothing any more.
    private mutating func disturb() {
        switch Int.random(in: 0..<4, using: &random) {
        case 0: if !isStalled { story.receive(bytes("00 00 00 00 FF FF")) }
        case 1: if !isStalled { story.receive(goldenFrames[2].responseBytes) }
        case 2: if !isStalled { story.receive(bytes("00 01 00 00 00")) }
        default: break
        }
        isStalled = true
    }

    private mutating func connect() {
        isDialing = false
        isUp = true
        isStalled = false
        story.connect()
    }

    private mutating func refuse() {
        isDialing = false
        story.refuse()
    }

    private mutating func end() {
        if Bool.random(using: &random) {
            isUp = false
            owed = []
            story.close()
        } else {
            story.finish()
        }
    }

    /// Takes over what the machine has asked for.
    private mutating func observe() {
        if story.disconnects > seenDisconnects {
            seenDisconnects = story.disconnects
            isUp = false
            owed = []
        }
        if story.dials > seenDials {
            seenDials = story.dials
            isDialing = true
        }
        for frame in story.sent {
            if let write = Self.writtenAddress(frame) { executions[write, default: 0] += 1 }
            if isUp { owed.append(frame) }
        }
        story.sent = []
    }

    private static func writtenAddress(_ frame: ByteBuffer) -> UInt16? {
        guard frame.getInteger(at: frame.readerIndex + 7, as: UInt8.self) == 6 else { return nil }
        return frame.getInteger(at: frame.readerIndex + 8)
    }

    private mutating func look() throws {
        observe()
        for id in story.order[seenEnds...] {
            try demand(pending.removeValue(forKey: id) != nil, "call \(id) ended twice")
            if let outcome = story.outcomes[id] { try checkData(id, outcome) }
        }
        seenEnds = story.order.count
        try demand(pending.values.allSatisfy { $0 > story.now }, "a call waits beyond its deadline")
        try demand(executions.values.allSatisfy { $0 <= 1 }, "a write was repeated")
        try checkMachine()
    }

    private func checkMachine() throws {
        let machine = story.machine
        let exchanges = machine.session?.exchanges ?? []
        let tombstones = machine.session?.tombstones ?? []
        try demand(exchanges.count <= window, "more unanswered requests than the window")
        let writes = exchanges.count { $0.request.isWrite }
        try demand(writes <= 1 && (!isAdaptive || writes == 0 || exchanges.count == 1), "a write is not alone")
        let transactions = exchanges.map(\.transaction) + tombstones.map(\.transaction)
        try demand(Set(transactions).count == transactions.count, "a transaction is used twice")
        let attempts = exchanges.flatMap(\.attempts) + machine.ready + machine.delayed.map(\.attempt)
        try demand(Set(attempts).count == attempts.count, "a request is in two places")
        try demand(attempts.allSatisfy { machine.jobs[$0.job] != nil }, "a request of nobody")
        try demand((machine.session?.lateReplies ?? 0) <= 6 + 4, "late replies grow")
        try demand(tombstones.count <= 6 + 4 + ClientSession.skippedLimit, "tombstones grow")
        try demand(machine.reads.count <= 4 && machine.writes.count <= 4, "the queue grows")
        try demand(machine.jobs.isEmpty || machine.wake != nil, "work waits and nobody will look at it again")
        try demand((machine.session != nil) == (machine.link == .up), "a session without a link")
        let statistics = machine.statistics
        try demand(
            statistics.submitted == statistics.succeeded + statistics.failed + statistics.pending
                && statistics.pending >= pending.count, "requests are lost from the count")
    }

    /// Every register holds its own address, so data of another request shows.
    private func checkData(_ id: UInt64, _ outcome: ClientOutcome) throws {
        let first = firstAddress[id] ?? 0
        switch outcome {
        case .single(.success(.registers(_, let values))):
            try demand(values == [first], "call \(id) has the answer to something else")
        case .single(.success(.wroteRegister(let address, _))):
            try demand(address == first, "call \(id) has the answer to something else")
        case .single(.success): throw Broken(promise: "call \(id) has the answer to something else")
        case .single(.failure): break
        case .plan(let results, _):
            for (index, result) in results.enumerated() {
                guard case .success(let data) = result else { continue }
                let addresses = Int(first) + index...Int(first) + 2 * index
                let right: ReadData =
                    index % 2 == 0 ? .registers(addresses.map { UInt16($0) }) : .bits(addresses.map { $0 % 3 == 0 })
                try demand(data == right, "call \(id) has the answer to something else")
            }
        }
    }
}

@Suite("Random schedules of the client machine", .background)
struct RandomScheduleTests {
    @Test(
        "20 000 schedules: every call ends once and in time, with its own data, and no write is repeated", .background)
    func schedules() async throws {
        let first = TestSeed.draw()
        var sums = [String: Int]()
        for seed in first..<first + 20_000 {
            await TestSeed.letOthersRun(round: Int(seed - first))
            do {
                var schedule = RandomSchedule(seed: seed)
                try schedule.run()
                let seen = schedule.story.machine.statistics
                for (name, count) in [
                    ("coalesced", seen.coalesced), ("gaps", seen.gaps), ("remade", seen.remade),
                    ("retries", seen.retries), ("busy", seen.busyRetries), ("late", seen.lateReplies),
                    ("stray", seen.strayReplies), ("malformed", seen.malformedReplies),
                    ("poisoned", seen.poisonedStreams), ("silent", seen.progressTimeouts),
                    ("unknown", seen.unknownOutcomes), ("full", seen.queueFull),
                ] { sums[name, default: 0] += count }
            } catch {
                Issue.record("seed \(seed): \(error)")
                return
            }
        }
        // A fault that never bites proves nothing.
        #expect(sums.values.allSatisfy { $0 > 1000 }, "\(sums)")
    }
}
