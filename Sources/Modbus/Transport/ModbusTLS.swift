/// Modbus/TCP Security: the same frames inside TLS (MODBUS/TCP Security Protocol Specification, "mbaps").
///
/// TLS 1.2 is the oldest version spoken. Each side verifies the other unless a deliberately named value says
/// otherwise.
public enum ModbusTLS {
    /// The registered port of Modbus/TCP Security.
    public static let port = 802

    /// Where certificates come from. Files are in PEM format and may hold several certificates.
    public enum Certificates: Hashable, Sendable {
        /// The path of a PEM file.
        case file(String)
        /// The content of a PEM file.
        case pem(String)
    }

    /// Whose signature makes a certificate trustworthy.
    public enum Trust: Hashable, Sendable {
        /// The authorities the operating system trusts.
        case system
        /// These authorities and no other: for plants, the usual case.
        case authorities(Certificates)
    }

    /// What one side shows to the other.
    public struct Identity: Hashable, Sendable {
        /// The own certificate first, then those between it and the authority.
        public var chain: Certificates
        /// The key of the own certificate.
        public var key: PrivateKey

        public init(chain: Certificates, key: PrivateKey) {
            self.chain = chain
            self.key = key
        }
    }

    /// What a client needs for TLS. Files are read anew for every connection, so a renewed certificate is used from
    /// the next connection on.
    public struct Client: Hashable, Sendable {
        /// How the device is verified.
        public enum Verification: Hashable, Sendable {
            /// A trusted authority signed its certificate, which names the host.
            case chainAndName
            /// A trusted authority signed its certificate; any name will do. Whoever holds the key of any
            /// certificate of that authority can then pose as the device.
            case chainWithoutName
            /// Anybody is accepted: encrypted, and open to whoever stands between. For the laboratory.
            case insecurelyAcceptAnyPeer
        }

        /// Who may have signed the device's certificate. Defaults to the system's authorities.
        public var trust: Trust
        /// The client's own certificate. A device that follows the specification asks for one; its extension
        /// 1.3.6.1.4.1.50316.802.1 names the role the device decides by. Defaults to nil, no certificate.
        public var identity: Identity?
        /// Defaults to chain and name.
        public var verification: Verification = .chainAndName
        /// The name that the device's certificate must carry, when that is not the configured host. Not an address.
        /// Defaults to nil, the host: a name, or an address that the certificate lists as such.
        public var serverName: String?

        public init(trust: Trust = .system, identity: Identity? = nil) {
            self.trust = trust
            self.identity = identity
        }
    }

    /// What a server needs for TLS. Files are read when it is started.
    public struct Server: Hashable, Sendable {
        /// What is asked of a client.
        public enum Clients: Hashable, Sendable {
            /// A certificate that one of these authorities signed, as the specification demands.
            case mustBeSigned(by: Trust)
            /// Nothing: anybody may connect, and no client has a role.
            case insecurelyNotAsked
        }

        /// What the server shows to its clients.
        public var identity: Identity
        /// What its clients must show.
        public var clients: Clients
        /// How long a client may take for the handshake before its connection is closed. Defaults to 10 s.
        public var handshakeTimeout: Duration = .seconds(10)

        public init(identity: Identity, clients: Clients) {
            self.identity = identity
            self.clients = clients
        }
    }
}
