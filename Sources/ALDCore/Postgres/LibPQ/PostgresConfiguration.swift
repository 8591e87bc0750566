/// Where the database is and how to log in: what libpq calls a connection string, with its defaults.
///
/// Every URI (`postgresql://user@host:5432/ald?sslmode=require`) and keyword string (`host=… dbname=…`) that libpq
/// accepts is accepted, and what is not in the string comes from where libpq takes it: the `PG…` environment
/// variables, the service file and the password file, read anew at every connect.
///
/// Where neither the string nor the environment says otherwise, this package adds:
///
/// | Option | Default | Why |
/// |---|---|---|
/// | `fallback_application_name` | `ald` | shown in `pg_stat_activity` |
/// | `keepalives_idle`, `_interval`, `_count` | 30 s, 10 s, 3 | a peer that vanished is noticed within a minute |
/// | `tcp_user_timeout` | 30 000 ms | unacknowledged data does not wait for the kernel's 15 minutes |
/// | `gssencmode` | `disable` | it costs a round trip and can block on Kerberos |
///
/// `client_encoding` is always UTF8. Settings are never sent as `options=-c …`, which poolers refuse; ``timeouts`` are
/// set after the connect.
public struct PostgresConfiguration: Sendable, Hashable {
    /// Option names and values as the user gave them, plus `client_encoding`. Contains the password.
    private(set) var options: [String: String]
    /// What stands between here and the server. Defaults to finding it out.
    public var pooling = PostgresPooling.automatic
    /// Limits that the server keeps. Defaults to what the server and the role have.
    public var timeouts = PostgresTimeouts()

    /// - Parameter connectionString: a libpq URI or keyword string; empty means "everything from the environment".
    /// - Throws: ``PostgresError/Code/configurationInvalid``. The message never repeats a part of the string that
    ///   could be a password.
    public init(connectionString: String) throws(PostgresError) {
        options = try ConnectionOptions.parse(connectionString)
        try ConnectionOptions.refuseMisreadPassword(in: connectionString, options)
        options["client_encoding"] = "UTF8"
    }

    /// The same server and user, but this database.
    public func withDatabase(_ name: String) -> PostgresConfiguration {
        var copy = self
        copy.options["dbname"] = name
        return copy
    }

    /// The same login at another TCP address, for instance that of a proxy before the server. Unless the user has said how
    /// it is to be secured, it is not: the address is no name that a certificate could hold.
    package func withAddress(_ host: String, port: Int) -> PostgresConfiguration {
        var copy = self
        copy.options["host"] = host
        copy.options["hostaddr"] = nil
        copy.options["port"] = String(port)
        copy.options["sslmode"] = options["sslmode"] ?? "disable"
        return copy
    }

    /// The same server and database, but this role and its password.
    package func withRole(_ name: String, password: String) -> PostgresConfiguration {
        var copy = self
        copy.options["user"] = name
        copy.options["password"] = password
        copy.options["passfile"] = nil
        return copy
    }

    /// The same login under another `application_name`.
    public func withApplicationName(_ name: String) -> PostgresConfiguration {
        var copy = self
        copy.options["application_name"] = name
        return copy
    }
}

extension PostgresConfiguration: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// A keyword string without secrets, for logs and errors.
    public var description: String {
        options.keys.sorted().map { key in
            ConnectionOptions.secretKeywords.contains(key) ? "\(key)=***" : "\(key)=\(options[key] ?? "")"
        }.joined(separator: " ")
    }

    public var debugDescription: String { description }

    /// `dump` and test failure messages mirror values: they see the description too, never the password.
    public var customMirror: Mirror { Mirror(self, children: ["description": description]) }
}
