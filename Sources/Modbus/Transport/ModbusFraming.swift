/// How requests and answers are cut out of a TCP stream.
public enum ModbusFraming: Hashable, Sendable {
    /// With the header of Modbus TCP (MODBUS Messaging on TCP/IP V1.0b §3.1.3). What to use wherever there is a choice.
    case tcp
    /// The frames of a serial line, sent through TCP by simple gateways: unit, PDU, checksum (MODBUS over Serial Line
    /// V1.02 §2.5.1). Nothing names the request that an answer belongs to, so one request is on its way at a time, whatever
    /// the window says; an answer must come from the unit and have the function that was asked. An answer that comes
    /// too late cannot be told from the next one: when a request ends without its answer, the connection is replaced.
    /// The length of a frame follows from its function, so functions that the specification does not have cannot be used,
    /// and a checksum that is wrong ends the connection.
    ///
    /// A request to unit 0 is a broadcast that nobody answers: a server stays silent, a client waits in vain.
    case rtuOverTCP
}
