/// What a ``ModbusServer`` serves: the device behind the protocol.
public protocol ModbusDevice: Sendable {
    /// Executes one request and says what to answer.
    ///
    /// The server has already checked everything the protocol fixes: the function is known (01), length, quantity,
    /// byte count and coil value are legal (03), and the addresses end at or before 65535 (02). What is left is the
    /// device's own: which functions it has (01), which addresses exist (02), which values it takes (03), whether
    /// execution works (04, 05, 06), which units it answers for (0A, 0B).
    ///
    /// The unit is passed on as it came. On TCP, units 0 and 255 both mean the device at the end of the connection
    /// (Messaging on TCP/IP V1.0b); unit 0 is no broadcast there and is answered. A device that is no gateway
    /// may answer every unit; a gateway answers 0A or 0B for units it cannot reach.
    ///
    /// Called on an event loop, for one request of a connection after the other and for several connections at the
    /// same time: return quickly, and protect what is shared.
    ///
    /// - Returns: the answer. Its shape must be the one the request asks for; otherwise the client is told 04.
    /// - Throws: ``ModbusException`` with the code the client shall see.
    func respond(to request: ModbusRequest, unit: UnitID) throws(ModbusException) -> ModbusResponse

    /// Executes a request whose function, sub-function or encapsulated type this library does not know; nothing but
    /// the frame has been checked. A device that has none of its own needs not implement this: it answers 01.
    ///
    /// - Returns: the data behind the function code, at most 252 bytes; otherwise the client is told 04.
    /// - Throws: ``ModbusException`` with the code the client shall see.
    func respond(toRaw request: RawRequest, unit: UnitID) throws(ModbusException) -> [UInt8]
}

extension ModbusDevice {
    public func respond(toRaw request: RawRequest, unit: UnitID) throws(ModbusException) -> [UInt8] {
        throw .illegalFunction
    }
}
