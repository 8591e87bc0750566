import DequeModule
import HeapModule

/// The callers who wait, by lane in order of arrival. Whoever leaves early is struck off at once and swept out of the
/// lists later, so that ten thousand of them cost no more each than ten.
struct PoolQueue: Sendable {
    typealias Request = PoolStateMachine.Request
    typealias RequestID = PoolStateMachine.RequestID

    private struct Due: Comparable {
        let deadline: MonotonicInstant
        let id: RequestID

        static func < (left: Due, right: Due) -> Bool {
            (left.deadline, left.id.number) < (right.deadline, right.id.number)
        }
    }

    private struct Line {
        var order: Deque<RequestID> = []
        var live = 0
    }

    private var requests: [RequestID: Request] = [:]
    private var lines = PerLane { _ in Line() }
    private var deadlines = Heap<Due>()

    var count: Int { requests.count }
    var isEmpty: Bool { requests.isEmpty }

    func count(_ lane: PoolLane) -> Int { lines[lane].live }

    mutating func append(_ request: Request) {
        insert(request) { $0.endIndex }
    }

    /// Back to the place that its time of arrival gives it.
    mutating func putBack(_ request: Request) {
        insert(request) { order in order.firstIndex { $0.number > request.id.number } ?? order.endIndex }
    }

    private mutating func insert(_ request: Request, at place: (Deque<RequestID>) -> Int) {
        requests[request.id] = request
        lines[request.lane].order.insert(request.id, at: place(lines[request.lane].order))
        lines[request.lane].live += 1
        deadlines.insert(Due(deadline: request.deadline, id: request.id))
    }

    mutating func remove(_ id: RequestID) -> Request? {
        guard let request = requests.removeValue(forKey: id) else { return nil }
        lines[request.lane].live -= 1
        sweep(request.lane)
        return request
    }

    /// The first one of a lane.
    func first(_ lane: PoolLane) -> Request? {
        lines[lane].order.first.flatMap { requests[$0] }
    }

    mutating func removeAll() -> [Request] {
        let all = requests.values.sorted { $0.id.number < $1.id.number }
        self = PoolQueue()
        return all
    }

    /// Those whose deadline has come, the earliest deadline first.
    mutating func removeOverdue(now: MonotonicInstant) -> [Request] {
        var overdue: [Request] = []
        while let due = deadlines.min, due.deadline <= now {
            deadlines.removeMin()
            // One that was put back is listed twice; the second time it is gone.
            if let request = remove(due.id) { overdue.append(request) }
        }
        return overdue
    }

    /// Those for whom `condition` holds, in order of arrival. Looks at everybody.
    mutating func removeAll(where condition: (Request) -> Bool) -> [Request] {
        let chosen = requests.values.filter(condition).sorted { $0.id.number < $1.id.number }
        for request in chosen { _ = remove(request.id) }
        return chosen
    }

    /// The next deadline, or an earlier one that does not matter any more.
    var earliestDeadline: MonotonicInstant? { requests.isEmpty ? nil : deadlines.min?.deadline }

    /// The first of every line is always alive, and the dead are never in the majority.
    private mutating func sweep(_ lane: PoolLane) {
        while let first = lines[lane].order.first, requests[first] == nil { lines[lane].order.removeFirst() }
        if lines[lane].order.count > 2 * lines[lane].live + Self.tolerated {
            lines[lane].order.removeAll { requests[$0] == nil }
        }
        if requests.isEmpty {
            deadlines = Heap()
        } else if deadlines.count > 2 * requests.count + Self.tolerated {
            deadlines = Heap(requests.values.map { Due(deadline: $0.deadline, id: $0.id) })
        }
    }

    private static let tolerated = 16
}
