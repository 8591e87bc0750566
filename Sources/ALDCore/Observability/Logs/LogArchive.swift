/// A log file that was put away: `ald.log.2026-01-31.000007`, and with `.gz` behind it once it is compressed.
///
/// The number goes up by one with each of them and alone says which is older: civil time may have been set back.
public struct LogArchive: Hashable, Sendable {
    /// Of the file that was put away.
    public var log: String
    /// The day (UTC) of its lines.
    public var date: String
    public var number: Int
    public var isCompressed: Bool
    /// What it takes on the disk.
    public var bytes: Int64

    static let compressed = ".gz"
    /// Behind the name of one that is being compressed: worth nothing after a crash.
    static let unfinished = ".gz.new"
    private static let digits = 6
    /// Nobody puts away so many: a file with such a number is somebody else's.
    private static let mostNumber = 1_000_000_000_000

    init(log: String, date: String, number: Int, isCompressed: Bool = false, bytes: Int64) {
        (self.log, self.date, self.number) = (log, date, number)
        (self.isCompressed, self.bytes) = (isCompressed, bytes)
    }

    /// - Returns: `nil` for a file that is no archive of this log.
    public init?(name: String, of log: String, bytes: Int64) {
        guard name.hasPrefix(log + ".") else { return nil }
        var rest = name.dropFirst(log.count + 1)
        let isCompressed = rest.hasSuffix(Self.compressed)
        if isCompressed { rest = rest.dropLast(Self.compressed.count) }
        let parts = rest.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0].count == 10, parts[0].allSatisfy({ $0.isASCII && ($0.isNumber || $0 == "-") }),
            parts[1].count >= Self.digits, parts[1].allSatisfy({ $0.isASCII && $0.isNumber }),
            let number = Int(parts[1]), number < Self.mostNumber
        else { return nil }
        self.init(log: log, date: String(parts[0]), number: number, isCompressed: isCompressed, bytes: bytes)
    }

    public var name: String {
        let digits = String(number)
        let padded = String(repeating: "0", count: max(0, Self.digits - digits.count)) + digits
        return "\(log).\(date).\(padded)" + (isCompressed ? Self.compressed : "")
    }
}
