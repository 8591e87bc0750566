/// Something that goes wrong in a device, on one of four levels.
public enum Fault: Hashable, Sendable {
    /// When a connection is made.
    case connect(ConnectFault)
    /// When a request has arrived.
    case request(RequestFault)
    /// When an answer leaves.
    case reply(ReplyFault)
    /// To a connection or to the whole device, when a request has arrived; that request is not executed.
    case connection(ConnectionFault)

    var level: FaultLevel {
        switch self {
        case .connect: .connect
        case .request: .request
        case .reply: .reply
        case .connection: .connection
        }
    }
}

/// Where a ``Fault`` bites.
enum FaultLevel: Hashable, Sendable {
    case connect, request, reply, connection
}

/// What goes wrong when a connection is made. The operating system has completed the handshake by then.
public enum ConnectFault: Hashable, Sendable {
    /// The connection is reset.
    case refuse
    /// The connection is closed.
    case acceptThenClose
    /// The connection stays open and is never answered.
    case hang
}

/// What goes wrong with a request.
public enum RequestFault: Hashable, Sendable {
    /// Neither executed nor answered.
    case drop
    /// It arrives later, and so does what comes behind it on its connection. At most 1 h.
    case delay(Duration)
    /// Not executed, and answered with this code.
    case exception(ExceptionCode)
    /// Executed and not answered: a client that repeats it writes twice.
    case executeThenLose
}

/// What goes wrong with an answer. The request was executed. One that cannot bite (the padding bits of registers, the
/// echo of a read) passes the answer on and is not counted.
public enum ReplyFault: Hashable, Sendable {
    /// The highest bit of the transaction is inverted, so that no request under way is meant.
    case wrongTransaction
    /// Another unit answers.
    case wrongUnit
    /// The answer is to another function.
    case wrongFunction
    /// The header's protocol field is 1.
    case wrongProtocol
    /// The header's length field is off by this; the bytes stay. Nothing when the result would not be 0…65535.
    case lengthOff(by: Int)
    /// The header's length field says this; the bytes stay.
    case length(UInt16)
    /// The byte count of a read's answer is off by this, modulo 256; the bytes stay.
    case byteCountOff(by: Int)
    /// Bits behind the last one asked for are set.
    case paddingBits
    /// A write's echo names another address.
    case wrongEcho
    /// The answer comes twice.
    case duplicate
    /// The connection's answer before this one comes once more, before this one.
    case stale
    /// The answer is held until the connection's next one has left, at most this long.
    case swap(within: Duration)
    /// The answer comes in two pieces: so many bytes, a pause, the rest.
    case split(after: Int, pause: Duration)
    /// The answer comes byte by byte, with this pause between two.
    case trickle(pause: Duration)
    /// So many random bytes, 1…1024, come before the answer.
    case junkBefore(Int)
    /// So many random bytes, 1…1024, come behind the answer.
    case junkAfter(Int)
    /// The connection is closed after so many bytes of the answer; with 0 nothing of it comes.
    case truncate(after: Int)
}

/// What happens to a connection, or to all of them.
public enum ConnectionFault: Hashable, Sendable {
    /// The device closes the connection; what it had to answer is lost.
    case finish
    /// The device resets the connection.
    case reset
    /// The device closes its direction. It goes on to execute what it is asked, and answers nothing.
    case halfClose
    /// Nothing moves on this connection for so long; then it goes on where it was. Zero ends a stall.
    case stall(Duration)
    /// The device executes nothing for so long, for nobody; it accepts connections and requests. Zero ends it.
    case freeze(Duration)
    /// The device restarts: all connections are reset, new ones are refused for so long.
    case reboot(Duration)
}
