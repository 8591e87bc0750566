/// Everything that can go wrong between a request and its answer.
///
/// Switch over ``code-swift.property`` to decide, log ``description``. Two kinds must never be mixed: ``isAnswer``
/// is true when the device answered and said no (the connection is fine), false when no usable answer came.
public struct ModbusError: Error, Hashable, Sendable {
    /// What happened.
    public enum Code: Hashable, Sendable {
        /// The device answered with an exception. The connection is healthy.
        case exception(ExceptionCode, FunctionCode)
        /// The deadline passed. Nothing was changed in the device: writes that were sent end as
        /// ``unknownOutcome(_:)`` instead.
        case timedOut(Stage)
        /// No connection could be made before the deadline; nothing was sent. Carries the last failure.
        case connectionFailed(Obstacle, reason: String)
        /// The connection ended before the answer came.
        case connectionClosed(mayHaveExecuted: Bool)
        /// A write was sent and its answer never came. It may have been executed, so it was not repeated: read back.
        /// When its connection was given up with it, the system sends it no more; but a copy that already lies in the
        /// device's own buffer may still be executed, even after a later write.
        case unknownOutcome(Doubt)
        /// An answer came and its shape is not the request's. Carries what was wrong.
        case malformedResponse(String)
        /// The bounded queue was full; nothing was sent. Carries the limit.
        case queueFull(limit: Int)
        /// The caller's task was cancelled before anything was sent, or while a read was under way.
        case cancelled
        /// The client is closing or closed.
        case shuttingDown
        /// No request has been made yet, so there is no connection yet. Only seen in ``ConnectionState``.
        case notConnected
        /// The request cannot be expressed in one frame, or a plan cannot be made. Carries the reason.
        case invalidRequest(String)
    }

    /// What stood between a client and its connection.
    public enum Obstacle: Hashable, Sendable {
        /// Somebody said no: nobody listens there, no way leads there, no such name, or TLS could not be agreed.
        case refused
        /// Nobody answered the attempt.
        case noAnswer
        /// The peer accepted and the connection ended, perhaps before anything valid came over it.
        case lost
    }

    /// Where a request was when its deadline passed.
    public enum Stage: Hashable, Sendable {
        /// Waiting behind other requests.
        case queue
        /// Waiting for the connection.
        case connect
        /// Sent, waiting for the answer.
        case reply
    }

    /// Why nobody can say whether a write was executed.
    public enum Doubt: Hashable, Sendable {
        /// No answer before the deadline.
        case replyTimedOut
        /// The connection ended between request and answer.
        case connectionLost
        /// The caller's task was cancelled after the write had been sent.
        case cancelled
        /// The client was closed after the write had been sent.
        case shuttingDown
        /// An answer came whose shape does not fit the request. Carries what was wrong.
        case replyMalformed(String)
    }

    public var code: Code
    /// The peer's `host:port`, empty where none is involved.
    public var peer: String
    /// The unit the request was for.
    public var unit: UnitID?
    /// The function of the request.
    public var function: FunctionCode?
    /// The addresses of the request.
    public var range: AddressRange?

    public init(
        _ code: Code, peer: String = "", unit: UnitID? = nil, function: FunctionCode? = nil, range: AddressRange? = nil
    ) {
        self.code = code
        self.peer = peer
        self.unit = unit
        self.function = function
        self.range = range
    }

    /// Whether the device answered: an exception. False when the link, the client or the caller ended the request.
    ///
    /// An answer is not yet a no: of some exceptions nobody knows whether a write was executed before them, see
    /// ``ExceptionCode/leavesWriteInDoubt``.
    public var isAnswer: Bool {
        if case .exception = code { true } else { false }
    }

    /// Whether the same request may be made again without any risk of executing something twice, and with some hope
    /// that it ends better.
    public var isRetriable: Bool {
        switch code {
        case .exception(let exception, _): exception == .serverDeviceBusy
        case .timedOut, .connectionFailed, .connectionClosed, .queueFull, .notConnected: true
        case .unknownOutcome, .malformedResponse, .cancelled, .shuttingDown, .invalidRequest: false
        }
    }
}
