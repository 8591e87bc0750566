/// What a batch is called everywhere: in the spool, in the ledger, in logs.
///
/// The origin is drawn anew at every start of the process, so that a spool restored from a backup can never give an
/// old name to new data.
public struct BatchID: Hashable, Comparable, Sendable, CustomStringConvertible {
    public var origin: Int64
    /// Counts from 1 within its origin.
    public var number: Int64

    public init(origin: Int64, number: Int64) {
        self.origin = origin
        self.number = number
    }

    public var description: String { String(UInt64(bitPattern: origin), radix: 16) + "/\(number)" }

    /// By origin, then by number: the order in which the database claims names, so that no two writers wait for each
    /// other.
    public static func < (left: BatchID, right: BatchID) -> Bool {
        (left.origin, left.number) < (right.origin, right.number)
    }
}

/// One row of `parameter_value_history`.
public struct HistoryRow: Hashable, Sendable {
    public var parameter: ParameterID
    public var time: Timestamp
    /// `nil` exactly when the quality is bad.
    public var value: Double?
    public var quality: Quality

    public init(parameter: ParameterID, time: Timestamp, value: Double?, quality: Quality) {
        self.parameter = parameter
        self.time = time
        self.value = value
        self.quality = quality
    }
}

/// One row of `collection_gaps`: consecutive instants at which nothing was recorded, and why.
public struct CollectionGap: Hashable, Sendable {
    public enum Cause: String, Sendable, CaseIterable {
        /// The collector came too late: the machine was busy, asleep, or the last cycle took too long.
        case late
        /// The controller could not be read.
        case plc
        /// The readings could not be stored on this machine's disk.
        case spool
        /// No collector was running: it had been shut down, had crashed, or its machine was off.
        case stopped
    }

    public var firstMissedAt: Timestamp
    public var lastMissedAt: Timestamp
    /// How many instants were missed, at least 1.
    public var instants: Int32
    public var cause: Cause
    /// What happened, for people.
    public var detail: String

    public init(
        firstMissedAt: Timestamp, lastMissedAt: Timestamp, instants: Int32, cause: Cause, detail: String
    ) {
        self.firstMissedAt = firstMissedAt
        self.lastMissedAt = lastMissedAt
        self.instants = instants
        self.cause = cause
        // PostgreSQL cannot store U+0000 in text; a batch with one would be refused for ever.
        self.detail = detail.replacing("\0", with: "\u{2400}")
    }
}

/// Records of one kind that are accepted together and land together.
public enum Records: Hashable, Sendable {
    case history([HistoryRow])
    case gaps([CollectionGap])
    case processEvents([ProcessEvent])
    case deadLetters([DeadLetter])
    /// Readings of parameters that nobody had registered when they were to land. They wait for that by themselves.
    case unregistered([HistoryRow])

    public var count: Int {
        switch self {
        case .history(let rows): rows.count
        case .gaps(let gaps): gaps.count
        case .processEvents(let events): events.count
        case .deadLetters(let letters): letters.count
        case .unregistered(let rows): rows.count
        }
    }

    /// `nil` when they are none.
    var readings: [HistoryRow]? {
        switch self {
        case .history(let rows), .unregistered(let rows): rows
        case .gaps, .processEvents, .deadLetters: nil
        }
    }
}

/// A sealed batch: its members and their digest were made durable together and never change again, so sending it
/// twice is recognised as the same thing.
public struct Batch: Sendable {
    public var id: BatchID
    /// The machine all records belong to.
    public var machine: Int32
    public var records: Records
    /// SHA-256 over machine, kind and the stored bytes.
    public var digest: [UInt8]
    /// The batch that this one was cut from.
    public var parent: BatchID?
}
