@testable import ALDCore

/// A spool, a ledger and a database of a few records each, with a writer's state machine between them. It throws on
/// everything that the machine must never do.
struct WriterModel {
    struct Violation: Error, CustomStringConvertible { var description: String }

    struct Record: Hashable {
        var id: Int
        var isPoison: Bool
        /// Of a parameter that nobody has registered.
        var isStranger = false
    }

    struct Stored {
        enum State { case waiting, acknowledged, recut }
        var records: [Record]
        var kind = BatchKind.readings
        var state = State.waiting
        /// In how many failures of the database's memory it was closed.
        var voidedIn: Int?

        var isDeadLetter: Bool { kind == .letters }
    }

    enum Entry { case applied, voided }

    /// What becomes of a call at the database.
    enum Fate: CaseIterable {
        case truth
        case unsent, transient, notPrimary, resource, misconfigured, systemic, serverSick, ownBug, tooBig
        case doubtApplied, doubtLost
        /// The client gives up; the server gets to it later.
        case doubtLate
    }

    var machine: WriterStateMachine
    var now = MonotonicInstant(nanoseconds: 0)
    var random: SeededGenerator
    var stored: [Stored] = []
    var boundary = 0
    var underWay: [(action: WriterStateMachine.Action, batches: [Int])] = []
    var ledger: [Int: Entry] = [:]
    var rows: [Int: Int] = [:]
    var letters: [Int: Int] = [:]
    /// Deliveries that a server still has in its hands.
    var late: [[Int]] = []
    var failures = 0
    var hasLine = false
    var mostAtOnce = Int.max
    /// The table of this kind is renamed.
    var broken: BatchKind?
    /// Strangers have been registered.
    var hasRegistered = false
    var accepted = 0
    var mustReconnect = false
    var finished = false
    /// How often what was read ahead has become the bench.
    private(set) var followed = 0

    init(seed: UInt64) throws {
        random = SeededGenerator(seed: seed)
        machine = try Self.newMachine(carriedOver: false)
    }

    /// So many batches are compared with the ledger at a time.
    private static let page = 3

    static func newMachine(carriedOver: Bool) throws -> WriterStateMachine {
        var configuration = WriterStateMachine.Configuration()
        configuration.pace = DeliveryPace.Bounds(start: 8, most: 16, step: 4, batches: 6)
        configuration.readsAheadFrom = 2
        return try WriterStateMachine(configuration, carriedOver: carriedOver)
    }

    // MARK: Outside

    mutating func accept(_ poison: [Bool], _ kind: BatchKind = .readings, strangers: Set<Int> = []) {
        let records = poison.enumerated().map { place, isPoison in
            Record(
                id: accepted + place, isPoison: isPoison, isStranger: kind == .readings && strangers.contains(place))
        }
        stored.append(Stored(records: records, kind: kind))
        accepted += poison.count
    }

    private func strangers(in batch: Int) -> [Record] {
        hasRegistered || stored[batch].isDeadLetter ? [] : stored[batch].records.filter(\.isStranger)
    }

    /// The process ends and another one begins. What is under way may have any fate; some confirmations are forgotten.
    mutating func crash(_ fate: (Int) -> Fate) throws {
        for (index, call) in underWay.enumerated() {
            if case .deliver = call.action { try touch(call.batches, fate(index)) }
        }
        underWay = []
        for index in stored.indices
        where stored[index].state == .acknowledged && Int.random(in: 0..<8, using: &random) == 0 {
            stored[index].state = .waiting
        }
        machine = try Self.newMachine(carriedOver: stored.contains { $0.state == .waiting })
        finished = false
        boundary = 0
    }

    /// A standby takes over that lacks some of what was confirmed; every connection ends.
    mutating func forget() {
        for (batch, entry) in ledger where Int.random(in: 0..<3, using: &random) == 0 {
            ledger[batch] = nil
            guard entry == .applied else { continue }
            add(batch, -1)
        }
        late = []
        failures += 1
        mustReconnect = true
    }

    mutating func runLate() throws {
        guard !late.isEmpty else { return }
        _ = execute(late.remove(at: Int.random(in: late.indices, using: &random)))
    }

    // MARK: The database

    private mutating func add(_ batch: Int, _ count: Int) {
        for record in stored[batch].records {
            if stored[batch].isDeadLetter {
                letters[record.id, default: 0] += count
            } else {
                rows[record.id, default: 0] += count
            }
        }
    }

