extension PostgresError {
    /// The error of a connect that libpq gave up.
    ///
    /// libpq keeps no SQLSTATE for it, but with verbose errors the text carries one (`FATAL:  28P01: …`). Words are
    /// matched only where libpq itself wrote them; the server's are in its own language.
    init(connectFailure text: String, place: String, redaction: Redaction) {
        let lines = redaction.redact(text).split(separator: "\n").map { String($0).trimmed }
        let isServerLocation: (String) -> Bool = { $0.hasPrefix("LOCATION:") }
        let message = lines.filter { !isServerLocation($0) }.joined(separator: " ")
        let found = lines.lazy.compactMap(Self.serverCode).first
        let code = Self.connectCode(state: found, message: message)
        self.init(code, message, effect: .notSent, place: place, remedy: Self.remedies[code])
        sqlState = found
        severity = found == nil ? nil : "FATAL"
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
        if isPoolerFull(state: state, message: message) { return .tooManyConnections }
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
        return message.hasPrefix("invalid ") ? .configurationInvalid : .connectionFailed
    }

    /// PgBouncer answers every fault of its own with 08P01 and Supavisor with XX000; only the text tells.
    private static func isPoolerFull(state: SQLState?, message: String) -> Bool {
        guard state == .protocolViolation || state == .internalError else { return false }
        let signs = [
            "no more connections allowed", "client connections exceeded", "query_wait_timeout", "(EMAXCONN",
            "(ECHECKOUTTIMEOUT)", "(EMAXPOOLSREACHED)",
        ]
        return signs.contains { message.contains($0) }
    }

    private static let remedies: [Code: String] = [
        .authenticationFailed: "Check user and password, and the server's pg_hba.conf.",
        .databaseMissing: "Create the database or correct its name.",
        .tooManyConnections: "Use smaller pools or raise max_connections.",
        .connectionFailed: "Check host and port, and that the server runs and accepts connections from here.",
    ]
}
