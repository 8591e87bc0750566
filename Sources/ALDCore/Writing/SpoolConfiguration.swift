extension Spool {
    /// Sizes and limits of a spool.
    public struct Configuration: Sendable {
        /// A segment that is larger is closed and the next one begun, in bytes. Defaults to 64 MB.
        public var segmentBytes: Int64 = 64 << 20
        /// A segment that is older is closed. Defaults to 1 h.
        public var segmentAge: Duration = .seconds(3600)
        /// What all files together may take, in bytes. Defaults to 8 GB.
        public var maximumBytes: Int64 = 8 << 30
        /// What must stay free on the disk for others, in bytes. Defaults to 256 MB.
        public var freeSpaceFloor: Int64 = 256 << 20
        /// Space that is held so that a full disk does not stop everything, in bytes. Defaults to 8 MB.
        public var ballastBytes: Int64 = 8 << 20
        /// What the segment in reserve takes before it is used, in bytes for its database and as many for its log.
        /// Defaults to 1 MB.
        public var spareBytes = 1 << 20
        /// How long a segment is kept after all its batches are in the database, in case the database forgets them. The
        /// time while nobody knows whether it still has them does not count. Defaults to 24 h.
        public var retainedWindow: Duration = .seconds(24 * 3600)
        /// What such segments may take together, in bytes; beyond it the oldest are deleted before their time. Defaults to
        /// 2 GB.
        public var retainedBytes: Int64 = 2 << 30
        /// What may wait for the next commit, in bytes; more is refused. Defaults to 16 MB.
        public var queueBytes = 16 << 20
        /// How many callers may wait for the next commit; more are refused. Defaults to 65 536.
        public var queueAppends = 65_536
        /// Appends of one machine and kind that share a commit become one batch up to this many records; 1 keeps each by
        /// itself. Defaults to 1000.
        public var mergedRecords = 1000
        /// Acknowledgements that may wait for a commit of their own. Defaults to 1000.
        public var unsavedAcknowledgements = 1000
        /// Between two writings of the file `status.json`, which is for people. Defaults to 1 s.
        package var statusInterval: Duration = .seconds(1)
        /// Where the spool of a simulated world lies; `nil`, the default, in files.
        package var disk: (any SegmentDisk)?
        /// For our own tests.
        package var failPoints = FailPoints.none

        public init() {}

        func validate() throws(ConfigurationProblems) {
            var problems: [String] = []
            let sizes: [(String, Int64, Int64)] = [
                ("maximumBytes", maximumBytes, 65_536),
                ("freeSpaceFloor", freeSpaceFloor, 0), ("ballastBytes", ballastBytes, 0),
                ("spareBytes", Int64(spareBytes), 0), ("retainedBytes", retainedBytes, 0),
                ("queueBytes", Int64(queueBytes), 1), ("queueAppends", Int64(queueAppends), 1),
                ("mergedRecords", Int64(mergedRecords), 1),
                ("unsavedAcknowledgements", Int64(unsavedAcknowledgements), 1),
            ]
            for (name, value, least) in sizes where value < least {
                problems.append("\(name) is \(value); it must be at least \(least)")
            }
            if segmentBytes <= emptySegmentBytes {
                problems.append(
                    "segmentBytes is \(segmentBytes); it must be above what an empty segment takes, \(emptySegmentBytes) with "
                        + "spareBytes at \(spareBytes)")
            }
            if segmentBytes > maximumBytes {
                problems.append("segmentBytes is \(segmentBytes); it must not be above maximumBytes, \(maximumBytes)")
            }
            if segmentAge <= .zero { problems.append("segmentAge is \(segmentAge); it must be longer than zero") }
            if retainedWindow < .zero {
                problems.append("retainedWindow is \(retainedWindow); it must not be negative")
            }
            if let problems = ConfigurationProblems(problems) { throw problems }
        }

        /// At least what a segment takes before anything is in it: the pages of its tables and of what is held for it, in the
        /// file once and in the log when they are taken and when they are given back. One that may not be larger would be
        /// closed after every commit.
        var emptySegmentBytes: Int64 {
            let (page, frame) = (Int64(SpoolSegment.pageSize), Int64(SpoolSegment.pageSize + 24))
            // More than any disk has is refused all the same.
            let reserved = (min(max(0, Int64(spareBytes)), .max / 8) + page - 1) / page
            return reserved == 0 ? 10 * page : (reserved + 5) * page + (2 * reserved + 10) * frame + 32
        }

        var quota: SpoolQuota { SpoolQuota(maximumBytes: maximumBytes, freeSpaceFloor: freeSpaceFloor) }
        var window: RetainedWindow { RetainedWindow(length: retainedWindow, maximumBytes: retainedBytes) }
    }
}
