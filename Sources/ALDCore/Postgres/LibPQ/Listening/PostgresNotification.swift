/// A message that a session sent with `NOTIFY`.
public struct PostgresNotification: Hashable, Sendable {
    public let channel: String
    /// At most 7999 bytes; empty if there was none.
    public let payload: String
    /// The server process of the sender, as in `pg_stat_activity.pid`.
    public let processID: Int32
    /// How many notifications were dropped since the listening began because nobody took them. When it grows, look at
    /// the tables: a notification is a doorbell, not a record.
    public internal(set) var dropped = 0

    public init(channel: String, payload: String, processID: Int32) {
        self.channel = channel
        self.payload = payload
        self.processID = processID
    }
}
