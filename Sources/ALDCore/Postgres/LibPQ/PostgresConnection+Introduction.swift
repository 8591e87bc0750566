import CLibPQ
import Logging
import Synchronization

extension PostgresConnection {
    /// Places where a server answered in person; asked again only when their number of processes looks odd.
    private static let directPlaces = Mutex<Set<String>>([])
    /// A program has a handful; at the bound they are forgotten and asked again.
    private static let maximumDirectPlaces = 256

    /// The first words with a new session: is this the server itself, and if so, its time limits. One round trip, or
    /// none when both are known or nothing is wanted.
    func introduce(_ configuration: PostgresConfiguration, until limit: MonotonicInstant) async throws(PostgresError) {
        let announced = backendProcessID
        let judgement = PoolerFingerprint.judge(
            configuration.pooling, announced: announced,
            isKnownDirect: Self.directPlaces.withLock { $0.contains(place) })
        let settings = configuration.timeouts.settings
        isBehindPooler = configuration.pooling == .session
        if judgement == .pooled || (judgement == .direct && settings.isEmpty) {
            return settle(isPooled: judgement == .pooled, hasTimeouts: settings.isEmpty)
        }
        let condition = judgement == .direct ? "true" : "pg_catalog.pg_backend_pid() = \(announced)"
        let changes = settings.map { "pg_catalog.set_config('\($0.name)', '\($0.milliseconds)', false)" }
        // The server itself decides, so that a pooler's session is never changed.
        let question =
            "SELECT \(condition), CASE WHEN \(condition) THEN pg_catalog.concat(\((["''"] + changes).joined(separator: ", "))) END"
        var exchange = try begin(until: limit) { PQsendQueryParams($0, question, 0, nil, nil, nil, nil, 1) == 1 }
        defer { endOperation() }
        // Nothing of it is worth a cancellation, and the connect must not outlast its deadline for one.
        let verdict = await drive(&exchange, to: .answer, grace: .zero)
        if let error = failure(of: exchange, verdict) {
            guard !error.endsConnection, PoolerFingerprint.isPoolers(error) else { throw Self.unanswered(error) }
            logger.info("a pooler answers instead of the server", metadata: ["error": "\(error)"])
            return settle(isPooled: true, hasTimeouts: settings.isEmpty)
        }
        let isDirect = try single(exchange.answer).first?.decode(0, as: Bool.self) ?? false
        if isDirect { timeouts = configuration.timeouts }
        if isDirect, judgement == .ask {
            Self.directPlaces.withLock { places in
                if places.count >= Self.maximumDirectPlaces { places = [] }
                places.insert(place)
            }
        }
        settle(isPooled: !isDirect, hasTimeouts: isDirect || settings.isEmpty)
    }

    /// The server could not say who it is or keep the time limits, so the session is not what was asked for.
    private static func unanswered(_ error: PostgresError) -> PostgresError {
        switch error.code {
        case .queryFailed: break
        case .timedOut, .cancelled:
            return interrupted("the server did not complete the connect in time", place: error.place ?? "")
        default: return error
        }
        return PostgresError(
            .connectionFailed, "the server did not answer the first question of a new session", place: error.place,
            remedy: "Let the role call pg_backend_pid and set_config, or say what stands before the server (pooling)"
                + " and set the time limits with ALTER ROLE … SET.", cause: error)
    }

    private func settle(isPooled: Bool, hasTimeouts: Bool) {
        self.isPooled = isPooled
        if isPooled { isBehindPooler = true }
        guard isPooled else { return }
        statements.disable()
        logger.debug("a transaction pooler stands before the server", metadata: ["server": "\(place)"])
        if !hasTimeouts {
            logger.warning(
                "time limits are not set behind a transaction pooler; use ALTER ROLE … SET",
                metadata: ["server": "\(place)"])
        }
    }
}