    private mutating func execute(_ batches: [Int]) -> Result<[BatchLanding], SinkFault> {
        if let batch = batches.first, stored[batch].kind == broken {
            return .failure(SinkFault(.misconfigured, "renamed"))
        }
        let ready = batches.filter { strangers(in: $0).isEmpty }
        let fresh = ready.filter { ledger[$0] == nil }
        let records = fresh.flatMap { stored[$0].isDeadLetter ? [] : stored[$0].records }
        if records.count > mostAtOnce { return .failure(SinkFault(.tooBig, "too big")) }
        if records.contains(where: \.isPoison) {
            var evidence = FaultEvidence(message: "poison", sqlState: "23514")
            let line = ready.flatMap { batch in stored[batch].records.map { (batch, $0) } }
                .firstIndex { ledger[$0.0] == nil && $0.1.isPoison }
            if hasLine, let line { evidence.context = "COPY rows, line \(line + 1)" }
            return .failure(SinkFault(.poison, "poison", evidence: evidence))
        }
        var landings: [BatchLanding] = []
        for batch in batches {
            let strangers = strangers(in: batch)
            guard strangers.isEmpty else {
                landings.append(.unregistered([1], isWhole: strangers.count == stored[batch].records.count))
                continue
            }
            switch ledger[batch] {
            case .applied: landings.append(.known)
            case .voided: landings.append(.collision)
            case nil:
                ledger[batch] = .applied
                add(batch, 1)
                landings.append(.landed)
            }
        }
        return .success(landings)
    }

    /// What a delivery of this fate leaves behind.
    private mutating func touch(_ batches: [Int], _ fate: Fate) throws {
        switch fate {
        case .doubtApplied, .truth: _ = execute(batches)
        case .doubtLate: late.append(batches)
        default: break
        }
    }

    static func fault(_ fate: Fate) -> SinkFault {
        let faultClass: SinkFault.Class =
            switch fate {
            case .unsent: .unsent
            case .transient: .transient
            case .notPrimary: .notPrimary
            case .resource: .resource
            case .misconfigured: .misconfigured
            case .systemic: .systemic
            case .serverSick: .serverSick
            case .ownBug: .ownBug
            case .tooBig: .tooBig
            case .truth, .doubtApplied, .doubtLost, .doubtLate: .inDoubt
            }
        return SinkFault(faultClass, "scripted \(fate)")
    }

    // MARK: The driver

    func waiting(_ lane: Spool.Lane) -> [Int] {
        stored.indices.filter { stored[$0].state == .waiting && ($0 < boundary) == (lane == .backlog) }
    }

    /// Asks the machine once and begins what it says.
    ///
    /// - Returns: until when it would wait; `nil` when it has begun something.
    mutating func ask() throws -> WriterStateMachine.Action? {
        var view = WriterStateMachine.Waiting(end: SpoolPosition(rawValue: Int64(stored.count)))
        for batch in waiting(.fresh) { view.fresh[stored[batch].kind, default: 0] += 1 }
        for batch in waiting(.backlog) { view.backlog[stored[batch].kind, default: 0] += 1 }
        let action = machine.next(view, now: now, chance: Double.random(in: 0..<1, using: &random))
        switch action {
        case .moveBoundary: boundary = stored.count
        case .reconcile: underWay.append((action, []))
        case .read(let lane, let limits, let kinds):
            guard machine[lane].bench.isEmpty else { throw Violation(description: "read beside a full bench") }
            underWay.append((action, bring(lane, limits, kinds)))
        case .readAhead(let lane, let limits):
            let isAlone = !underWay.contains { if case .readAhead(lane, _) = $0.action { true } else { false } }
            guard isAlone else { throw Violation(description: "read ahead twice") }
            underWay.append((action, bring(lane, limits, [])))
        case .deliver(let lane, let count, _):
            let batches = Array(machine[lane].bench.prefix(count)).map { Int($0.position.rawValue) }
            guard count > 0, batches.count == count else { throw Violation(description: "\(count) of \(batches)") }
            try check(batches, lane)
            underWay.append((action, batches))
        case .void(let lane, _), .cut(let lane, _):
            guard let head = machine[lane].bench.first else { throw Violation(description: "no batch for \(action)") }
            try check([Int(head.position.rawValue)], lane)
            underWay.append((action, [Int(head.position.rawValue)]))
        case .wait, .abandon, .finish: return action
        }
        return nil
    }

    private mutating func bring(_ lane: Spool.Lane, _ limits: Spool.Limits, _ excluded: Set<BatchKind>) -> [Int] {
        var found: [Int] = []
        var records = 0
        let claimed = Set((machine.fresh.claimed + machine.backlog.claimed).map(\.rawValue))
        for batch in waiting(lane)
        where !excluded.contains(stored[batch].kind) && !claimed.contains(Int64(batch))
            && (machine[lane].walking == nil || Int64(batch) > machine[lane].readsAfter.rawValue)
        {
            if let first = found.first, stored[first].kind != stored[batch].kind { continue }
            records += stored[batch].records.count
            if !found.isEmpty, records > limits.records || found.count >= limits.batches { break }
            found.append(batch)
        }
        return found
    }

