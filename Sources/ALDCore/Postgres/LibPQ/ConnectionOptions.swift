import CLibPQ

/// libpq's connection options as a dictionary: parsed from a string, or completed with libpq's own defaults.
enum ConnectionOptions {
    /// Options whose values must never be shown.
    static let secretKeywords: Set<String> = [
        "password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key",
    ]

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

    /// A raw `/` or `@` in the password of a URI makes libpq read the rest as host, port or database, which are
    /// shown everywhere. Nobody knows then where the password ends, so nothing of the string is repeated.
    static func refuseMisreadPassword(
        in connectionString: String, _ options: [String: String]
    ) throws(PostgresError) {
        guard ["postgresql://", "postgres://"].contains(where: connectionString.hasPrefix) else { return }
        let hasStraySign = ["host", "hostaddr", "dbname"].contains {
            options[$0]?.utf8.contains(UInt8(ascii: "@")) == true
        }
        let ports = (options["port"] ?? "").utf8
        let hasStrangePort = !ports.allSatisfy {
            (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || $0 == UInt8(ascii: ",")
        }
        guard hasStraySign || hasStrangePort else { return }
        throw PostgresError(
            .configurationInvalid,
            "the connection URI is ambiguous: its host or database holds an @, or its port is no number",
            remedy:
                "Percent-encode special characters of user and password: %40 for @, %2F for /, %3A for :."
                + " A host or database that really holds an @ can be named in a keyword string (host=… dbname=…).")
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
