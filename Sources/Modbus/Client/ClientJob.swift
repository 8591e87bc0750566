import NIOCore

/// Names one call for as long as it is pending.
///
/// Ordered by when the calls were made.
struct JobID: Hashable, Comparable, Sendable {
    let rawValue: UInt64

    static func < (one: JobID, other: JobID) -> Bool {
        one.rawValue < other.rawValue
    }
}

/// One call from its submission to its end.
struct ClientJob: Sendable {
    let id: JobID
    let work: ClientWork
    let unit: UnitID
    let submitted: NIODeadline
    let deadline: NIODeadline
    /// The next request to issue for the first time.
    var next = 0
    /// Requests that have not ended.
    private(set) var unfinished: Int
    private var single: Result<ModbusResponse, ModbusError>?
    private var reads: [Result<ReadData, ModbusError>?]
    private var roundTrips: [Duration?]

    init(id: JobID, work: ClientWork, unit: UnitID, submitted: NIODeadline, deadline: NIODeadline) {
        self.id = id
        self.work = work
        self.unit = unit
        self.submitted = submitted
        self.deadline = deadline
        self.unfinished = work.count
        if case .plan(let plan) = work {
            self.reads = Array(repeating: nil, count: plan.count)
        } else {
            self.reads = []
        }
        self.roundTrips = Array(repeating: nil, count: reads.count)
    }

    func isFinished(_ index: Int) -> Bool {
        switch work {
        case .single: single != nil
        case .plan: reads[index] != nil
        }
    }

    /// Records how request `index` ended; a second end is ignored.
    ///
    /// - Returns: whether this was its first end.
    mutating func finish(_ index: Int, _ result: Result<ModbusResponse, ModbusError>) -> Bool {
        guard !isFinished(index) else { return false }
        unfinished -= 1
        switch work {
        case .single:
            single = result
        case .plan:
            reads[index] = result.flatMap { response in
                do throws(ModbusError) { return .success(try response.readData()) } catch { return .failure(error) }
            }
        }
        return true
    }

    /// Keeps how long the answer to request `index` of a plan took.
    mutating func measured(_ index: Int, _ roundTrip: Duration) {
        if roundTrips.indices.contains(index) { roundTrips[index] = roundTrip }
    }

    /// How the call ended; nil while a request has not.
    var outcome: ClientOutcome? {
        guard unfinished == 0 else { return nil }
        switch work {
        case .single: return single.map { .single($0) }
        case .plan: return .plan(reads.compactMap { $0 }, roundTrips: roundTrips)
        }
    }
}

/// The read that a call waits to have sent next.
struct WaitingRead: Sendable {
    let job: JobID
    let unit: UnitID
    var request: ModbusRequest
    var isUrgent = false
}

/// One request on its way to the wire.
struct Attempt: Hashable, Sendable {
    let job: JobID
    let index: Int
    /// Connections that were lost while this request was unanswered on them.
    var losses = 0
    /// How often it was taken for lost on a connection that stood.
    var remakes = 0

    func isSameRequest(as other: Attempt) -> Bool {
        job == other.job && index == other.index
    }
}

/// One request on the wire whose answer somebody waits for.
struct Exchange: Sendable {
    let transaction: UInt16
    let unit: UnitID
    let request: ModbusRequest
    /// The requests it answers: one, or identical reads of several calls.
    var attempts: [Attempt]
    /// When it was sent.
    let sent: NIODeadline
    /// How long the most patient caller was ready to wait then.
    let patience: TimeAmount
    /// Since when another request has been on the wire beside it; nil while none ever was.
    var sharedSince: NIODeadline?
    /// When a later request of the same unit was answered before it.
    var skipped: NIODeadline?

    /// How often the most unlucky of its requests was taken for lost before.
    var remakes: Int { attempts.lazy.map(\.remakes).max() ?? 0 }

    /// Whether another request was on the wire at the same time.
    var sharesWire: Bool { sharedSince != nil }
}
