/// Decides when a log file is put away and which of those that were are kept. It knows neither a clock nor a disk, so
/// that years pass in a test at once.
public struct LogRotation: Hashable, Sendable {
    public struct Policy: Hashable, Sendable {
        /// A line that would make the file longer begins a new one. Defaults to 100 MB.
        public var maximumBytes: Int64 = 100_000_000
        /// Whether the first line of a day (UTC) begins a new file. Defaults to true.
        public var isDaily = true
        /// How many that were put away are kept; older ones are deleted. Defaults to 14.
        public var keptFiles = 14
        /// What these may take on the disk together, in bytes; of more the oldest are deleted. Defaults to 1 GB.
        public var keptBytes: Int64 = 1_000_000_000

        public init() {}

        /// - Throws: everything that is wrong with it.
        public func validate() throws(ConfigurationProblems) {
            var problems: [String] = []
            if maximumBytes < 1 { problems.append("maximumBytes is \(maximumBytes), at least 1 is needed") }
            if keptFiles < 0 { problems.append("keptFiles is \(keptFiles), at least 0 is needed") }
            if keptBytes < 0 { problems.append("keptBytes is \(keptBytes), at least 0 is needed") }
            if keptFiles > 0, keptBytes >= 0, keptBytes / 2 < maximumBytes {
                problems.append(
                    "keptBytes is \(keptBytes), at least twice maximumBytes (\(maximumBytes)) is needed: otherwise a file "
                        + "that was put away is too much by itself")
            }
            if let problems = ConfigurationProblems(problems) { throw problems }
        }
    }

    /// What has to be done before a line is written.
    public enum Action: Hashable, Sendable {
        case append
        /// The file gets this name, and the line begins a new one.
        case putAway(LogArchive)
    }

    public let policy: Policy
    private let log: String
    private var bytes: Int64
    /// Midnight before its first line; `nil` while there is none.
    private var day: Timestamp?
    private var number: Int

    /// - Parameters:
    ///   - log: the file's name.
    ///   - bytes: what is in it already.
    ///   - lastWritten: when that was written; `nil` when nothing was.
    ///   - archives: what was put away before.
    public init(
        _ policy: Policy, log: String, bytes: Int64 = 0, lastWritten: Timestamp? = nil, archives: [LogArchive] = []
    ) {
        (self.policy, self.log, self.bytes) = (policy, log, bytes)
        day = bytes > 0 ? lastWritten?.startOfDay : nil
        number = archives.map(\.number).max() ?? 0
    }

    /// - Parameter length: of the line, in bytes, with its end.
    public mutating func next(lineOf length: Int, now: Timestamp) -> Action {
        guard bytes > 0, isFull(length) || isOver(now) else { return .append }
        return .putAway(
            LogArchive(
                log: log, date: String((day ?? now).description.prefix(10)), number: number + 1, bytes: bytes))
    }

    private func isFull(_ length: Int) -> Bool { bytes + Int64(length) > policy.maximumBytes }

    private func isOver(_ now: Timestamp) -> Bool {
        guard policy.isDaily, let day else { return false }
        // A clock that is corrected about midnight makes no files; one that was a day ahead does.
        return now.startOfDay > day || now.startOfDay < day.advanced(by: .seconds(-86_400))
    }

    /// The file was put away, and the next line is the first of a new one.
    public mutating func wasPutAway() { (bytes, day, number) = (0, nil, number + 1) }

    /// The next line goes to the end of a file that somebody else has begun.
    mutating func found(bytes: Int64, lastWritten: Timestamp) { (self.bytes, day) = (bytes, lastWritten.startOfDay) }

    /// A line is in the file.
    public mutating func wasWritten(_ length: Int, now: Timestamp) {
        bytes += Int64(length)
        day = day ?? now.startOfDay
    }

    /// Which archives are too many or too much: the oldest.
    public static func surplus(_ archives: [LogArchive], _ policy: Policy) -> [LogArchive] {
        var (files, bytes) = (Set<Int>(), Int64(0))
        // While one is compressed there are two of its number: one file of the log.
        return archives.sorted { $0.number > $1.number }.filter { archive in
            files.insert(archive.number)
            bytes += archive.bytes
            return files.count > policy.keptFiles || bytes > policy.keptBytes
        }
    }
}
