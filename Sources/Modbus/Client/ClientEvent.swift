/// One thing a ``ModbusClient`` did or met, for metrics. ``ClientStatistics`` counts most of them; an event also says
/// how long it took and for whom.
public enum ClientEvent: Hashable, Sendable {
    /// Why a request is made again.
    public enum Repetition: Hashable, Sendable {
        /// Its connection was lost before the answer came; reads only.
        case connectionLost
        /// The device must have lost it among several; reads only.
        case skipped
        /// The device said busy (06), so nothing was executed.
        case busy
    }

    /// What came in answer to a request.
    public enum Outcome: Hashable, Sendable {
        /// What was asked for.
        case done
        /// The device said no.
        case exception(ExceptionCode)
        /// An answer whose unit, function or shape does not fit.
        case malformed
    }

    /// An answer to a request in flight.
    public struct Reply: Hashable, Sendable {
        /// The function of the request.
        public var function: FunctionCode
        /// The unit of the request.
        public var unit: UnitID
        /// From the call to the last time its request was sent.
        public var queued: Duration
        /// From there to the answer.
        public var latency: Duration
        /// What the answer says.
        public var outcome: Outcome
        /// How many calls it answers: more than one when identical reads shared a request.
        public var calls: Int
    }

    /// A request was sent, `queued` after its call.
    case sent(FunctionCode, UnitID, queued: Duration)
    /// A request was answered.
    case answered(Reply)
    /// A request ended without data: this is what its caller is told.
    case failed(ModbusError)
    /// A request will be sent again.
    case repeated(FunctionCode, UnitID, Repetition)
    /// An answer came after its request had ended. It is dropped, unless the request is a read that was made again and
    /// whose caller still waits.
    case late(after: Duration)
    /// An answer came that belongs to no request; dropped.
    case stray
    /// The connection changed.
    case connection(ConnectionState)
    /// So many requests may be unanswered from now on.
    case window(Int)
}
