import Foundation

/// The state of a spool, for people and for other processes.
///
/// The process that owns the spool writes it into a file of its own, replaced whole, at most once a second: the
/// databases are locked exclusively, so nobody else can look into them.
public struct SpoolStatus: Codable, Hashable, Sendable {
    public var origin: String
    public var level: SpoolLevel
    public var waitingBatches: Int
    public var waitingRecords: Int
    public var waitingBytes: Int
    /// When the batch that waits longest was accepted; microseconds since 1970, `nil` when nothing waits.
    public var oldestAcceptedAt: Int64?
    public var segments: Int
    /// Segments that are kept only in case the database forgets what is in them.
    public var retainedSegments: Int
    /// What all files take, in bytes.
    public var usedBytes: Int64
    /// What may still be written, in bytes.
    public var availableBytes: Int64
    /// How long acceptance can go on without a database at the rate of the last minutes; `nil` while nothing comes.
    public var autonomyHours: Double?
    public var losses: [SpoolLoss]
    /// When this was written, microseconds since 1970.
    public var writtenAt: Int64
    public var processIdentifier: Int32
    /// Whether the owner has closed the spool since.
    public var isClosed: Bool

    /// What the owner of the spool in `directory` wrote last.
    ///
    /// - Throws: when there is no such file or it is not one of ours.
    public static func read(directory: String) throws(SpoolError) -> SpoolStatus {
        let path = directory + "/status.json"
        do {
            return try JSONDecoder().decode(SpoolStatus.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
        } catch {
            throw SpoolError(.inputOutput, file: path, "the status cannot be read: \(error)")
        }
    }
}

/// How fast bytes come, averaged over minutes: each second that has passed lets what was counted before count less.
struct SpoolRate: Sendable {
    static let memory = 300.0
    private var bytesPerSecond = 0.0
    private var counted = 0
    private var since: MonotonicInstant
    private var age = 0.0

    init(now: MonotonicInstant) {
        since = now
    }

    mutating func add(_ bytes: Int) { counted += bytes }

    /// Takes in what was counted until now.
    mutating func settle(now: MonotonicInstant) {
        let seconds = (now - since).inSeconds
        guard seconds > 0 else { return }
        age = min(Self.memory, age + seconds)
        let weight = min(1, seconds / age)
        bytesPerSecond += (Double(counted) / seconds - bytesPerSecond) * weight
        (counted, since) = (0, now)
    }

    /// Hours until `bytes` are used up; `nil` while nothing comes. What came long ago never counts quite nothing: less
    /// than a byte within the memory is nothing.
    func hours(for bytes: Int64) -> Double? {
        bytesPerSecond * Self.memory >= 1 ? Double(bytes) / bytesPerSecond / 3600 : nil
    }
}
