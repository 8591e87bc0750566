import NIOCore

extension ClientConnection {
    /// One complete frame: the answer to a request in flight, a late one, or one that nobody asked for.
    mutating func receive(_ frame: ModbusFrame, now: NIODeadline) {
        let transaction = frame.header.transaction
        if let exchange = session?.answered(transaction, now: now) {
            settle(exchange, with: frame, now: now)
        } else if session?.answeredLate(transaction, now: now) == true {
            statistics.lateReplies += 1
        } else {
            statistics.strayReplies += 1
        }
    }

    private mutating func settle(_ exchange: Exchange, with frame: ModbusFrame, now: NIODeadline) {
        let response: ModbusResponse
        do throws(ResponseMismatch) {
            try Self.checkUnit(of: frame, for: exchange)
            response = try ModbusResponse(decodingPDU: frame.pdu, answering: exchange.request)
        } catch {
            // The frame's boundaries are intact, so the stream is: only this request fails.
            statistics.malformedReplies += 1
            for attempt in exchange.attempts {
                fail(
                    attempt,
                    exchange.request.isWrite
                        ? .unknownOutcome(.replyMalformed(error.description)) : .malformedResponse(error.description))
            }
            return
        }
        statistics.replies += 1
        session?.isProductive = true
        backoff.succeeded()
        lastFailure = nil
        if case .exception(let function, let code) = response {
            statistics.exceptions += 1
            for attempt in exchange.attempts { refuse(attempt, function, code, now: now) }
        } else {
            for attempt in exchange.attempts { finish(attempt, .success(response)) }
        }
    }

    /// The peer said no. Busy means that nothing was executed, so even a write may be made again.
    private mutating func refuse(
        _ attempt: Attempt, _ function: FunctionCode, _ code: ExceptionCode, now: NIODeadline
    ) {
        let due = now + limits.busyDelay
        if code == .serverDeviceBusy, limits.repeatsRequests, drainDeadline == nil, let job = jobs[attempt.job],
            due < job.deadline
        {
            delay(attempt, until: due)
        } else {
            fail(attempt, .exception(code, function))
        }
    }

    /// A gateway may answer for a unit it cannot reach with an exception of its own, from unit 255.
    private static func checkUnit(of frame: ModbusFrame, for exchange: Exchange) throws(ResponseMismatch) {
        let isGatewayException =
            frame.header.unit == .direct && FunctionCode(rawValue: frame.functionByte).isException
        guard frame.header.unit == exchange.unit || isGatewayException else {
            throw ResponseMismatch("\(frame.header.unit) answered for \(exchange.unit)")
        }
    }
}
