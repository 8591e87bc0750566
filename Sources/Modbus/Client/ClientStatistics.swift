/// What a ``ModbusClient`` has done since it was made. All numbers only grow, except ``pending`` and
/// ``window``.
///
/// `submitted = succeeded + failed + pending` holds at every moment.
public struct ClientStatistics: Hashable, Sendable {
    /// Calls accepted for execution; a plan counts each of its requests.
    public internal(set) var submitted = 0
    /// Requests that ended with an answer that was not an exception.
    public internal(set) var succeeded = 0
    /// Requests that ended with an error, exceptions included.
    public internal(set) var failed = 0
    /// Requests that have not ended yet.
    public var pending: Int { submitted - succeeded - failed }

    /// How many requests may be unanswered at this moment.
    public internal(set) var window = 1
    /// Frames sent, retries included.
    public internal(set) var requests = 0
    /// Frames received that answered a request in flight, exceptions included, late ones not.
    public internal(set) var replies = 0
    /// Exception responses received, busy ones included.
    public internal(set) var exceptions = 0
    /// Reads queued again because their connection was lost.
    public internal(set) var retries = 0
    /// Requests that had no answer when a later one of the same unit was answered.
    public internal(set) var gaps = 0
    /// Reads made again because the device must have lost them among several.
    public internal(set) var remade = 0
    /// Reads answered by a frame that was sent for another call as well.
    public internal(set) var coalesced = 0
    /// Requests queued again after the device said it was busy.
    public internal(set) var busyRetries = 0
    /// Requests whose deadline passed.
    public internal(set) var timeouts = 0
    /// Requests whose caller was cancelled.
    public internal(set) var cancellations = 0
    /// Writes that ended with ``ModbusError/Code/unknownOutcome(_:)``.
    public internal(set) var unknownOutcomes = 0
    /// Calls refused because the queue was full.
    public internal(set) var queueFull = 0

    /// Answers that came after their request had ended. Dropped, unless the request is a read that was made again and
    /// whose caller still waits.
    public internal(set) var lateReplies = 0
    /// Frames whose transaction nobody waited for; dropped.
    public internal(set) var strayReplies = 0
    /// Answers whose unit, function or shape did not fit their request.
    public internal(set) var malformedReplies = 0
    /// Connections given up because their byte stream could no longer be trusted.
    public internal(set) var poisonedStreams = 0
    /// Connections given up because the peer stopped answering.
    public internal(set) var progressTimeouts = 0

    /// Connections made.
    public internal(set) var connects = 0
    /// Connections made after an earlier one had ended.
    public internal(set) var reconnects = 0
    /// Connection attempts that failed.
    public internal(set) var connectFailures = 0
    /// Connections that ended, for whatever reason.
    public internal(set) var connectionLosses = 0

    /// All zero.
    public init() {}
}
