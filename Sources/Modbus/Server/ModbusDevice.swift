/// What a ``ModbusServer`` serves: the device behind the protocol.
public protocol ModbusDevice: Sendable {
    /// Executes one request and says what to answer.
    ///
    /// The server has already checked everything the protocol fixes: the function is known (01), length, quantity,
    /// byte count and coil value are legal (03), and the addresses end at or before 65535 (02). What is left is the
    /// device's own: which addresses exist (02), which values it takes (03), whether execution works (04, 05, 06),
    /// which units it answers for (0A, 0B).
    ///
    /// Called on an event loop, for one request of a connection after the other and for several connections at the
    /// same time: return quickly, and protect what is shared.
    ///
    /// - Returns: the answer. Its shape must be the one the request asks for; otherwise the client is told 04.
    /// - Throws: ``ModbusException`` with the code the client shall see.
    func respond(to request: ModbusRequest, unit: UnitID) throws(ModbusException) -> ModbusResponse
}
