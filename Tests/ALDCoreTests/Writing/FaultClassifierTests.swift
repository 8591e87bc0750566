import Testing

@testable import ALDCore

@Suite("Fault classes", .background) struct FaultClassifierTests {
    private func answered(_ state: String, constraint: String? = nil) -> PostgresError {
        var error = PostgresError(.queryFailed, "scripted", effect: .notApplied)
        error.sqlState = SQLState(rawValue: state)
        error.constraintName = constraint
        return error
    }

    @Test(
        "what passes by itself is tried again soon",
        arguments: ["08P01", "40001", "40P01", "53100", "53300", "55P03", "57014", "57P03", "58030", "XX000"])
    func passing(state: String) {
        #expect(FaultClassifier.classify(answered(state)).faultClass == .transient)
    }

    @Test(
        "what somebody has to repair is not hammered",
        arguments: ["22003", "23502", "23514", "42501", "42P01", "AL004"])
    func lasting(state: String) {
        #expect(FaultClassifier.classify(answered(state, constraint: "some_check")).faultClass == .rejected)
    }

    @Test("a missing partition and a violated check share a code and are told apart by the constraint's name")
    func missingPartition() {
        #expect(FaultClassifier.isMissingPartition(answered("23514")))
        #expect(!FaultClassifier.isMissingPartition(answered("23514", constraint: "value_present_unless_bad")))
        #expect(!FaultClassifier.isMissingPartition(answered("23505")))
    }

    @Test("whatever may have been committed is in doubt, whatever else is known about it")
    func inDoubt() {
        for code in PostgresError.Code.allCases {
            #expect(FaultClassifier.classify(PostgresError(code, "scripted", effect: .unknown)).faultClass == .inDoubt)
        }
    }

    @Test("a lost or refused connection is tried again, a wrong password waits for a person")
    func connections() {
        for code in [PostgresError.Code.connectionFailed, .connectionLost, .poolExhausted, .notPrimary, .timedOut] {
            #expect(FaultClassifier.classify(PostgresError(code, "scripted")).faultClass == .transient)
        }
        for code in [PostgresError.Code.authenticationFailed, .databaseMissing, .configurationInvalid] {
            #expect(FaultClassifier.classify(PostgresError(code, "scripted")).faultClass == .rejected)
        }
    }

    @Test("a status line shows the cause behind the cause, the log shows everything")
    func cause() {
        let refused = PostgresError(.connectionFailed, "connection refused", place: "db:5432")
        let exhausted = PostgresError(.poolExhausted, "no connection within 2 s", cause: refused)
        let fault = FaultClassifier.classify(exhausted)
        #expect(fault.cause == "connection refused")
        #expect(fault.message.contains("no connection within 2 s") && fault.message.contains("db:5432"))
    }
}
