import NIOCore

/// One round of reading everything: what came back so far, and what is still to be asked. Begun by
/// ``AdaptiveReader/begin(now:)``.
public struct ReadCycle: Sendable {
    /// A refused request of several values whose reason is being found out.
    struct Inquiry: Hashable, Sendable {
        let block: ReadSpan
        let code: ExceptionCode
        var isSplit = false
        var askedForGap = false
    }

    /// What to run next, by ``ModbusClient/run(_:unit:deadline:)``; empty when the cycle is over.
    public internal(set) var next: ReadPlan
    /// Requests in addition to the plan that this cycle may still make.
    var budget: Int
    /// Whether ``next`` is the plan, and not questions asked after it.
    var isFirst = true
    var hasTried = false
    /// Whether a request ended without an answer; what is unknown stays so until the next cycle.
    var isBroken = false

    var pending: [ReadSpan] = []
    var inquiries: [Inquiry] = []
    var outcomes: [(block: ReadSpan, result: Result<ReadData, ModbusError>)] = []
    /// Addresses read in this cycle.
    var read: [DataTable: AddressSet] = [:]
    /// The longest request answered in this cycle.
    var longest: [DataTable: Int] = [:]

    private let started: NIODeadline
    private let deadline: NIODeadline

    init(plan: ReadPlan, budget: Int, started: NIODeadline, deadline: NIODeadline) {
        next = plan
        self.budget = budget
        self.started = started
        self.deadline = deadline
    }

    /// Whether there is time for questions that bring no values.
    func hasTime(now: NIODeadline) -> Bool {
        now < deadline && deadline - now >= now - started
    }

    mutating func ask(_ block: ReadSpan) {
        guard !pending.contains(block), !hasRead(block) else { return }
        pending.append(block)
    }

    mutating func keep(_ block: ReadSpan, _ result: Result<ReadData, ModbusError>) {
        outcomes.append((block, result))
        guard case .success = result else { return }
        read[block.table, default: AddressSet()].insert(block.range)
        longest[block.table] = max(longest[block.table] ?? 0, block.range.count)
    }

    /// Whether one request of this cycle read all of `block`.
    func hasRead(_ block: ReadSpan) -> Bool {
        outcomes.contains { outcome in
            guard case .success = outcome.result else { return false }
            return outcome.block.table == block.table && outcome.block.range.contains(block.range)
        }
    }

    /// Whether the requests of this cycle together read every address of `block`.
    func hasCovered(_ block: ReadSpan) -> Bool {
        read[block.table]?.contains(block.range) ?? false
    }

    func isPending(within block: ReadSpan) -> Bool {
        pending.contains { $0.table == block.table && block.range.contains($0.range) }
    }
}
