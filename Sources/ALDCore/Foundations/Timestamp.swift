/// A moment in civil time (UTC): microseconds since 1970-01-01T00:00:00Z, which is what PostgreSQL's `timestamptz`
/// resolves. Rows are stamped with it; nothing is ever scheduled by it, because civil time can jump.
public struct Timestamp: Hashable, Comparable, Sendable {
    /// Microseconds since the Unix epoch, leap seconds ignored.
    public var microseconds: Int64

    public init(microseconds: Int64) {
        self.microseconds = microseconds
    }

    public static func < (left: Timestamp, right: Timestamp) -> Bool {
        left.microseconds < right.microseconds
    }

    public func advanced(by duration: Duration) -> Timestamp {
        Timestamp(microseconds: microseconds &+ duration.wholeNanoseconds / 1000)
    }
}
