import CLibPQ

extension PostgresError {
    static let outOfMemory = PostgresError(.connectionFailed, "libpq could not allocate memory")

    /// The error of a result that libpq marked as failed.
    ///
    /// - Parameter isAlive: whether the session survived it. If not, the link is what failed, whatever the text says.
    init(result: OpaquePointer, isAlive: Bool, place: String, redaction: Redaction) {
        func raw(_ code: Character) -> String? {
            guard let ascii = code.asciiValue, let text = PQresultErrorField(result, Int32(ascii)) else { return nil }
            return String(cString: text)
        }
        func field(_ code: Character) -> String? { raw(code).map(redaction.redact) }
        // Words of the protocol, never secret: a password may be a part of them.
        let state = raw("C").flatMap(SQLState.init(rawValue:))
        let whole = PQresultErrorMessage(result).map { String(cString: $0) } ?? ""
        let message = field("M") ?? redaction.redact(whole).trimmed
        let severity = raw("V")
        let isFatal = severity == "FATAL" || severity == "PANIC"
        self.init(
            Self.code(of: state, isAlive: isAlive && !isFatal && state != nil), message,
            effect: isFatal || state == nil || state?.class == "08" || state?.rawValue == "40003"
                ? .unknown : .notApplied,
            place: place)
        sqlState = state
        self.severity = severity
        if let fault = PoolerFault(state: state, message: raw("M") ?? ""), isFatal || !isAlive || fault.endsSession {
            code = fault.code == .tooManyConnections ? fault.code : .connectionLost
            if fault.isUnsent { effect = .notApplied }
        }
        detail = field("D")
        hint = field("H")
        context = field("W")
        schemaName = field("s")
        tableName = field("t")
        columnName = field("c")
        constraintName = field("n")
    }

    private static func code(of state: SQLState?, isAlive: Bool) -> Code {
        guard isAlive else { return .connectionLost }
        return state == .readOnlyTransaction ? .notPrimary : .queryFailed
    }

    /// The error of a session that ended without the server having said why.
    static func linkLost(_ text: String, place: String, effect: Effect) -> PostgresError {
        PostgresError(
            .connectionLost, text.isEmpty ? "the connection was closed" : text, effect: effect, place: place,
            remedy: "Connect again; look into the server's log if it happens often.")
    }
}
