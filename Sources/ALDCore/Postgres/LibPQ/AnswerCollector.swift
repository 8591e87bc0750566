import CLibPQ

/// Gathers the results of one exchange: the last good one, and the **first** error. When a server terminates a
/// session, libpq reports the server's reason first and its own "connection closed", without a code, after it.
struct AnswerCollector {
    let place: String
    let redaction: Redaction
    private(set) var last: ResultStorage?
    private(set) var firstError: PostgresError?
    /// `COPY` was started by a function that cannot feed it; only closing the session gets out of it in any state.
    private(set) var isStuckInCopy = false

    init(place: String, redaction: Redaction) {
        self.place = place
        self.redaction = redaction
    }

    mutating func take(_ result: OpaquePointer, isAlive: Bool) {
        switch PQresultStatus(result) {
        case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY, PGRES_SINGLE_TUPLE:
            last = ResultStorage(result)
            return
        case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH:
            isStuckInCopy = true
            remember(
                PostgresError(.misuse, "COPY to or from the client needs a function of its own", effect: .notApplied))
        default:
            remember(PostgresError(result: result, isAlive: isAlive, place: place, redaction: redaction))
        }
        PQclear(result)
    }

    mutating func remember(_ error: PostgresError) {
        if firstError == nil { firstError = error }
    }
}
