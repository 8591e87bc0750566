public import NIOCore

/// One frame as it went over a connection: what a frame log is made of, on either side.
public struct FrameRecord: Hashable, Sendable {
    /// Which way a frame went, seen from the side that logs.
    public enum Direction: Hashable, Sendable {
        /// This side received it.
        case received
        /// This side sent it.
        case sent
    }

    /// When it was handed to the connection, or taken from it.
    public var time: NIODeadline
    /// Counts the connections of a client or a server, from 1.
    public var connection: Int
    /// Which way it went.
    public var direction: Direction
    /// The bytes as they were on the wire, header included.
    public var bytes: ByteBuffer

    public init(time: NIODeadline, connection: Int, direction: Direction, bytes: ByteBuffer) {
        self.time = time
        self.connection = connection
        self.direction = direction
        self.bytes = bytes
    }
}
