import CLibPQ
public import Logging

extension PostgresConnection {
    /// Opens a session: looks up the host names on threads of their own, then tries the addresses one after the other.
    /// Every look-up and every address has an equal share of the time that is left when its turn comes. When a name
    /// cannot be looked up, the addresses that it had in the last 24 hours are tried.
    ///
    /// - Parameters:
    ///   - deadline: an instant of `time`; the call has ended by then, whatever the network does.
    ///   - logger: receives the server's notices.
    /// - Throws: ``PostgresError/Code/connectionFailed``, `authenticationFailed`, `databaseMissing`,
    ///   `serverStarting`, `tooManyConnections`, `notPrimary`, `nameResolutionFailed`, `configurationInvalid`,
    ///   `timedOut` or `cancelled`.
    public static func connect(
        _ configuration: PostgresConfiguration, deadline: MonotonicInstant, time: any TimeSource = SystemTime(),
        logger: Logger
    ) async throws(PostgresError) -> PostgresConnection {
        try await connect(
            configuration, deadline: deadline, time: time, logger: logger, lookUp: NameResolution.addresses)
    }

    /// - Parameters:
    ///   - grace: how long an abandoned statement waits for the server's confirmation.
    ///   - lookUp: the resolver; may block.
    static func connect(
        _ configuration: PostgresConfiguration, deadline: MonotonicInstant, time: any TimeSource = SystemTime(),
        logger: Logger, grace: Duration = cancellationGrace, lookUp: @escaping NameResolution.LookUp
    ) async throws(PostgresError) -> PostgresConnection {
        let connection = PostgresConnection(reactor: try .shared(), time: time, logger: logger, grace: grace)
        try await connection.open(configuration, deadline: deadline, lookUp)
        return connection
    }

    private func open(
        _ configuration: PostgresConfiguration, deadline: MonotonicInstant, _ lookUp: @escaping NameResolution.LookUp
    ) async throws(PostgresError) {
        try configuration.timeouts.validate()
        let options = try ConnectionOptions.effective(configuration.options)
        var limit = systemInstant(of: deadline)
        if let seconds = options["connect_timeout"].flatMap({ Int($0) }), seconds > 0 {
            limit = min(limit, systemClock.now + .seconds(seconds))
        }
        var (candidates, failures) = try await candidates(of: HostList(options), until: limit, lookUp)
        candidates = ConnectCandidate.rounds(candidates)
        for (index, candidate) in candidates.enumerated() {
            let now = systemClock.now
            let share = now + (limit - now) / (candidates.count - index)
            do {
                try await attempt(candidate, until: share)
                return try await introduce(configuration, until: share)
            } catch let error where error.code == .cancelled {
                release()
                throw error
            } catch {
                release()
                // Whatever happened, nothing of the user's was sent.
                var failure = error
                failure.effect = .notSent
                failures.append(failure)
            }
        }
        throw Self.summary(of: failures)
    }

    private func attempt(_ candidate: ConnectCandidate, until limit: MonotonicInstant) async throws(PostgresError) {
        let redaction = Redaction(candidate.options)
        let notices = NoticeSink(logger: logger, redaction: redaction, place: candidate.place)
        let handle = try LibPQHandle(starting: candidate.options, notices: notices)
        // libpq asks for "writable" before the first poll. Its socket may change from one poll to the next.
        var state = handle.isAlive ? PGRES_POLLING_WRITING : PGRES_POLLING_FAILED
        while state != PGRES_POLLING_OK {
            guard state != PGRES_POLLING_FAILED else {
                throw PostgresError(connectFailure: handle.errorText, place: candidate.place, redaction: redaction)
            }
            let outcome = await waitForSocket(
                handle.socket, state == PGRES_POLLING_READING ? .readable : .writable, until: limit,
                heedingCancellation: true)
            guard outcome == .ready else {
                throw Self.interrupted("the server did not complete the connect in time", place: candidate.place)
            }
            state = PQconnectPoll(handle.pointer)
        }
        PQsetnonblocking(handle.pointer, 1)
        place = candidate.place
        self.handle = handle
    }

    /// A wait that did not end well: by our task, or else by the clock.
    static func interrupted(_ message: String, place: String) -> PostgresError {
        if Task.isCancelled { return PostgresError(.cancelled, "connecting was cancelled", place: place) }
        return PostgresError(
            .timedOut, message, place: place,
            remedy: "Check that the address is right and that no firewall drops packets to it.")
    }

    /// One failure stands for itself. Of several the most telling one leads and the others are its context.
    private static func summary(of failures: [PostgresError]) -> PostgresError {
        let ranking: [PostgresError.Code] = [
            .configurationInvalid, .authenticationFailed, .databaseMissing, .notPrimary, .tooManyConnections,
            .serverStarting, .timedOut, .nameResolutionFailed, .connectionFailed,
        ]
        let rank: (PostgresError) -> Int = { ranking.firstIndex(of: $0.code) ?? ranking.count }
        guard var leader = failures.min(by: { rank($0) < rank($1) }) else {
            return PostgresError(.connectionFailed, "the host name has no address")
        }
        if failures.count > 1 {
            leader.context = failures.map { "\($0.place ?? "?"): \($0.message)" }.joined(separator: " | ")
        }
        return leader
    }
}
