import Logging

/// What a pool does with connections behind the backs of their holders.
extension PostgresConnection {
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
