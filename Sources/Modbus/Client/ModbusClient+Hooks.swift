extension ModbusClient {
    /// Who is told what a client does. Both are called on the client's event loop, in order: return quickly. What is
    /// nil costs nothing.
    public struct Hooks: Sendable {
        /// Told every event, for metrics.
        public var onEvent: (@Sendable (ClientEvent) -> Void)?
        /// Told every complete frame that is sent or received, for a log. Bytes that are no Modbus frame are not
        /// shown; the connection that brought them ends with a reason.
        public var onFrame: (@Sendable (FrameRecord) -> Void)?

        public init(
            onEvent: (@Sendable (ClientEvent) -> Void)? = nil, onFrame: (@Sendable (FrameRecord) -> Void)? = nil
        ) {
            self.onEvent = onEvent
            self.onFrame = onFrame
        }
    }
}
