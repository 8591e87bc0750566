import Testing

@testable import ALDCore

struct PostgresConfigurationTests {
    private static let secret = "s3cr3t!word"

    @Test(arguments: [
        "postgresql://ald:s3cr3t!word@db.example:6432/plant?sslmode=require",
        "host=db.example port=6432 user=ald dbname=plant password=s3cr3t!word",
    ])
    func aPasswordIsNeverRendered(string: String) throws {
        let configuration = try PostgresConfiguration(connectionString: string)
        var dumped = ""
        dump(configuration, to: &dumped)
        for text in ["\(configuration)", String(reflecting: configuration), dumped, "\([configuration])"] {
            #expect(!text.contains(Self.secret))
            #expect(text.contains("db.example"))
        }
    }

    @Test(arguments: [
        "host=db password=s3cr3t!word fragment", "postgresql://ald:s3cr3t!word@h/x?fragment=1",
        "postgresql://ald:%zzs3cr3t!word@h/x", "password=s3cr3t!word nonsense=1", "postgresql://ald:s3cr3t!word@[::1/x",
        "host=db password='s3cr3t!word",
    ])
    func anInvalidStringIsReportedWithoutItsPassword(string: String) throws {
        let error = #expect(throws: PostgresError.self) { try PostgresConfiguration(connectionString: string) }
        #expect(error?.code == .configurationInvalid)
        #expect(!"\(String(describing: error))".contains("s3cr3t"))
        #expect(!"\(String(describing: error))".contains("fragment"))
    }

    @Test func aTypingErrorWithoutSecretsIsNamed() throws {
        let error = #expect(throws: PostgresError.self) { try PostgresConfiguration(connectionString: "hots=db") }
        #expect(error?.description.contains("\"hots\"") == true)
    }

    @Test func oursAreAddedOnlyWhereTheUserIsSilent() throws {
        let plain = try ConnectionOptions.effective(["host": "db"])
        #expect(plain["tcp_user_timeout"] == "30000")
        #expect(plain["fallback_application_name"] == "ald")
        #expect(plain["gssencmode"] == "disable")
        #expect(plain["options"]?.isEmpty ?? true)
        let chosen = try ConnectionOptions.effective(
            ["host": "db", "tcp_user_timeout": "5", "gssencmode": "prefer", "keepalives_idle": "7"])
        #expect(chosen["tcp_user_timeout"] == "5")
        #expect(chosen["keepalives_idle"] == "7")
        #expect(chosen["gssencmode"] == "prefer")
    }

    @Test func listsOfHostsBecomeSingleConnects() throws {
        let hosts = HostList([
            "host": "a.example,/run/pg,10.0.0.1", "port": "1,2,3", "dbname": "ald",
        ])
        #expect(hosts.entries.map(\.needsLookup) == [true, false, false])
        let first = hosts.candidates(for: hosts.entries[0], resolved: ["192.0.2.1", "2001:db8::1"])
        #expect(first.map { $0.options["hostaddr"] } == ["192.0.2.1", "2001:db8::1"])
        #expect(first.map { $0.options["host"] } == ["a.example", "a.example"])
        #expect(first[0].place == "a.example:1/ald")
        #expect(hosts.candidates(for: hosts.entries[1], resolved: [])[0].options["hostaddr"] == nil)
    }

    @Test func refusalsAreReadByCodeAndNotByLanguage() {
        let german = PostgresError(
            connectFailure: """
                connection to server at "h" (10.0.0.1), port 5432 failed: SCHWERWIEGEND:  28P01: Passwort falsch
                LOCATION:  auth_failed, auth.c:335
                """, place: "h", redaction: Redaction([:]))
        #expect(german.code == .authenticationFailed)
        #expect(german.sqlState == .invalidPassword)
        #expect(!german.message.contains("auth.c"))
        let pooler = PostgresError(
            connectFailure: "failed: FATAL:  08P01: no more connections allowed (max_client_conn)", place: "h",
            redaction: Redaction([:]))
        #expect(pooler.code == .tooManyConnections)
        let starting = PostgresError(
            connectFailure: "failed: FATAL:  57P03: starting up", place: "h", redaction: Redaction([:]))
        #expect(starting.code == .serverStarting)
    }

    @Test func everySecretInATextIsReplaced() {
        let redaction = Redaction(["password": "pw", "sslpassword": "key", "user": "ald"])
        #expect(redaction.redact("pw for ald, key, xpwx") == "*** for ald, ***, x***x")
    }
}
