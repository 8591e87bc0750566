import NIOCore

/// The numbers of a ``ModbusClient/Configuration`` in the shape the state machine works with.
struct ClientLimits: Sendable {
    /// Fixed, or nil when it is to be found out.
    var window: Int?
    var windowLimit: Int
    var lenientUnit: Bool
    var lenientPadding: Bool
    var queueLimit: Int
    var lateReplyLimit: Int
    var repeatsRequests: Bool
    var backoff: TimeAmount
    var backoffCap: TimeAmount
    var busyDelay: TimeAmount
    var progressTimeout: TimeAmount
    var drainTimeout: TimeAmount

    init(_ configuration: ModbusClient.Configuration) {
        window = configuration.window
        windowLimit = configuration.windowLimit
        lenientUnit = configuration.lenientUnit
        lenientPadding = configuration.lenientPadding
        queueLimit = configuration.queueLimit
        lateReplyLimit = configuration.lateReplyLimit
        repeatsRequests = configuration.repeatsRequests
        backoff = TimeAmount(configuration.backoff)
        backoffCap = TimeAmount(configuration.backoffCap)
        busyDelay = TimeAmount(configuration.busyDelay)
        progressTimeout = TimeAmount(configuration.progressTimeout)
        drainTimeout = TimeAmount(configuration.drainTimeout)
        if configuration.framing == .rtuOverTCP {
            // Nothing tells a late answer from the next one: one request at a time, and no answer may be owed.
            window = 1
            lateReplyLimit = 0
        }
    }
}
