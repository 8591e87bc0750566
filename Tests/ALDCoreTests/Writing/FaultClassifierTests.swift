import ALDTestKit
import Testing

@testable import ALDCore

@Suite("Fault classes", .background) struct FaultClassifierTests {
    private func answered(
        _ state: String, constraint: String? = nil, severity: String = "ERROR", _ message: String = "scripted"
    ) -> PostgresError {
        var error = PostgresError(.queryFailed, message, effect: .notApplied)
        error.sqlState = SQLState(rawValue: state)
        error.constraintName = constraint
        error.severity = severity
        return error
    }

    private func faultClass(
        _ state: String, constraint: String? = nil, from origin: FaultClassifier.Origin = .server
    ) -> SinkFault.Class {
        FaultClassifier.classify(answered(state, constraint: constraint), from: origin).faultClass
    }

    /// Every line of the design's table, and what the prototype corrected. The constraint is one of ours to break.
    private static let table: [SinkFault.Class: String] = [
        .inDoubt: "01000 08007 40003",
        .unsent: "08000 08001 08003 08004 08006 57P01 57P02",
        .transient: "25P03 26000 40000 40001 40002 40P01 42P05 55000 55006 55P03 57014 57P03 57P05",
        .notPrimary: "25006",
        .resource: "53000 53100 53200 53300 53400 58030",
        .misconfigured: """
        0A000 0P000 22023 28000 28P01 2F002 38000 39P01 3D000 3F000 42501 42703 42804 42883 42P01 42P07 42P10 54011 \
        55P02 57P04 F0000 HV000
        """,
        .poison: """
        21000 22000 22001 22003 22007 22008 22012 22021 22P02 22P05 23000 23001 23502 23503 23505 23514 23P01 44000 P0001
        """,
        .tooBig: "54000 54001 54023",
        .serverSick: "58000 58P01 58P02 XX000 XX001 XX002",
        .ownBug: "08P01 22P03 22P04 24000 25000 25P01 25P02 34000 42601 AL001 AL002 AL004 P0002 P0004",
    ]