    private func check(_ batches: [Int], _ lane: Spool.Lane) throws {
        for batch in batches where stored[batch].state != .waiting {
            throw Violation(description: "batch \(batch) is sent, and it does not wait")
        }
        let others = underWay.filter { !$0.action.isRead }.flatMap(\.batches)
        if let twice = batches.first(where: others.contains) {
            throw Violation(description: "batch \(twice) is under way twice")
        }
    }

    /// Lets one call under way end.
    mutating func end(_ index: Int, _ fate: Fate) throws {
        let (action, batches) = underWay.remove(at: index)
        var fate = fate
        switch action {
        case .deliver, .void, .reconcile:
            if mustReconnect { fate = .unsent }
            mustReconnect = false
        case .read, .readAhead, .cut, .moveBoundary, .wait, .abandon, .finish: break
        }
        switch action {
        case .read(let lane, _, _):
            happened(.read(lane, slots(batches)))
        case .readAhead(let lane, _):
            // Sometimes the file cannot be read.
            let isReadable = Int.random(in: 0..<8, using: &random) > 0
            happened(.readAhead(lane, isReadable ? slots(batches) : []))
        case .reconcile(let position, _, _):
            if fate != .truth { return happened(.reconcileFailed(Self.fault(fate == .tooBig ? .unsent : fate))) }
            let page = stored.indices.filter { Int64($0) >= position.rawValue }.prefix(Self.page)
            let lost = page.filter { stored[$0].state == .acknowledged && ledger[$0] != .applied }
            for batch in lost { stored[batch].state = .waiting }
            let end = page.last.map { SpoolPosition(rawValue: Int64($0) + 1) }
            happened(.reconciled(through: end, resurrected: lost.count, asked: true))
        case .deliver(let lane, _, _):
            if fate == .tooBig, batches.reduce(0, { $0 + stored[$1].records.count }) == 1 { fate = .transient }
            guard fate == .truth else {
                try touch(batches, fate)
                return happened(.failed(lane, Self.fault(fate)))
            }
            switch execute(batches) {
            case .failure(let fault): happened(.failed(lane, fault))
            case .success(let landings):
                for (batch, landing) in zip(batches, landings) where landing.isInDatabase { try acknowledge(batch) }
                happened(.answered(lane, landings))
            }
        case .void(let lane, _): try void(batches[0], lane, fate)
        case .cut(let lane, let cut):
            try self.cut(batches[0], cut)
            happened(.cut(lane))
        case .moveBoundary, .wait, .abandon, .finish: break
        }
    }

    private func slots(_ batches: [Int]) -> [WriterLane.Slot] {
        batches.map {
            WriterLane.Slot(
                position: SpoolPosition(rawValue: Int64($0)), records: stored[$0].records.count,
                kind: stored[$0].kind)
        }
    }

    private mutating func acknowledge(_ batch: Int) throws {
        guard ledger[batch] == .applied else {
            throw Violation(description: "batch \(batch) is confirmed and not there")
        }
        stored[batch].state = .acknowledged
    }

    private mutating func void(_ batch: Int, _ lane: Spool.Lane, _ fate: Fate) throws {
        let takesEffect = fate == .truth || fate == .doubtApplied
        if takesEffect, ledger[batch] == nil { ledger[batch] = .voided }
        guard fate == .truth else { return happened(.failed(lane, Self.fault(fate))) }
        if ledger[batch] == .voided {
            stored[batch].voidedIn = failures
            happened(.answered(lane, [.voided]))
        } else {
            try acknowledge(batch)
            happened(.answered(lane, [.known]))
        }
    }

    private mutating func cut(_ batch: Int, _ cut: WriterLane.Cut) throws {
        // After a failure of its memory the database has closed all connections, and with them every late delivery.
        guard ledger[batch] == .voided || (stored[batch].voidedIn ?? .max) < failures else {
            throw Violation(description: "batch \(batch) is cut though an attempt may still land it")
        }
        let records = stored[batch].records
        stored[batch].state = .recut
        func child(_ part: some Sequence<Record>, dead: Bool = false) -> Stored {
            Stored(records: Array(part), kind: dead ? .letters : stored[batch].kind)
        }
        if stored[batch].kind == .unregistered, case .apart = cut, strangers(in: batch).count == records.count {
            throw Violation(description: "batch \(batch) is set apart once more")
        }
        var children: [Stored] = []
        switch cut {
        case .halves:
            children = [child(records.prefix(records.count / 2)), child(records.dropFirst(records.count / 2))]
        case .again: children = [child(records)]
        case .apart:
            children = [
                Stored(records: records.filter { !$0.isStranger }, kind: .readings),
                Stored(records: records.filter(\.isStranger), kind: .unregistered),
            ]
        case .deadLetter:
            guard records.count == 1 else { throw Violation(description: "\(records.count) records in a dead letter") }
            children = [child(records, dead: true)]
        case .around(let row):
            children = [
                child(records.prefix(row)), child([records[row]], dead: true), child(records.dropFirst(row + 1)),
            ]
        }
        for letter in children where letter.isDeadLetter {
            if let innocent = letter.records.first(where: { !$0.isPoison }) {
                throw Violation(description: "record \(innocent.id) is a dead letter and not poison")
            }
        }
        stored += children.filter { !$0.records.isEmpty }
    }

