import NIOCore

extension ClientConnection {
    /// Lets whoever watches know.
    mutating func report(_ event: ClientEvent) {
        if reportsEvents { actions.append(.report(event)) }
    }

    mutating func reportSent(_ exchange: Exchange) {
        guard reportsEvents else { return }
        report(.sent(exchange.request.function, exchange.unit, queued: queueTime(of: exchange)))
    }

    mutating func reportReply(_ outcome: ClientEvent.Outcome, to exchange: Exchange, now: NIODeadline) {
        guard reportsEvents else { return }
        report(
            .answered(
                ClientEvent.Reply(
                    function: exchange.request.function, unit: exchange.unit, queued: queueTime(of: exchange),
                    latency: .nanoseconds((now - exchange.sent).nanoseconds), outcome: outcome,
                    calls: exchange.attempts.count)))
    }

    mutating func reportRepetition(_ attempts: [Attempt], _ reason: ClientEvent.Repetition) {
        guard reportsEvents else { return }
        for attempt in attempts {
            guard let job = jobs[attempt.job] else { continue }
            report(.repeated(job.work.request(at: attempt.index).function, job.unit, reason))
        }
    }

    mutating func changeState(_ state: ConnectionState) {
        actions.append(.stateChanged(state))
        report(.connection(state))
    }

    /// The window is decided in several places, so it is looked at when an event has been dealt with.
    mutating func noticeWindow() {
        guard statistics.window != window else { return }
        statistics.window = window
        report(.window(window))
    }

    /// The longest that one of the calls has waited.
    private func queueTime(of exchange: Exchange) -> Duration {
        let submitted = exchange.attempts.compactMap { jobs[$0.job]?.submitted }.min() ?? exchange.sent
        return .nanoseconds((exchange.sent - submitted).nanoseconds)
    }
}
