import CLibPQ
import Logging

/// What a pool does with connections behind the backs of their holders.
extension PostgresConnection {
    /// Whether the server answers an empty statement, through a pooler too. If not in time, the connection is closed
    /// at once: nobody waits for the confirmation of a cancellation.
    ///
    /// - Parameter deadline: an instant of the connection's time source.
    func ping(until deadline: MonotonicInstant) async -> Bool {
        guard isClean, let handle else { return false }
        let limit = systemInstant(of: deadline)
        guard PQsendQuery(handle.pointer, "") == 1 else {
            release()
            return false
        }
        isBusy = true
        defer { endOperation() }
        var hasAnswered = false
        while true {
            let isUnsent = PQflush(handle.pointer) == 1
            while PQisBusy(handle.pointer) == 0 || !handle.isAlive {
                guard let result = PQgetResult(handle.pointer) else {
                    if !hasAnswered || !handle.isReady { release() }
                    return self.handle != nil
                }
                if PQresultStatus(result) == PGRES_EMPTY_QUERY { hasAnswered = true }
                PQclear(result)
            }
            let outcome = await waitForSocket(
                handle.socket, isUnsent ? .both : .readable, until: limit, heedingCancellation: true)
            guard outcome == .ready else {
                release()
                return false
            }
            PQconsumeInput(handle.pointer)
        }
    }

    /// Asks the server to cancel what is running, if anything is; its holder gets the server's answer (57014). The
    /// request may arrive late and hit a later statement, so the connection must not be lent to anybody else.
    func cancelStatement() async {
        guard isBusy, let handle, let request = CancelRequest(handle) else { return }
        do {
            _ = try await reactor.offload(
                .cancelRequest, until: systemClock.now + grace, heedingCancellation: false
            ) { request.send() }
        } catch {
            logger.warning("cannot cancel a statement on the server", metadata: ["error": "\(error)"])
        }
    }
}
