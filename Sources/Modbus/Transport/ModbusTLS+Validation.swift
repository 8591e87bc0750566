import NIOCore

extension ModbusTLS.Client {
    /// Every problem that shows without opening a file.
    func validate() -> [String] {
        var problems = trust.validate() + (identity?.validate() ?? [])
        if let serverName {
            if serverName.isEmpty {
                problems.append("tls.serverName is empty; name the device as its certificate does, or leave it nil")
            } else if (try? SocketAddress(ipAddress: serverName, port: 0)) != nil {
                problems.append("tls.serverName is the address \(serverName); it must be a name (nil checks the host)")
            }
            if verification != .chainAndName {
                problems.append("tls.serverName is given, and names are not verified")
            }
        }
        return problems
    }
}

extension ModbusTLS.Server {
    /// Every problem that shows without opening a file.
    func validate() -> [String] {
        var problems = identity.validate()
        if case .mustBeSigned(let trust) = clients { problems += trust.validate() }
        if handshakeTimeout < .milliseconds(1) || handshakeTimeout > .seconds(3600) {
            problems.append("tls.handshakeTimeout is \(handshakeTimeout); allowed are 1 ms to 1 h")
        }
        return problems
    }
}

extension ModbusTLS.Trust {
    fileprivate func validate() -> [String] {
        guard case .authorities(.file("")) = self else { return [] }
        return ["tls.trust: the path of the authorities' file is empty"]
    }
}

extension ModbusTLS.Identity {
    fileprivate func validate() -> [String] {
        var problems: [String] = []
        if case .file("") = chain { problems.append("tls.identity: the path of the certificate file is empty") }
        if case .file("") = key.source { problems.append("tls.identity: the path of the key file is empty") }
        return problems
    }
}