    private mutating func happened(_ event: WriterStateMachine.Event) {
        let ahead = [machine.fresh.ahead, machine.backlog.ahead]
        machine.happened(event, now: now, chance: Double.random(in: 0..<1, using: &random))
        for (lane, before) in zip([machine.fresh, machine.backlog], ahead) {
            if case .ready(let slots) = before, !slots.isEmpty, lane.bench == slots { followed += 1 }
        }
    }

    // MARK: The law

    /// accepted = confirmed + waiting, each record in one place.
    func checkLaw() throws {
        let places = stored.filter { $0.state != .recut }.reduce(0) { $0 + $1.records.count }
        guard places == accepted else { throw Violation(description: "\(accepted) accepted, \(places) kept") }
        if let twice = rows.first(where: { $0.value > 1 }) ?? letters.first(where: { $0.value > 1 }) {
            throw Violation(description: "record \(twice.key) is in the database \(twice.value) times")
        }
    }

    /// One table stays broken, all else is well: batches of other kinds must land all the same.
    mutating func landOthers() throws {
        if let broken {
            accept([false], broken == .readings ? .gaps : .readings)
            try goOn { $0.stored.contains { $0.state == .waiting && $0.kind != broken && $0.kind != .unregistered } }
        }
        // Only what is of strangers waits for them.
        broken = nil
        try goOn { $0.stored.contains { $0.state == .waiting && $0.kind != .unregistered } }
        if !hasRegistered, stored.contains(where: { $0.state == .waiting && !$0.records.allSatisfy(\.isStranger) }) {
            throw Violation(description: "records wait for strangers that they have nothing to do with")
        }
    }

    /// Everything is well from now on; it must end, with each record in the database once.
    mutating func heal() throws {
        mostAtOnce = .max
        try landOthers()
        hasRegistered = true
        accept([false])
        try goOn { model in
            model.stored.contains { $0.state == .waiting } || !model.underWay.isEmpty || !model.machine.isReconciled
        }
        while !late.isEmpty { try runLate() }
        try checkLaw()
        for batch in stored where batch.state != .recut {
            for record in batch.records {
                let (row, letter) = (rows[record.id] ?? 0, letters[record.id] ?? 0)
                guard row + letter == 1, (letter == 1) == record.isPoison else {
                    throw Violation(
                        description: "record \(record.id), poison \(record.isPoison): \(row) rows, \(letter) letters")
                }
            }
        }
    }

    private mutating func goOn(while isUnfinished: (WriterModel) -> Bool) throws {
        var steps = 0
        while isUnfinished(self) {
            steps += 1
            guard steps < 20_000 else { throw Violation(description: "it does not end") }
            if !underWay.isEmpty, Bool.random(using: &random) {
                try end(Int.random(in: underWay.indices, using: &random), .truth)
            } else if let idle = try ask() {
                guard case .wait(let until) = idle else { throw Violation(description: "finished by itself") }
                if underWay.isEmpty {
                    guard let until, until > now else { throw Violation(description: "waits for ever at \(now)") }
                    now = until
                }
            }
            try checkLaw()
        }
    }
}

extension WriterStateMachine.Action {
    fileprivate var isRead: Bool {
        switch self {
        case .read, .readAhead: true
        default: false
        }
    }
}

extension BatchKind {
    static let readings = BatchKind(machine: 1, format: BatchCoding.Format.history.rawValue)
    static let gaps = BatchKind(machine: 1, format: BatchCoding.Format.gaps.rawValue)
    static let unregistered = BatchKind(machine: 1, format: BatchCoding.Format.unregistered.rawValue)
    static let letters = BatchKind(machine: 1, format: BatchCoding.Format.deadLetters.rawValue)
}

extension WriterStateMachine.Waiting {
    /// Readings alone.
    init(fresh: Int, backlog: Int = 0) {
        self.init(
            fresh: fresh > 0 ? [.readings: fresh] : [:], backlog: backlog > 0 ? [.readings: backlog] : [:])
    }

    init(backlog: Int) { self.init(fresh: 0, backlog: backlog) }
}
