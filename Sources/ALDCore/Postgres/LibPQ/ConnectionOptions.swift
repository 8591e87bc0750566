import CLibPQ

/// libpq's connection options as a dictionary: parsed from a string, or completed with libpq's own defaults.
enum ConnectionOptions {
    /// Options whose values must never be shown.
    static let secretKeywords: Set<String> = ["password", "sslpassword"]

    /// What this package wants where nobody else has an opinion.
    static let ourDefaults: [String: String] = [
        "fallback_application_name": "ald",
        "keepalives": "1",
        "keepalives_idle": "30",
        "keepalives_interval": "10",
        "keepalives_count": "3",
        "tcp_user_timeout": "30000",
    ]

    static func parse(_ connectionString: String) throws(PostgresError) -> [String: String] {
        var message: UnsafeMutablePointer<CChar>?
        guard let list = PQconninfoParse(connectionString, &message) else {
            let text = message.map { String(cString: $0) } ?? "out of memory"
            PQfreemem(message)
            throw PostgresError(
                .configurationInvalid,
                "the connection string is not valid: \(Redaction.parseError(text, in: connectionString))",
                remedy: "Use postgresql://user:password@host:port/database or host=… user=… dbname=…;"
                    + " percent-encode special characters in a URI and quote values with blanks otherwise.")
        }
        defer { PQconninfoFree(list) }
        return dictionary(list)
    }

    /// What a connect with `options` will really use: with the service file, the environment, libpq's built-in
    /// defaults and, where none of them has a value, ours filled in.
    ///
    /// libpq offers no function for it, but a connection object that is refused for an impossible value has gone
    /// through the same merging and has not touched the network.
    static func effective(_ options: [String: String]) throws(PostgresError) -> [String: String] {
        var probe = options
        probe["channel_binding"] = impossible
        guard let connection = CStringPairs(probe).withPointers({ PQconnectStartParams($0, $1, 0) }) else {
            throw .outOfMemory
        }
        defer { PQfinish(connection) }
        let refusal = String(cString: PQerrorMessage(connection))
        guard refusal.contains(impossible) else {
            throw PostgresError(.configurationInvalid, Redaction(options).redact(refusal).trimmed)
        }
        guard let list = PQconninfo(connection) else { throw .outOfMemory }
        defer { PQconninfoFree(list) }
        var result = dictionary(list)
        result["channel_binding"] = options["channel_binding"]
        result.merge(ourDefaults) { theirs, _ in theirs }
        // `prefer` is libpq's own default: nobody asked for it unless the user's string says so.
        if options["gssencmode"] == nil, result["gssencmode"] == "prefer" { result["gssencmode"] = "disable" }
        return result
    }

    private static let impossible = "impossible on purpose"

    private static func dictionary(_ list: UnsafeMutablePointer<PQconninfoOption>) -> [String: String] {
        var result: [String: String] = [:]
        var entry = list
        while let keyword = entry.pointee.keyword {
            if let value = entry.pointee.val { result[String(cString: keyword)] = String(cString: value) }
            entry += 1
        }
        return result
    }
}
