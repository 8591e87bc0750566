/// What a look at one machine's records has shown: where each of them is, what does not add up, and what nobody can
/// tell any more.
public struct Verification: Hashable, Sendable {
    public enum Verdict: String, Sendable {
        /// Nothing is missing and nothing is doubled.
        case sound
        case unsound
        /// Nothing was found wrong, and not everything could be looked at.
        case unproven
    }

    /// A place where the records are not as they should be.
    public struct Finding: Hashable, Sendable {
        public enum Kind: String, Sendable, CaseIterable {
            /// The ledger says that there are more readings than there are.
            case missing
            /// There are more readings than the ledger says.
            case surplus
            /// A parameter has more than one reading of an instant.
            case repeated
            /// Readings are not there with the values that the recorder remembers.
            case changed
            /// There are readings that no batch of the ledger covers.
            case unannounced
            /// Gaps, process events and dead letters are not as many as the ledger says.
            case uncounted
            /// A dead letter was sent again, and the ledger does not know its record.
            case unclaimed
            /// The database has confirmed a batch and does not know it any more.
            case forgotten
            /// The ledger has other contents under a batch's name.
            case collision
            /// Accepted batches cannot be read any more on the recorder's disk and have not landed.
            case lost
        }

        public var kind: Kind
        public var from: Timestamp?
        public var to: Timestamp?
        /// Rows that there should be, and that there are.
        public var expected: Int
        public var found: Int
        public var detail: String

        init(
            _ kind: Kind, from: Timestamp? = nil, to: Timestamp? = nil, expected: Int, found: Int, _ detail: String
        ) {
            self.kind = kind
            self.from = from
            self.to = to
            self.expected = expected
            self.found = found
            self.detail = detail
        }
    }

    /// The readings of one stretch of time.
    public struct Stretch: Hashable, Sendable {
        public var from: Timestamp
        public var to: Timestamp
        /// Readings by the ledger, and by counting them.
        public var announced = 0
        public var found = 0
        /// Readings whose batches the ledger keeps no more.
        public var unknown = 0
        public var findings: [Finding] = []
    }

    public var machine: Int32
    public var from: Timestamp
    public var to: Timestamp
    /// Readings by the ledger, and by counting them.
    public var announced = 0
    public var found = 0
    public var unknown = 0
    /// Gap records that begin within the range.
    public var gaps = 0
    /// Process events of the range.
    public var events = 0
    /// Dead letters whose records are of the range, by what became of them.
    public var openLetters = 0
    public var requeuedLetters = 0
    public var discardedLetters = 0
    /// Records that wait on the recorder's disk; `nil` when nobody has looked.
    public var spooled: Int?
    /// Confirmed records that the recorder still remembers and the ledger knows, too; `nil` when nobody has looked.
    public var remembered: Int?
    /// Readings whose values were compared with those that the recorder remembers; `nil` when nobody has looked.
    public var compared: Int?
    /// Earlier readings of the range were dropped and cannot be counted.
    public internal(set) var countedFrom: Timestamp
    /// The first of each kind; ``findingCounts`` has how many there are.
    public var findings: [Finding] = []
    public var findingCounts: [Finding.Kind: Int] = [:]
    /// What could not be proved, and why.
    public var doubts: [String] = []

    init(machine: Int32, from: Timestamp, to: Timestamp) {
        self.machine = machine
        self.from = from
        self.to = to
        countedFrom = from
    }

    /// Readings, gap records and process events that are where they belong.
    public var landed: Int { announced + gaps + events }

    /// Everything that was ever accepted of the range, as far as database and spool can tell: it is in one of these
    /// places and no other.
    public var accepted: Int { landed + openLetters + discardedLetters + (spooled ?? 0) }

    public var verdict: Verdict {
        if !findingCounts.isEmpty { return .unsound }
        return doubts.isEmpty ? .sound : .unproven
    }

    mutating func add(_ finding: Finding, count: Int = 1) {
        findingCounts[finding.kind, default: 0] += count
        findings.append(finding)
    }

    mutating func add(_ stretch: Stretch, counts: [Finding.Kind: Int]) {
        announced += stretch.announced
        found += stretch.found
        unknown += stretch.unknown
        findings += stretch.findings
        findingCounts.merge(counts, uniquingKeysWith: +)
    }
}
