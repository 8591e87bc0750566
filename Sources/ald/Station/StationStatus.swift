import ALDCore
import Modbus

/// Everything the displays and the summary show, taken at one moment.
struct StationStatus: Sendable {
    var machine: String
    var parameters: Int
    var period: Duration
    /// Since recording began.
    var running: Duration
    var collection: CollectionStatistics
    var writer: BatchWriter.Statistics
    var plc: PLCStatus
    var database: DatabaseStatus
    /// Rows of this run that the database itself counted at the end; `nil` while running, and when it did not answer.
    var rowsCounted: Int?
    /// Records found on disk when the spool was counted at the end; `nil` while running.
    var spoolRecounted: Int?
    /// What the terminals of this process do.
    var terminals: [TerminalLine] = []

    /// Nothing accepted is lost or doubled: the law of the whole product, checked at the end of every run.
    var isBalanced: Bool {
        writer.accepted + writer.carriedOver + writer.resurrected
            == writer.landed + writer.deadLettered + writer.lost + spooled
    }

    /// Records that have not landed: counted on disk where that was done, otherwise as the writer knows it.
    var spooled: Int { spoolRecounted ?? writer.spooled }
}

/// One terminal, as people see it.
struct TerminalLine: Sendable {
    var terminal: Terminal
    /// What it does.
    var text: String
    /// Why it is not healthy; `nil` when it is.
    var problem: String?
    /// How often it has failed and was started again.
    var restarts: Int

    var words: String {
        text + (problem.map { "; DEGRADED: \($0)" } ?? "")
            + (restarts > 0 ? " (started again \(TextTable.counted(restarts, "time")))" : "")
    }
}

struct PLCStatus: Sendable {
    var place: String
    var isUp: Bool
    /// "up", "connecting", or why it is down.
    var text: String

    init(place: String, state: ConnectionState) {
        self.place = place
        switch state {
        case .up: (isUp, text) = (true, "up")
        case .connecting: (isUp, text) = (false, "connecting")
        case .down(let reason) where reason.code == .notConnected: (isUp, text) = (false, "not connected yet")
        case .down(let reason): (isUp, text) = (false, "down: \(reason)")
        }
    }
}

struct DatabaseStatus: Sendable {
    var place: String
    var fault: String?

    var isUp: Bool { fault == nil }
    var text: String { fault.map { "down: \($0)" } ?? "up" }
}

extension BatchWriter.Statistics {
    /// Two writers of one process are one account.
    mutating func add(_ other: Self) {
        carriedOver += other.carriedOver
        accepted += other.accepted
        resurrected += other.resurrected
        landed += other.landed
        deadLettered += other.deadLettered
        lost += other.lost
        spooled += other.spooled
        failedAttempts += other.failedAttempts
        lastFault = lastFault ?? other.lastFault
        heldBecause = heldBecause ?? other.heldBecause
        if other.breaker != .closed { breaker = other.breaker }
        isReconciled = isReconciled && other.isReconciled
    }
}
