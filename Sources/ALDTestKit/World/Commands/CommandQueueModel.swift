import ALDCore
import Foundation

/// What the functions of `ald.parameter_control_commands` do, as a value: the reference against which Terminal 3 runs
/// in a ``World``. The server's clock and the name of the terminal are arguments.
///
/// It does what the SQL does also where that is a plain no, as for a lease that has ended; ``violations`` are what no
/// terminal may ask for and what the table itself must never reach.
struct CommandQueueModel: Sendable {
    enum Status: String, Sendable {
        /// Can transition to: executing, failed, expired. (`claimed` is within one transaction of the taking.)
        case pending
        /// Can transition to: succeeded, failed, unknown.
        case executing
        case succeeded, failed, unknown, expired

        var isOpen: Bool { self == .pending || self == .executing }
    }

    struct Command: Hashable, Sendable {
        var id: Int64
        var trace: UUID
        var target: SetPoint
        var askedAt: MonotonicInstant
        /// By the server's clock: not begun by then, it never is.
        var notAfter: MonotonicInstant
        var status = Status.pending
        var worker: String?
        var leaseUntil: MonotonicInstant?
        var isAdopted = false
        var error: String?
    }

    /// That a command was begun: from then on it may be written, once.
    struct Beginning: Hashable, Sendable {
        var command: Int64
        var at: MonotonicInstant
        /// Between which two restores.
        var epoch: Int
    }

    /// All commands, also those that have ended.
    private(set) var commands: [Int64: Command] = [:]
    /// A time for which a command was a terminal's that may write it.
    struct Lease: Hashable, Sendable {
        var command: Int64
        var from: MonotonicInstant
        var until: MonotonicInstant
    }

    /// Never forgotten by a restore, since the machine does not forget either.
    private(set) var beginnings: [Beginning] = []
    /// Never forgotten by a restore: the terminal that was given it cannot know.
    private(set) var leases: [Lease] = []
    /// Everything that was ever asked for; a number is never given twice.
    private(set) var asked: [Int64: Command] = [:]
    private(set) var violations: [String] = []
    /// What a restore has taken back before it was there.
    private(set) var forgotten: Set<Int64> = []
    /// How often a restore has taken something back.
    private(set) var epoch = 0
    /// How often a command was given again whose taking was not answered, and how often one that was left.
    private(set) var (givenAgain, adopted) = (0, 0)

    private var open: Set<Int64> = []
    private var changes: [(at: MonotonicInstant, id: Int64, before: Command?)] = []
    /// Which commands each terminal was given.
    private var given: [String: Set<Int64>] = [:]
    private let lease: Duration
    private let keepsOrder: Bool

    /// - Parameters:
    ///   - lease: how long a command is a terminal's without another word.
    ///   - keepsOrder: with false a bug: the newest command of a parameter comes first.
    init(lease: Duration, keepsOrder: Bool = true) {
        (self.lease, self.keepsOrder) = (lease, keepsOrder)
    }

    var openCommands: Int { open.count }
    private var oldestFirst: [Command] { open.sorted().compactMap { commands[$0] } }

    // MARK: What operators do

    mutating func ask(
        _ target: SetPoint, trace: UUID, notAfter: MonotonicInstant, now: MonotonicInstant
    ) -> Int64 {
        let id = Int64(asked.count + 1)
        let command = Command(id: id, trace: trace, target: target, askedAt: now, notAfter: notAfter)
        asked[id] = command
        set(command, now: now)
        return id
    }

    // MARK: What a terminal does

    mutating func take(
        _ worker: String, limit: Int, known: Set<Int64>, now: MonotonicInstant
    ) -> [Command] {
        for id in open {
            guard var command = commands[id], command.status == .pending, command.notAfter <= now else { continue }
            (command.status, command.error) = (.expired, "not begun in time")
            set(command, now: now)
        }
        // What is too late to begin may have been written in time: this question may be carried out late.
        let again = oldestFirst.filter {
            $0.status == .executing && $0.worker == worker && !$0.isAdopted && !known.contains($0.id)
                && $0.notAfter > now
        }.prefix(limit)
        var taken: [Command] = []
        for var command in again {
            prolong(&command, now: now)
            taken.append(command)
            givenAgain += 1
            set(command, now: now)
        }
        // Of each parameter the oldest that is open, and only when that one has not been begun.
        var parameters: Set<ParameterID> = []
        for var command in keepsOrder ? oldestFirst : oldestFirst.reversed() where taken.count < limit {
            guard parameters.insert(command.target.parameter).inserted, command.status == .pending else { continue }
            (command.status, command.worker) = (.executing, worker)
            prolong(&command, now: now)
            set(command, now: now)
            beginnings.append(Beginning(command: command.id, at: now, epoch: epoch))
            given[worker, default: []].insert(command.id)
            taken.append(command)
        }
        return taken
    }

