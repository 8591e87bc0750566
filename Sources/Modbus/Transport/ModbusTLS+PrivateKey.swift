extension ModbusTLS {
    /// A private key. Whatever prints or inspects it sees where it comes from, never the key or its password.
    public struct PrivateKey: Hashable, Sendable {
        enum Source: Hashable {
            case file(String)
            case pem(String)
        }

        let source: Source
        let password: String?

        private init(source: Source, password: String?) {
            self.source = source
            self.password = password
        }

        /// The path of a PEM file. Keep it readable for this process's user alone.
        ///
        /// - Parameter password: of an encrypted key.
        public static func file(_ path: String, password: String? = nil) -> PrivateKey {
            PrivateKey(source: .file(path), password: password)
        }

        /// The content of a PEM file.
        ///
        /// - Parameter password: of an encrypted key.
        public static func pem(_ text: String, password: String? = nil) -> PrivateKey {
            PrivateKey(source: .pem(text), password: password)
        }
    }
}

extension ModbusTLS.PrivateKey: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String {
        switch source {
        case .file(let path): "private key of \(path)"
        case .pem: "private key given as text"
        }
    }

    public var debugDescription: String {
        description
    }

    public var customMirror: Mirror {
        Mirror(self, children: [])
    }
}
