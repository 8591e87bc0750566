import Testing

@testable import ALDCore

@Suite(.background) struct PostgresConfigurationTests {
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

    @Test(arguments: [
        "postgresql://ald:s3cr/et@db.example/plant", "postgresql://ald:s3cr@et@db.example/plant",
        "postgres://ald:42/s3cr@et@db.example:5432/plant",
        "postgresql://ald:s3cr@et/more@db.example/plant", "postgresql://ald:s3cr",
    ])
    func aPasswordThatIsNotEncodedIsRefusedWithoutAnyOfIt(string: String) throws {
        let error = try #require(throws: PostgresError.self) { try PostgresConfiguration(connectionString: string) }
        #expect(error.code == .configurationInvalid)
        for piece in ["s3cr", "et@", "42", "more"] { #expect(!"\(error)".contains(piece), "\(error)") }
        #expect("\(error)".contains("%2F") && "\(error)".contains("%40"))
    }

    @Test func listsOfPortsAndEncodedPasswordsAreFine() throws {
        _ = try PostgresConfiguration(connectionString: "postgresql://ald:a%2Fb%40c@one:1,two:2/plant")
        _ = try PostgresConfiguration(connectionString: "postgresql://ald@one,two/plant?port=5433")
        _ = try PostgresConfiguration(connectionString: "host=@abstract dbname=a@b")
    }

    @Test(arguments: ["oauth_client_secret", "scram_client_key", "scram_server_key"])
    func newerSecretsAreSecretsToo(keyword: String) {
        #expect(Redaction([keyword: "hush"]).redact("hush") == "***")
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

    /// The password is a part of the server's code.
    @Test func refusalsAreClassifiedBeforeTheyAreRedacted() {
        let error = PostgresError(
            connectFailure: "failed: FATAL:  28P01: no such 0", place: "h", redaction: Redaction(["password": "0"]))
        #expect(error.code == .authenticationFailed)
        #expect(error.sqlState == .invalidPassword)
        #expect(error.message.hasSuffix("no such ***"))
    }

    @Test(arguments: ["10.0.0.1", "::1", "2001:db8::1"]) func addressesNeedNoLookUp(host: String) {
        #expect(!HostList(["host": host]).entries[0].needsLookup)
    }

    @Test(arguments: ["10.0.0", "+1.2.3.4", "db:5432", "fe80::1::2", "name"]) func namesDo(host: String) {
        #expect(HostList(["host": host]).entries[0].needsLookup)
    }

    @Test func hangingLookUpsLeaveRoomForCancelRequests() {
        var census = OffloadCensus()
        while census.admit(.lookUp) {}
        let isCancelAdmitted = census.admit(.cancelRequest)
        #expect(isCancelAdmitted)
        census.leave(.lookUp)
        let isNextAdmitted = census.admit(.lookUp)
        let isOneMoreAdmitted = census.admit(.lookUp)
        #expect(isNextAdmitted && !isOneMoreAdmitted)
    }

    @Test(arguments: [
        ("INSERT INTO a VALUES (1); INSERT INTO b VALUES (2);", true), ("COMMIT", true), ("CREATE TABLE a ()", true),
        ("INSERT INTO a VALUES (1); COMMIT; SELECT 1/0", false), ("BEGIN; SELECT 1; end; SELECT 2", false),
        ("CALL p()", false), ("VACUUM", false), ("CREATE INDEX CONCURRENTLY i ON t (c);", false),
    ])
    func scriptsThatMayCommitApart(script: String, isWhole: Bool) {
        #expect(ScriptTransaction.isWhole(script) == isWhole)
    }

    @Test func aSessionIsKeptOnlyWithTheWholeProof() {
        let whole = CancellationProof(isDelivered: true, isAnswered: true, isCancelled: true, isAlive: true)
        #expect(whole.isClean)
        for part in [
            \CancellationProof.isDelivered, \CancellationProof.isAnswered, \CancellationProof.isCancelled,
            \CancellationProof.isAlive,
        ] {
            var broken = whole
            broken[keyPath: part] = false
            #expect(!broken.isClean)
        }
    }

    @Test func everySecretInATextIsReplaced() {
        let redaction = Redaction(["password": "pw", "sslpassword": "key", "user": "ald"])
        #expect(redaction.redact("pw for ald, key, xpwx") == "*** for ald, ***, x***x")
    }
}
