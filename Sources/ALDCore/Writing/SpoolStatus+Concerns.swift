extension SpoolStatus {
    /// Something about a spool that a person should look at.
    public enum Concern: Hashable, Sendable, CustomStringConvertible {
        /// The process that owned the spool has ended without closing it: it crashed or was killed. What it accepted is
        /// still there and waits for the next one.
        case ownerGone(process: Int32)
        /// The owner lives and has written nothing for this long, though it does every second: its disk hangs, or the
        /// number belongs to another process by now.
        case stale(for: Duration)
        /// The spool is about to refuse records, or does.
        case filling(SpoolLevel)
        /// Batches that were accepted, or may have been, cannot be read any more.
        case losses(certain: Int, possible: Int)

        public var description: String {
            switch self {
            case .ownerGone(let process):
                "process \(process) is gone and has not closed the spool; start the recorder again, nothing accepted is lost"
            case .stale(let age):
                "the owner has written nothing for \(Int(age.inSeconds)) s; look at its log and at the disk"
            case .filling(let level):
                level == .red
                    ? "the spool is full and refuses records; free space, or bring the database back"
                    : "the spool fills (\(level.rawValue)); look why the database does not take the records"
            case .losses(let certain, let possible):
                "\(certain) losses of accepted batches and \(possible) possible ones were found; see them below, keep the "
                    + "files in the directory \"damaged\" and check the disk"
            }
        }
    }

    /// A living owner writes at least every second; ten leave room for a slow disk.
    public static let staleAfter: Duration = .seconds(10)

    /// What a person should look at, the most urgent first.
    ///
    /// - Parameters:
    ///   - now: by the clock of the machine that the spool is on.
    ///   - isOwnerAlive: whether a process with ``processIdentifier`` runs there.
    public func concerns(now: Timestamp, isOwnerAlive: Bool) -> [Concern] {
        var concerns: [Concern] = []
        if !isClosed {
            let age = Duration.microseconds(now.microseconds) - .microseconds(writtenAt)
            if !isOwnerAlive {
                concerns.append(.ownerGone(process: processIdentifier))
            } else if age > Self.staleAfter {
                concerns.append(.stale(for: age))
            }
        }
        if level > .green { concerns.append(.filling(level)) }
        if !losses.isEmpty {
            let certain = losses.count(where: \.isCertain)
            concerns.append(.losses(certain: certain, possible: losses.count - certain))
        }
        return concerns
    }
}
