extension PostgresError {
    /// The error of a connect that libpq gave up.
    ///
    /// libpq keeps no SQLSTATE for it, but with verbose errors the text carries one (`FATAL:  28P01: …`). Words are
    /// matched only where libpq itself wrote them; the server's are in its own language.
    ///
    /// It is classified as it came and shown redacted: a password may be a part of the code.
    init(connectFailure text: String, place: String, redaction: Redaction) {
        let found = Self.lines(of: text).lazy.compactMap(Self.serverCode).first
        let code = Self.connectCode(state: found, message: Self.message(in: text))
        let shown = Self.message(in: redaction.redact(text))
        self.init(code, shown, effect: .notSent, place: place, remedy: Self.remedies[code])
        sqlState = found
        severity = found == nil ? nil : "FATAL"
    }

    private static func lines(of text: String) -> [String] {
        text.split(separator: "\n").map { String($0).trimmed }
    }

    /// All but the place in the server's source.
    private static func message(in text: String) -> String {
        lines(of: text).filter { !$0.hasPrefix("LOCATION:") }.joined(separator: " ")
    }

    /// The first `:  XXXXX: ` of a line, where XXXXX is an error code.
    private static func serverCode(in line: String) -> SQLState? {
        let bytes = Array(line.utf8)
        guard bytes.count >= 10 else { return nil }
        for start in 0...(bytes.count - 10) where bytes[start...].starts(with: ":  ".utf8) {
            guard bytes[(start + 8)...].starts(with: ": ".utf8) else { continue }
            let text = String(decoding: bytes[(start + 3)..<(start + 8)], as: UTF8.self)
            // Every code has a digit; a word of five capitals has none.
            guard let state = SQLState(rawValue: text), text.contains(where: \.isNumber) else { continue }
            return state
        }
        return nil
    }

    private static func connectCode(state: SQLState?, message: String) -> Code {
        if let fault = PoolerFault(state: state, message: message) { return fault.code }
        switch state {
        case .some(.databaseMissing): return .databaseMissing
        case .some(.tooManyConnections): return .tooManyConnections
        case .some(.cannotConnectNow): return .serverStarting
        case .some(let state) where state.class == "28": return .authenticationFailed
        case .some: return .connectionFailed
        case .none: break
        }
        if message.contains("no password supplied") || message.contains("authentication method") {
            return .authenticationFailed
        }
        if message.contains("session is read-only") || message.contains("session is not read-only")
            || message.contains("hot standby mode")
        {
            return .notPrimary
        }
        let isSettled = message.hasPrefix("invalid ") || tlsRefusals.contains { message.contains($0) }
        return isSettled ? .configurationInvalid : .connectionFailed
    }

    /// What our own side refuses about TLS; waiting does not heal it.
    private static let tlsRefusals = [
        "certificate verify failed", "does not match host name", "root certificate file", "certificate file",
        "private key file", "server does not support SSL",
    ]

    private static let remedies: [Code: String] = [
        .configurationInvalid: "Correct the connection string or the files it names.",
        .authenticationFailed: "Check user and password, and the server's pg_hba.conf.",
        .databaseMissing: "Create the database or correct its name.",
        .tooManyConnections: "Use smaller pools or raise max_connections.",
        .connectionFailed: "Check host and port, and that the server runs and accepts connections from here.",
    ]
}
