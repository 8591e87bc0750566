import NIOCore
import NIOSSL

/// The client's side of a TLS connection.
enum ClientTLS {
    /// Puts TLS and its gate into a connection that is about to be opened.
    ///
    /// - Parameter limit: when the handshake must be over.
    static func add(
        _ context: NIOSSLContext, _ configuration: ModbusClient.Configuration, to channel: any Channel,
        limit: NIODeadline
    ) throws {
        // Without a name, the certificate must list the address that was connected to.
        let isAddress = (try? SocketAddress(ipAddress: configuration.host, port: configuration.port)) != nil
        let name = configuration.tls?.serverName ?? (isAddress ? nil : configuration.host)
        let handler = try NIOSSLClientHandler(context: context, serverHostname: name)
        let outcome = channel.eventLoop.makePromise(of: Void.self)
        let pipeline = channel.pipeline.syncOperations
        try pipeline.addHandler(handler)
        try pipeline.addHandler(
            TLSGate(limit: limit, outcome: outcome.futureResult) { _, result in
                outcome.completeWith(result.mapError { $0 })
            })
    }

    /// The end of the handshake of a connection that was opened.
    static func handshake(of channel: any Channel) -> EventLoopFuture<Void> {
        guard let gate = try? channel.pipeline.syncOperations.handler(type: TLSGate.self), let outcome = gate.outcome
        else { return channel.eventLoop.makeFailedFuture(TLSProblem("the connection ended before the handshake")) }
        return outcome
    }
}
