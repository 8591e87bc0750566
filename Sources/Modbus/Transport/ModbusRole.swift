/// The role that a client's certificate gives it (MODBUS/TCP Security, requirements ). What a
/// role may do is for the server to say: ``ModbusAuthorization``.
public struct ModbusRole: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    /// The role's name, as the certificate's extension holds it.
    public var rawValue: String

    public init(rawValue: String) {
        self.rawValue = rawValue
    }

    public init(_ name: String) {
        self.rawValue = name
    }

    public var description: String {
        rawValue
    }
}

/// Says whether a client with this role may have this request executed on this unit; a refused one is answered with
/// exception 01 (SEC-008). The role is nil when the client's certificate names none, and without TLS.
///
/// Called on an event loop for every well-formed request, so return quickly. A malformed request is answered with the
/// exception that fits it, whoever asks.
public typealias ModbusAuthorization =
    @Sendable (_ role: ModbusRole?, _ request: ModbusRequest, _ unit: UnitID) -> Bool

/// A device that only does what a connection's role is allowed to ask for.
struct AuthorizingDevice: ModbusDevice {
    let device: any ModbusDevice
    let role: ModbusRole?
    let isAllowed: ModbusAuthorization

    func respond(to request: ModbusRequest, unit: UnitID) throws(ModbusException) -> ModbusResponse {
        guard isAllowed(role, request, unit) else { throw ModbusException(.illegalFunction) }
        return try device.respond(to: request, unit: unit)
    }

    func respond(toRaw request: RawRequest, unit: UnitID) throws(ModbusException) -> [UInt8] {
        guard isAllowed(role, .raw(request), unit) else { throw ModbusException(.illegalFunction) }
        return try device.respond(toRaw: request, unit: unit)
    }
}