    @Test("every code of the table has its class", arguments: table.keys)
    func tabled(expected: SinkFault.Class) throws {
        for state in try #require(Self.table[expected]).split(separator: " ").map(String.init) {
            #expect(faultClass(state, constraint: "some_check") == expected, "\(state)")
        }
    }

    @Test("any code has a class, and one that is not known costs no record", .background)
    func unknownCodes() {
        var random = SeededGenerator(seed: TestSeed.draw())
        let characters = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        let known = Set(Self.poisonous)
        for _ in 0..<50_000 {
            // Half of them beside a real code, where a range that is too wide would show.
            var state = (0..<5).map { _ in characters.randomElement(using: &random) ?? "0" }
            if Bool.random(using: &random), let real = Self.poisonous.randomElement(using: &random) {
                state.replaceSubrange(0..<4, with: Array(real).prefix(4))
            }
            let text = String(state)
            for origin in FaultClassifier.Origin.allCases {
                let found = faultClass(text, constraint: "some_check", from: origin)
                if found == .poison, !known.contains(text) {
                    Issue.record("\(text) costs a record")
                    return
                }
            }
        }
    }

    private static let poisonous = """
        21000 22000 22001 22002 22003 22004 22005 22007 22008 22009 2200B 2200C 2200D 2200F 2200G 2200H 2200L 2200M 2200N \
        2200S 2200T 22010 22011 22012 22013 22014 22015 22016 22018 22019 2201B 2201E 2201F 2201G 2201W 2201X 22021 22022 \
        22024 22025 22026 22027 2202E 2202G 2202H 22030 22031 22032 22033 22034 22035 22036 22037 22038 22039 2203A 2203B \
        2203C 2203D 2203E 2203F 2203G 22P01 22P02 22P05 22P06 23000 23001 23502 23503 23505 23514 23P01 44000 P0001
        """.split(separator: " ").map(String.init)

    @Test("a missing partition and a violated check share a code and are told apart by the constraint's name")
    func missingPartition() {
        #expect(FaultClassifier.isMissingPartition(answered("23514")))
        #expect(!FaultClassifier.isMissingPartition(answered("23514", constraint: "value_present_unless_bad")))
        #expect(!FaultClassifier.isMissingPartition(answered("23505")))
        #expect(faultClass("23514") == .systemic && faultClass("23514", constraint: "a") == .poison)
    }

    @Test("a conflict on the ledger is another attempt that was faster, on any other key it is poison")
    func ledgerKey() {
        #expect(faultClass("23505", constraint: "ingest_batches_pkey") == .transient)
        #expect(faultClass("23505", constraint: "component_parameters_pkey") == .poison)
    }

    @Test("the codes that poolers use for everything mean a shortage there, and damage or a bug on a server")
    func poolers() {
        #expect(faultClass("08P01", from: .pooler) == .resource)
        #expect(faultClass("XX000", from: .pooler) == .serverSick, "it came through the pooler, not from it")
        let ended = answered("XX000", severity: "FATAL")
        #expect(FaultClassifier.classify(ended, from: .pooler).faultClass == .resource)
        #expect(FaultClassifier.classify(ended, from: .server).faultClass == .serverSick)
        #expect(faultClass("08P01", from: .server) == .ownBug && faultClass("XX000", from: .server) == .serverSick)
        let words = [
            "query_wait_timeout", "no more connections allowed (max_client_conn)", "(EMAXCONN) max clients",
            "(ESOMETHINGNEW) not known when this was written",
        ]
        for message in words {
            let state = message.hasPrefix("(") ? "XX000" : "08P01"
            #expect(FaultClassifier.classify(answered(state, message)).faultClass == .resource)
            #expect(FaultClassifier.classify(answered(state, message), from: .server).faultClass != .resource)
        }
        #expect(FaultClassifier.classify(answered("XX000", "cache lookup failed")).faultClass == .serverSick)
        #expect(FaultClassifier.classify(answered("XX000", "tuple concurrently updated")).faultClass == .transient)
    }

    @Test("a malformed row is our own bug, though its code is one of lost connections")
    func ownEncoding() {
        var error = answered("08P01", "insufficient data left in message")
        error.effect = .unknown
        error.context = "COPY parameter_value_history, line 12, column value"
        for origin in FaultClassifier.Origin.allCases {
            #expect(FaultClassifier.classify(error, from: origin).faultClass == .ownBug)
        }
        error.context = nil
        #expect(FaultClassifier.classify(error).faultClass == .inDoubt)
    }

    @Test("whatever may have been committed is in doubt, whatever else is known about it")
    func inDoubt() {
        for code in PostgresError.Code.allCases {
            #expect(FaultClassifier.classify(PostgresError(code, "scripted", effect: .unknown)).faultClass == .inDoubt)
        }
        for state in Self.table.values.joined(separator: " ").split(separator: " ").map(String.init) {
            var error = answered(state)
            error.effect = .unknown
            #expect(FaultClassifier.classify(error).faultClass == .inDoubt, "\(state)")
        }
    }

    @Test("a lost or refused connection is tried again, a wrong password waits for a person, also behind a pool")
    func connections() {
        for code in [PostgresError.Code.connectionFailed, .connectionLost, .poolExhausted, .timedOut, .breakerOpen] {
            #expect(FaultClassifier.classify(PostgresError(code, "scripted")).faultClass == .unsent)
        }
        #expect(FaultClassifier.classify(PostgresError(.notPrimary, "scripted")).faultClass == .notPrimary)
        #expect(FaultClassifier.classify(PostgresError(.tooManyConnections, "scripted")).faultClass == .resource)
        for code in [PostgresError.Code.authenticationFailed, .databaseMissing, .configurationInvalid] {
            let error = PostgresError(code, "scripted")
            #expect(FaultClassifier.classify(error).faultClass == .misconfigured)
            let behind = PostgresError(.poolExhausted, "no connection within 2 s", cause: error)
            #expect(FaultClassifier.classify(behind).faultClass == .misconfigured)
        }
    }

    @Test("what a smaller delivery may help is marked, whatever its class")
    func size() {
        for state in ["57014", "53200", "54000"] { #expect(FaultClassifier.classify(answered(state)).isAboutSize) }
        for state in ["40001", "53100", "23502"] { #expect(!FaultClassifier.classify(answered(state)).isAboutSize) }
    }

    @Test("waiting helps against an outage, and only against that")
    func outage() {
        for state in ["40001", "53100", "57P03", "58030", "XX001"] { #expect(answered(state).isOutage, "\(state)") }
        for state in ["42501", "23502", "42601", "54000"] { #expect(!answered(state).isOutage, "\(state)") }
    }

    @Test("a status line shows the cause behind the cause, the log shows everything")
    func cause() {
        let refused = PostgresError(.connectionFailed, "connection refused", place: "db:5432")
        let exhausted = PostgresError(.poolExhausted, "no connection within 2 s", cause: refused)
        let fault = FaultClassifier.classify(exhausted)
        #expect(fault.cause == "connection refused")
        #expect(fault.message.contains("no connection within 2 s") && fault.message.contains("db:5432"))
    }

    @Test("the line of a COPY is found behind a trigger's own, and only there")
    func copyLine() {
        var evidence = FaultEvidence(message: "")
        #expect(evidence.copyLine == nil)
        evidence.context = "PL/pgSQL function f() line 3 at RAISE\nCOPY e, line 1234, column value: \"x, line 7\""
        #expect(evidence.copyLine == 1234)
        evidence.context = "PL/pgSQL function f() line 3 at RAISE"
        #expect(evidence.copyLine == nil)
    }

    @Test("two records that break the same rule leave the same fingerprint, two rules different ones")
    func fingerprint() {
        var (first, second) = (
            FaultEvidence(message: "a", sqlState: "23514"), FaultEvidence(message: "b", sqlState: "23514")
        )
        first.detail = "row (1)"
        first.constraint = "c"
        second.constraint = "c"
        #expect(first.fingerprint == second.fingerprint)
        second.constraint = "d"
        #expect(first.fingerprint != second.fingerprint)
    }
}
