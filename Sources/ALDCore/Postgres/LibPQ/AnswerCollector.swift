import CLibPQ

/// Gathers the results of one exchange: the last good one, the **first** error and, on demand, one outcome for each
/// statement. When a server terminates a session, libpq reports the server's reason first and its own "connection
/// closed", without a code, after it.
struct AnswerCollector {
    /// What became of one statement of a pipeline or of one result of a script.
    enum Outcome {
        case completed(ResultStorage)
        case failed(PostgresError)
        /// One before it failed, so the server did not look at it.
        case skipped
    }

    let place: String
    let redaction: Redaction
    /// Whether ``outcomes`` is filled; otherwise only the last result is kept.
    let keepsAll: Bool
    private(set) var last: ResultStorage?
    private(set) var firstError: PostgresError?
    private(set) var outcomes: [Outcome] = []
    /// Whether a statement may have changed the session for those that follow.
    private(set) var hasTrace = false
    /// So many statements lead that drop prepared ones, which may be gone already; that is no error then.
    var drops = 0
    /// Pipelines only: ends of implicit transactions that are still to come.
    var pendingSyncs: Int

    init(place: String, redaction: Redaction, keepsAll: Bool = false, syncs: Int = 0) {
        self.place = place
        self.redaction = redaction
        self.keepsAll = keepsAll
        pendingSyncs = syncs
    }

    /// Takes over one result.
    mutating func take(_ result: OpaquePointer, isAlive: Bool) -> ExchangeMachine.Collected {
        switch PQresultStatus(result) {
        case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY, PGRES_SINGLE_TUPLE:
            let storage = ResultStorage(result)
            last = storage
            if !hasTrace, let tag = PQcmdStatus(result) { hasTrace = SessionTrace.isLeft(by: String(cString: tag)) }
            if keepsAll { outcomes.append(.completed(storage)) }
            return .result(isCancellation: false)
        case PGRES_COPY_IN:
            last = ResultStorage(result)
            return .copyIn
        case PGRES_COPY_OUT, PGRES_COPY_BOTH:
            last = ResultStorage(result)
            return .copyOut
        case PGRES_PIPELINE_SYNC:
            PQclear(result)
            pendingSyncs -= 1
            return .result(isCancellation: false)
        case PGRES_PIPELINE_ABORTED:
            PQclear(result)
            if keepsAll { outcomes.append(.skipped) }
            return .result(isCancellation: false)
        default:
            let error = PostgresError(result: result, isAlive: isAlive, place: place, redaction: redaction)
            PQclear(result)
            if error.sqlState != .invalidStatementName || outcomes.count >= drops { remember(error) }
            if keepsAll { outcomes.append(.failed(error)) }
            return .result(isCancellation: error.sqlState == .queryCanceled)
        }
    }

    mutating func remember(_ error: PostgresError) {
        if firstError == nil { firstError = error }
    }
}
