import NIOCore
import NIOSSL

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Why TLS cannot be set up with what is configured: what is wrong with which file, and what to do.
struct TLSProblem: Error, Hashable, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// Makes TLS contexts out of configurations. Reads files, and may parse hundreds of system certificates: not on an
/// event loop.
enum TLSContext {
    /// How long to wait for the peer's goodbye before a connection is closed without it.
    static let shutdownTimeout = TimeAmount.seconds(1)

    static func make(_ configuration: ModbusTLS.Client) throws(TLSProblem) -> NIOSSLContext {
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.trustRoots = try roots(configuration.trust)
        tls.certificateVerification =
            switch configuration.verification {
            case .chainAndName: .fullVerification
            case .chainWithoutName: .noHostnameVerification
            case .insecurelyAcceptAnyPeer: .none
            }
        if let identity = configuration.identity { try present(identity, &tls) }
        return try context(tls)
    }

    static func make(_ configuration: ModbusTLS.Server) throws(TLSProblem) -> NIOSSLContext {
        var tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: try chain(configuration.identity.chain).map { .certificate($0) },
            privateKey: .privateKey(try key(configuration.identity.key)))
        switch configuration.clients {
        case .mustBeSigned(let trust):
            tls.trustRoots = try roots(trust)
            tls.certificateVerification = .noHostnameVerification
        case .insecurelyNotAsked:
            tls.certificateVerification = .none
        }
        return try context(tls)
    }

    private static func context(_ configuration: TLSConfiguration) throws(TLSProblem) -> NIOSSLContext {
        var configuration = configuration
        configuration.minimumTLSVersion = .tlsv12
        configuration.shutdownTimeout = shutdownTimeout
        do {
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw TLSProblem(
                "certificate and key cannot be used together; the key must be the one the first certificate of the "
                    + "chain was issued for")
        }
    }

    private static func roots(_ trust: ModbusTLS.Trust) throws(TLSProblem) -> NIOSSLTrustRoots {
        switch trust {
        case .system: .default
        case .authorities(let certificates): .certificates(try chain(certificates))
        }
    }

    private static func present(_ identity: ModbusTLS.Identity, _ tls: inout TLSConfiguration) throws(TLSProblem) {
        tls.certificateChain = try chain(identity.chain).map { .certificate($0) }
        tls.privateKey = .privateKey(try key(identity.key))
    }

    private static func chain(_ certificates: ModbusTLS.Certificates) throws(TLSProblem) -> [NIOSSLCertificate] {
        let found: [NIOSSLCertificate]?
        let place: String
        switch certificates {
        case .file(let path):
            try checkReadable(path, "certificate")
            place = "the certificate file \(path)"
            found = try? NIOSSLCertificate.fromPEMFile(path)
        case .pem(let text):
            place = "the certificate given as text"
            found = try? NIOSSLCertificate.fromPEMBytes(Array(text.utf8))
        }
        guard let found, !found.isEmpty else {
            throw TLSProblem("\(place) holds no certificate in PEM format (-----BEGIN CERTIFICATE-----)")
        }
        return found
    }

    /// What the library says about a key that it cannot read is not passed on: it may quote the key.
    private static func key(_ key: ModbusTLS.PrivateKey) throws(TLSProblem) -> NIOSSLPrivateKey {
        let password = Array((key.password ?? "").utf8)
        let found: NIOSSLPrivateKey?
        switch key.source {
        case .file(let path):
            try checkReadable(path, "key")
            found = try? NIOSSLPrivateKey(file: path, format: .pem) { $0(password) }
        case .pem(let text):
            found = try? NIOSSLPrivateKey(bytes: Array(text.utf8), format: .pem) { $0(password) }
        }
        guard let found else {
            throw TLSProblem(
                "the \(key) cannot be read; it must be a private key in PEM format, and if it is encrypted its "
                    + "password must be configured")
        }
        return found
    }

    private static func checkReadable(_ path: String, _ kind: String) throws(TLSProblem) {
        guard access(path, R_OK) == 0 else {
            throw TLSProblem(
                "the \(kind) file \(path) cannot be read: \(String(cString: strerror(errno))); check path and rights")
        }
    }
}
