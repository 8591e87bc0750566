extension Spool {
    /// Which batches are meant.
    public enum Lane: Sendable {
        /// Those that were accepted since the boundary was moved last.
        case fresh
        /// Those before.
        case backlog
    }

    /// How much waits for the database.
    public struct Contents: Hashable, Sendable {
        public var batches = 0
        public var records = 0
        /// Of payload; the files are larger.
        public var bytes = 0

        public init(batches: Int = 0, records: Int = 0, bytes: Int = 0) {
            self.batches = batches
            self.records = records
            self.bytes = bytes
        }

        static func += (left: inout Contents, right: Contents) {
            left.batches += right.batches
            left.records += right.records
            left.bytes += right.bytes
        }

        static func -= (left: inout Contents, right: Contents) {
            left.batches -= right.batches
            left.records -= right.records
            left.bytes -= right.bytes
        }
    }

    /// Where the records have gone since the spool was opened, counted under one lock: ``isBalanced`` holds at every
    /// moment. Numbers are records.
    public struct Account: Hashable, Sendable {
        /// Found when the spool was opened, left by an earlier process.
        public var carriedOver = 0
        public var accepted = 0
        /// Forgotten by the database and waiting again.
        public var resurrected = 0
        /// Confirmed by the database.
        public var acknowledged = 0
        /// By how much cutting batches anew has changed the number of records: those of the new batches less those of
        /// the old ones.
        public var recut = 0
        /// Damaged or deleted on disk while they waited, see ``Spool/losses()``.
        public var lost = 0
        public var waiting = Contents()
        /// The part of ``waiting`` that is in the backlog lane.
        public var backlog = Contents()

        public init() {}

        /// The part of ``waiting`` that is in the fresh lane.
        public var fresh: Contents {
            var fresh = waiting
            fresh -= backlog
            return fresh
        }

        /// Whether every record is in one place.
        public var isBalanced: Bool {
            carriedOver + accepted + resurrected + recut == acknowledged + lost + waiting.records
        }
    }
}
