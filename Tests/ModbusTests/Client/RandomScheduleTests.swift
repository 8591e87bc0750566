import ALDTestKit
import NIOCore
import Testing

@testable import Modbus

/// One random life of a client machine against a random peer, with the invariants that must hold whatever happens.
private struct RandomSchedule {
    private var random: SeededGenerator
    private var story: ClientStory
    private let window: Int
    /// Frames the peer has received on this connection and not answered.
    private var owed: [ByteBuffer] = []
    private var submitted: Set<UInt64> = []
    private var nextID: UInt64 = 1
    private var isDialing = false
    private var isUp = false
    private var seenDials = 0
    private var seenDisconnects = 0
    /// How often each write was received, less how often it was refused as busy.
    private var executions: [UInt16: Int] = [:]

    init(seed: UInt64) {
        random = SeededGenerator(seed: seed)
        let window = Int.random(in: 1...4, using: &random)
        let progress = Int.random(in: 300...3000, using: &random)
        self.window = window
        story = ClientStory(seed: seed) {
            $0.window = window
            $0.queueLimit = 4
            $0.lateReplyLimit = 6
            $0.progressTimeout = .milliseconds(progress)
        }
    }

    mutating func run() throws {
        for _ in 0..<Int.random(in: 10...60, using: &random) {
            step()
            observe()
            try check()
        }
        // Then everything heals: the peer answers, every deadline passes.
        for _ in 0..<200 where story.outcomes.count < submitted.count {
            if isDialing { connect() }
            while !owed.isEmpty, isUp { answer(0) }
            story.pass(.milliseconds(50))
            observe()
            try check()
        }
        try #require(Set(story.outcomes.keys) == submitted, "a job never ended")
        try #require(story.machine.statistics.pending == 0)
        try #require(story.machine.jobs.isEmpty && story.machine.ready.isEmpty && story.machine.delayed.isEmpty)
        try #require(story.machine.reads.isEmpty && story.machine.writes.isEmpty && story.machine.activeWrite == nil)
    }

    private mutating func step() {
        switch Int.random(in: 0..<20, using: &random) {
        case 0...3: submit()
        case 4: story.cancel(UInt64.random(in: 0...nextID, using: &random))
        case 5, 6: story.pass(.milliseconds(Int64.random(in: 0...400, using: &random)))
        case 7: if isDialing { refuse() }
        case 8...10: if isDialing { connect() }
        case 11: if isUp { close() }
        case 12: if isUp { disturb() }
        default: if isUp, !owed.isEmpty { answer(Int.random(in: 0..<owed.count, using: &random)) }
        }
    }

    private mutating func submit() {
        let id = nextID
        nextID += 1
        submitted.insert(id)
        let time = TimeAmount.milliseconds(.random(in: 0...1500, using: &random))
        switch Int.random(in: 0..<3, using: &random) {
        case 0: story.read(id, at: UInt16(id) &* 7, within: time)
        case 1: story.write(id, within: time)
        default:
            let first = UInt16(id) &* 7
            let count = UInt16.random(in: 1...4, using: &random)
            let reads = (0..<count).map { index -> PlannedRead in
                let range = AddressRange(first: first + index, last: first + 2 * index)
                return PlannedRead(table: index % 2 == 0 ? .inputRegisters : .coils, range: range, filler: 0)
            }
            story.submit(id, .plan(reads), within: time)
        }
    }

    /// The peer answers one of the requests it owes: right, wrong, in pieces, busy or twice.
    private mutating func answer(_ index: Int) {
        let request = owed.remove(at: index)
        let reply = ClientStory.reply(to: request)
        switch Int.random(in: 0..<12, using: &random) {
        case 0:
            if let write = Self.writtenAddress(request) { executions[write, default: 0] -= 1 }
            story.receive(ClientStory.exception(.serverDeviceBusy, to: request))
        case 1: story.receive(ClientStory.exception(.acknowledge, to: request))
        case 2: story.receive(.joined([reply, reply]))
        case 3:
            let cut = Int.random(in: 0...reply.readableBytes, using: &random)
            story.receive(reply.part(0, cut))
            story.pass(.milliseconds(Int64.random(in: 0...50, using: &random)))
            observe()
            if isUp { story.receive(reply.part(cut, reply.readableBytes)) }
        default: story.receive(reply)
        }
    }

    /// The peer sends what nobody asked for.
    private mutating func disturb() {
        switch Int.random(in: 0..<3, using: &random) {
        case 0: story.receive(bytes("00 00 00 00 FF FF"))
        case 1: story.receive(goldenFrames[2].responseBytes)
        default: story.receive(bytes("00 01 00 00 00"))
        }
    }

    private mutating func connect() {
        isDialing = false
        isUp = true
        story.connect()
    }

    private mutating func refuse() {
        isDialing = false
        story.refuse()
    }

    private mutating func close() {
        isUp = false
        owed = []
        story.close()
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

    private func check() throws {
        let machine = story.machine
        let exchanges = machine.session?.exchanges ?? []
        try #require(exchanges.count <= window, "more unanswered requests than the window")
        try #require(exchanges.count { $0.request.isWrite } <= 1, "two writes at a time")
        let transactions = exchanges.map(\.transaction) + (machine.session?.tombstones.map(\.transaction) ?? [])
        try #require(Set(transactions).count == transactions.count, "a transaction is used twice")
        try #require((machine.session?.lateReplies ?? 0) <= 6 + 4, "tombstones grow")
        try #require(machine.reads.count <= 4 && machine.writes.count <= 4, "the queue grows")
        try #require(machine.jobs.isEmpty || machine.wake != nil, "work waits and nobody will look at it again")
        try #require((machine.session != nil) == (machine.link == .up))
        try #require(executions.values.allSatisfy { $0 <= 1 }, "a write was repeated")
        let statistics = machine.statistics
        try #require(statistics.submitted == statistics.succeeded + statistics.failed + statistics.pending)
        for (id, outcome) in story.outcomes { try checkData(id, outcome) }
    }

    /// Every register holds its own address, so data of another request shows.
    private func checkData(_ id: UInt64, _ outcome: ClientOutcome) throws {
        switch outcome {
        case .single(.success(.registers(_, let values))): try #require(values == [UInt16(id) &* 7])
        case .single(.success(.wroteRegister(let address, _))): try #require(address == UInt16(id))
        case .single(.success): Issue.record("job \(id) has the answer to something else")
        case .single(.failure): break
        case .plan(let results, _):
            for (index, result) in results.enumerated() {
                guard case .success(let data) = result else { continue }
                let addresses = Int(UInt16(id) &* 7) + index...Int(UInt16(id) &* 7) + 2 * index
                let right: ReadData =
                    index % 2 == 0 ? .registers(addresses.map { UInt16($0) }) : .bits(addresses.map { $0 % 3 == 0 })
                try #require(data == right, "job \(id) has the answer to something else")
            }
        }
    }
}

@Suite("Random schedules of the client machine")
struct RandomScheduleTests {
    @Test("20 000 schedules: every job ends once, with its own data, and no write is repeated")
    func schedules() async throws {
        let first = TestSeed.draw()
        for seed in first..<first + 20_000 {
            await TestSeed.letOthersRun(round: Int(seed - first))
            do {
                var schedule = RandomSchedule(seed: seed)
                try schedule.run()
            } catch {
                Issue.record("seed \(seed): \(error)")
                return
            }
        }
    }
}
