import NIOCore

extension ClientConnection {
    /// One complete frame: the answer to a request in flight, a late one, or one that nobody asked for.
    mutating func receive(_ frame: ModbusFrame, now: NIODeadline) {
        let transaction = frame.header.transaction
        noticeGap(before: transaction, now: now)
        if let exchange = session?.answered(transaction, now: now) {
            measured(now - exchange.sent, of: exchange.unit)
            settle(exchange, with: frame, now: now)
        } else if let tombstone = session?.answeredLate(transaction, now: now) {
            let time = now - tombstone.exchange.sent
            measured(time, of: tombstone.exchange.unit)
            statistics.lateReplies += 1
            report(.late(after: .nanoseconds(time.nanoseconds)))
            receiveSkipped(frame, for: tombstone.exchange, now: now)
        } else {
            statistics.strayReplies += 1
            report(.stray)
        }
    }

    private mutating func settle(_ exchange: Exchange, with frame: ModbusFrame, now: NIODeadline) {
        let response: ModbusResponse
        do throws(ResponseMismatch) {
            response = try decode(frame, answering: exchange)
        } catch {
            // The frame's boundaries are intact, so the stream is: only this request fails.
            statistics.malformedReplies += 1
            reportReply(.malformed, to: exchange, now: now)
            for attempt in exchange.attempts {
                fail(
                    attempt,
                    exchange.request.isWrite
                        ? .unknownOutcome(.replyMalformed(error.description)) : .malformedResponse(error.description))
            }
            return
        }
        statistics.replies += 1
        accepted()
        judge(response, to: exchange, now: now)
        if case .exception(let function, let code) = response {
            statistics.exceptions += 1
            reportReply(.exception(code), to: exchange, now: now)
            for attempt in exchange.attempts { refuse(attempt, function, code, now: now) }
        } else {
            reportReply(.done, to: exchange, now: now)
            for attempt in exchange.attempts { finish(attempt, .success(response)) }
        }
    }

    /// What the device answered, if it fits what it was asked.
    func decode(_ frame: ModbusFrame, answering exchange: Exchange) throws(ResponseMismatch) -> ModbusResponse {
        try checkUnit(of: frame, for: exchange)
        let pdu = limits.lenientPadding ? Self.withoutPadding(frame.pdu, exchange.request) : frame.pdu
        return try ModbusResponse(decodingPDU: pdu, answering: exchange.request)
    }

    /// A valid answer came: the connection works.
    mutating func accepted() {
        session?.isProductive = true
        backoff.succeeded()
        lastFailure = nil
    }

    /// Lets the window know: busy may come from too many at a time, every other answer is a good one.
    private mutating func judge(_ response: ModbusResponse, to exchange: Exchange, now: NIODeadline) {
        guard adaptive != nil else { return }
        if case .exception(_, .serverDeviceBusy) = response {
            if exchange.sharesWire { misbehaved(sent: exchange.sent, now: now) }
        } else {
            let isWanted = !reads.isEmpty || !ready.isEmpty
            adaptive?.event(.answered(after: now - exchange.sent, isWanted: isWanted), now: now)
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

    /// A gateway may answer for a unit it cannot reach with an exception of its own, from unit 255. Some devices that
    /// are reached directly put 0 or 255 into every answer.
    private func checkUnit(of frame: ModbusFrame, for exchange: Exchange) throws(ResponseMismatch) {
        let isGatewayException =
            frame.header.unit == .direct && FunctionCode(rawValue: frame.functionByte).isException
        let isNameless = limits.lenientUnit && [.zero, .direct].contains(frame.header.unit)
        guard frame.header.unit == exchange.unit || isGatewayException || isNameless else {
            throw ResponseMismatch("\(frame.header.unit) answered for \(exchange.unit)")
        }
    }

    /// The answer to a read of bits with the unused bits of its last byte set to zero, as they should be.
    private static func withoutPadding(_ pdu: ByteBuffer, _ request: ModbusRequest) -> ByteBuffer {
        guard case .read(let table, let range) = request, table.isBits, range.count % 8 != 0,
            FunctionCode(rawValue: pdu.getInteger(at: pdu.readerIndex) ?? 0) == request.function,
            let last = pdu.getInteger(at: pdu.writerIndex - 1, as: UInt8.self)
        else { return pdu }
        var masked = pdu
        masked.setInteger(last & (1 << UInt8(range.count % 8) - 1), at: pdu.writerIndex - 1)
        return masked
    }
}
