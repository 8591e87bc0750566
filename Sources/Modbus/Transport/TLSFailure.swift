import NIOCore
import NIOSSL

/// Says why a TLS connection failed, and what to do about it.
enum TLSFailure {
    /// What the peer's certificate says about itself, as far as it explains a failure.
    struct Certificate: Hashable {
        /// Seconds since 1970.
        let validFrom: Int
        let validUntil: Int
    }

    /// - Parameters:
    ///   - peer: the certificate the peer showed, if it came to that.
    ///   - now: seconds since 1970.
    static func reason(_ error: any Error, peer: Certificate? = nil, now: Int = 0) -> String {
        if let error = error as? NIOSSLExtraError, error == .failedToValidateHostname {
            return "the peer's certificate is not for this host; connect by a name or address it lists, or configure "
                + "the name it carries as tls.serverName"
        }
        switch error as? NIOSSLError {
        case .uncleanShutdown:
            return "the peer closed the connection"
        case .unableToValidateCertificate, .noCertificateToValidate, .cannotFindPeerIP:
            return "the peer's certificate cannot be checked against the host name"
        default:
            break
        }
        let tokens = tokens(error)
        if tokens.contains("CERTIFICATE_VERIFY_FAILED") { return verification(peer, now) }
        for token in tokens {
            if let words = words(token) { return words }
        }
        return tokens.first.map { "TLS failed: \($0)" } ?? "\(error)"
    }

    private static func verification(_ peer: Certificate?, _ now: Int) -> String {
        if let peer, peer.validUntil < now { return "the peer's certificate has expired; renew it" }
        if let peer, peer.validFrom > now {
            return "the peer's certificate is not valid yet; check the clocks of both sides"
        }
        return "the peer's certificate is not signed by an authority that is trusted here; configure its authority as "
            + "trust, and let the peer send the certificates in between"
    }

    /// The names BoringSSL gives to what happened. Its descriptions also hold source files and lines, which help
    /// nobody.
    static func tokens(_ error: any Error) -> [String] {
        let stack: [BoringSSLInternalError]
        switch error {
        case NIOSSLError.handshakeFailed(.sslError(let errors)), NIOSSLError.handshakeFailed(.unknownError(let errors)),
            NIOSSLError.shutdownFailed(.sslError(let errors)), BoringSSLError.sslError(let errors),
            BoringSSLError.unknownError(let errors):
            stack = errors
        default:
            return []
        }
        return stack.map { entry in
            if entry == .eofDuringHandshake { return "EOF" }
            let text = entry.description
            guard let head = text.firstRange(of: "OPENSSL_internal:") else { return text }
            return String(text[head.upperBound...].prefix { $0 != " " })
        }
    }

    private static func words(_ token: String) -> String? {
        switch token {
        case "EOF":
            "the peer closed the connection during the TLS handshake; it may not speak TLS, or not accept this side's "
                + "certificate"
        case "WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "UNEXPECTED_MESSAGE", "UNEXPECTED_RECORD":
            "the peer does not speak TLS; check the port (\(ModbusTLS.port) is the usual one) or configure no TLS"
        case "UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION":
            "the two sides have no TLS version in common; this one speaks 1.2 and 1.3"
        case "NO_SHARED_CIPHER", "SSLV3_ALERT_HANDSHAKE_FAILURE":
            "the two sides have no way of encryption in common, or the peer wants a certificate and got none"
        case "PEER_DID_NOT_RETURN_A_CERTIFICATE":
            "the client showed no certificate; it must be configured with one"
        case "TLSV1_ALERT_CERTIFICATE_REQUIRED", "TLSV1_CERTIFICATE_REQUIRED":
            "the peer wants a certificate; configure tls.identity"
        case "TLSV1_ALERT_UNKNOWN_CA":
            "the peer does not know the authority that signed this side's certificate; have it added there"
        case "SSLV3_ALERT_CERTIFICATE_EXPIRED":
            "the peer says that this side's certificate has expired; renew it"
        case "SSLV3_ALERT_CERTIFICATE_REVOKED":
            "the peer says that this side's certificate was revoked; use another"
        case "SSLV3_ALERT_BAD_CERTIFICATE", "SSLV3_ALERT_CERTIFICATE_UNKNOWN", "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
            "TLSV1_ALERT_ACCESS_DENIED":
            "the peer does not accept this side's certificate; check what it was issued for"
        default: nil
        }
    }
}
