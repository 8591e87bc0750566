import DequeModule
import NIOCore

extension ClientConnection {
    /// The machine itself ends the connection.
    mutating func giveUp(
        _ reason: String, failing code: ModbusError.Code = .connectionClosed(mayHaveExecuted: true), now: NIODeadline
    ) {
        guard let session else { return }
        actions.append(.disconnect(reset: session.isOwed))
        lose(reason, failing: code, now: now)
    }

    /// The connection is gone. Reads that were in flight are made once more, unless that was the second time; writes
    /// that were in flight may have been executed and are never repeated.
    ///
    /// - Parameter code: how reads end that are not made again.
    mutating func lose(
        _ reason: String, failing code: ModbusError.Code = .connectionClosed(mayHaveExecuted: true), now: NIODeadline
    ) {
        guard let lost = session else { return }
        session = nil
        statistics.connectionLosses += 1
        // What was lost by trying a larger window was not lost by the caller's request.
        let isOurFault = adaptive?.event(.closed, now: now) ?? false
        var wait = TimeAmount.zero
        if !lost.isProductive {
            wait = backoff.failed(using: &random)
            lastFailure = .connectionFailed(.lost, reason: reason)
        }
        goDown(.connectionFailed(.lost, reason: reason), until: now + wait)
        var again: [Attempt] = []
        for exchange in lost.exchanges {
            for var attempt in exchange.attempts {
                if exchange.request.isWrite {
                    fail(attempt, .unknownOutcome(.connectionLost))
                } else if drainDeadline != nil {
                    fail(attempt, .shuttingDown)
                } else if !limits.repeatsRequests || (attempt.losses > 0 && !isOurFault) {
                    fail(attempt, code)
                } else {
                    if !isOurFault { attempt.losses += 1 }
                    again.append(attempt)
                }
            }
        }
        statistics.retries += again.count
        reportRepetition(again, .connectionLost)
        repeatFirst(again)
    }

    mutating func goDown(_ code: ModbusError.Code, until: NIODeadline) {
        link = .down(notBefore: until)
        changeState(.down(reason: ModbusError(code, peer: peer)))
    }
}
