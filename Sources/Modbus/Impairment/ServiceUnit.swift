import DequeModule
import NIOCore

/// The one place in a device where requests are executed: one at a time, connections in turn, and only when the scan
/// cycle allows. Decides the times; executes nothing.
struct ServiceUnit<Job: Sendable>: Sendable {
    private let scan: DeviceTiming.ScanCycle?
    private let epoch: NIODeadline
    private var queues: [Int: Deque<Job>] = [:]
    /// Connections that have a job waiting, next one first.
    private var turn: Deque<Int> = []
    private(set) var isBusy = false
    private var blockedUntil = NIODeadline.uptimeNanoseconds(0)
    /// The scan whose requests are being executed, how many began, and until when the execution goes on unbroken.
    private var current: (scan: Int64, begun: Int, until: NIODeadline) = (-1, 0, .uptimeNanoseconds(0))
    private(set) var depth = 0

    /// - Parameter epoch: when the first scan begins.
    init(scan: DeviceTiming.ScanCycle?, epoch: NIODeadline) {
        self.scan = scan
        self.epoch = epoch
    }

    /// A job arrived.
    mutating func arrived(_ job: Job, connection: Int) {
        if queues[connection, default: []].isEmpty { turn.append(connection) }
        queues[connection, default: []].append(job)
        depth += 1
    }

    enum Step {
        /// Nothing to do until something arrives or ends.
        case idle
        /// Nothing before this time.
        case wait(until: NIODeadline)
        /// Execute this one, then report ``finished(now:)``.
        case execute(Job, connection: Int)
    }

    /// What to do now.
    mutating func next(now: NIODeadline) -> Step {
        guard !isBusy, !turn.isEmpty else { return .idle }
        guard blockedUntil <= now else { return .wait(until: blockedUntil) }
        if let scan, let later = scanWait(scan, now) { return .wait(until: later) }
        guard let connection = turn.popFirst(), let job = queues[connection]?.popFirst() else { return .idle }
        if queues[connection]?.isEmpty == false { turn.append(connection) } else { queues[connection] = nil }
        depth -= 1
        isBusy = true
        return .execute(job, connection: connection)
    }

    /// The job that ``next(now:)`` gave out is done.
    mutating func finished(now: NIODeadline) {
        isBusy = false
        current.until = now
    }

    /// Nothing is begun before `time`.
    mutating func block(until time: NIODeadline) {
        blockedUntil = time
    }

    /// Forgets what a connection has waiting.
    ///
    /// - Returns: how many jobs that were.
    @discardableResult
    mutating func forget(_ connection: Int) -> Int {
        let count = queues.removeValue(forKey: connection)?.count ?? 0
        if count > 0 { turn.removeAll { $0 == connection } }
        depth -= count
        return count
    }

    /// Forgets the job of a connection that waits longest.
    ///
    /// - Returns: the job, nil when none waits.
    mutating func forgetOldest(_ connection: Int) -> Job? {
        guard let job = queues[connection]?.popFirst() else { return nil }
        depth -= 1
        if queues[connection]?.isEmpty == true {
            queues[connection] = nil
            turn.removeAll { $0 == connection }
        }
        return job
    }

    /// Nil when a job may begin now, which is then counted for its scan; otherwise when the next scan begins.
    private mutating func scanWait(_ cycle: DeviceTiming.ScanCycle, _ now: NIODeadline) -> NIODeadline? {
        let period = TimeAmount(cycle.period).nanoseconds
        let scan = (now - epoch).nanoseconds / period
        let begins = epoch + .nanoseconds(scan * period)
        if begins == now, scan > current.scan {
            current = (scan, 1, now)
            return nil
        }
        if current.begun > 0, current.until == now, current.begun < cycle.requests {
            current.begun += 1
            return nil
        }
        return begins + .nanoseconds(period)
    }
}
