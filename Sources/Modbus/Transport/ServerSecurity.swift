import NIOCore
import NIOSSL

/// Who may connect to a server, and what they may do.
struct ServerSecurity: Sendable {
    private var tls: (context: NIOSSLContext, handshakeTimeout: TimeAmount)?
    private var authorization: ModbusAuthorization?

    /// Everybody, everything.
    init() {}

    /// Reads the files.
    init(_ configuration: ModbusTLS.Server?, _ authorization: ModbusAuthorization?) throws(TLSProblem) {
        self.authorization = authorization
        if let configuration {
            tls = (try TLSContext.make(configuration), TimeAmount(configuration.handshakeTimeout))
        }
    }

    /// The device as a client with this role sees it.
    func guarded(_ device: any ModbusDevice, role: ModbusRole?) -> any ModbusDevice {
        guard let authorization else { return device }
        return AuthorizingDevice(device: device, role: role, isAllowed: authorization)
    }

    /// Calls `serve` when it is known who the client is: at once, or after the handshake. A client that fails it is
    /// counted, and its connection closed.
    func secure(
        _ channel: any Channel, registry: ServerRegistry, serve: @escaping (ModbusRole?) throws -> Void
    ) throws {
        guard let tls else {
            try serve(nil)
            return
        }
        let pipeline = channel.pipeline.syncOperations
        try pipeline.addHandler(NIOSSLServerHandler(context: tls.context))
        try pipeline.addHandler(
            TLSGate(limit: .now() + tls.handshakeTimeout) { context, result in
                do throws(TLSProblem) {
                    try result.get()
                    let role = try Self.role(context)
                    do { try serve(role) } catch { throw TLSProblem("\(error)") }
                } catch {
                    registry.handshakeFailed(error)
                    throw error
                }
            })
    }

    private static func role(_ context: ChannelHandlerContext) throws(TLSProblem) -> ModbusRole? {
        try role {
            try context.pipeline.syncOperations.nioSSL_peerCertificate()?.toDERBytes()
        }
    }

    /// - Parameter certificate: what the client showed, in DER; nil when it was not asked for one. A certificate that
    ///   cannot be read is not one without a role: authorization may allow more without a role than with one.
    static func role(certificate: () throws -> [UInt8]?) throws(TLSProblem) -> ModbusRole? {
        let bytes: [UInt8]?
        do {
            bytes = try certificate()
        } catch {
            throw TLSProblem(CertificateRoleFault.unreadable("\(error)").description)
        }
        guard let bytes else { return nil }
        do throws(CertificateRoleFault) {
            return try ModbusRole.inCertificate(bytes)
        } catch {
            throw TLSProblem(error.description)
        }
    }
}