    mutating func adopt(_ worker: String, now: MonotonicInstant) -> [Command] {
        let left = oldestFirst.filter {
            $0.status == .executing && ($0.leaseUntil ?? now) <= now
        }
        return left.map { left in
            var command = left
            (command.worker, command.isAdopted, command.leaseUntil) = (worker, true, now + lease)
            set(command, now: now)
            given[worker, default: []].insert(command.id)
            adopted += 1
            return command
        }
    }

    /// - Returns: those whose lease had ended.
    mutating func renew(_ ids: [Int64], _ worker: String, now: MonotonicInstant) -> Set<Int64> {
        var ended: Set<Int64> = []
        for id in ids {
            expectGiven(id, to: worker, for: "renewed")
            guard var command = commands[id], command.worker == worker, (command.leaseUntil ?? now) > now else {
                ended.insert(id)
                continue
            }
            prolong(&command, now: now)
            set(command, now: now)
        }
        return ended
    }

    private mutating func prolong(_ command: inout Command, now: MonotonicInstant) {
        command.leaseUntil = now + lease
        if !command.isAdopted { leases.append(Lease(command: command.id, from: now, until: now + lease)) }
    }

    func begun(_ worker: String) -> [Int64] {
        oldestFirst.filter { $0.status == .executing && $0.worker == worker && !$0.isAdopted }.map(\.id)
    }

    /// - Returns: those whose records say so now.
    mutating func finish(
        _ finished: [CommandDesk.Finished], _ worker: String, now: MonotonicInstant
    ) -> Set<Int64> {
        var noted: Set<Int64> = []
        for end in finished {
            expectGiven(end.id, to: worker, for: "ended")
            let (words, status) = (end.ending.words, Status(end.ending))
            if (words.error == nil) != (status == .succeeded) || words.error == "" {
                violations.append(
                    "command \(end.id) would end as \(status.rawValue) with error \(words.error ?? "none")")
            }
            if end.writtenAt == nil, end.verifiedAt != nil {
                violations.append("command \(end.id) was read back and never written")
            }
            guard var command = commands[end.id], command.worker == worker else { continue }
            if command.status == .executing {
                (command.status, command.error, command.leaseUntil) = (status, words.error, nil)
                set(command, now: now)
            }
            if command.status == status { noted.insert(end.id) }
        }
        return noted
    }

    private mutating func expectGiven(_ id: Int64, to worker: String, for what: String) {
        if given[worker]?.contains(id) == true { return }
        violations.append("command \(id) was \(what) by \(worker), which never got it")
    }

    // MARK: What restores do

    /// Takes back everything since `instant`.
    ///
    /// - Returns: how many changes were forgotten.
    mutating func restore(to instant: MonotonicInstant) -> Int {
        let kept = changes.prefix { $0.at <= instant }.count
        for change in changes[kept...].reversed() {
            commands[change.id] = change.before
            if change.before == nil { forgotten.insert(change.id) }
            if change.before?.status.isOpen == true { open.insert(change.id) } else { open.remove(change.id) }
        }
        defer { changes.removeSubrange(kept...) }
        if changes.count > kept { epoch += 1 }
        return changes.count - kept
    }

    // MARK: The record

    private mutating func set(_ command: Command, now: MonotonicInstant) {
        let before = commands[command.id]
        let isLegal =
            switch (before?.status, command.status) {
            case (nil, .pending), (.pending, .executing), (.pending, .expired), (.executing, .executing),
                (.executing, .succeeded), (.executing, .failed), (.executing, .unknown):
                true
            default: false
            }
        if !isLegal {
            violations.append(
                "command \(command.id) went from \(before?.status.rawValue ?? "nothing") to \(command.status.rawValue)")
        }
        if before?.status == .pending, command.status == .executing {
            let other = open.first {
                commands[$0]?.status == .executing && commands[$0]?.target.parameter == command.target.parameter
            }
            if let other { violations.append("commands \(other) and \(command.id) of one parameter are in flight") }
        }
        changes.append((now, command.id, before))
        commands[command.id] = command
        if command.status.isOpen { open.insert(command.id) } else { open.remove(command.id) }
    }
}

extension CommandQueueModel.Status {
    init(_ ending: ParameterCommandMachine.Ending) {
        self =
            switch ending {
            case .succeeded: .succeeded
            case .failed: .failed
            case .unknown: .unknown
            }
    }
}
