import DequeModule
import NIOCore

/// Execution, and the way of an answer out of the device.
extension DeviceMachine {
    /// A request's service is over: it takes effect now.
    mutating func execute(_ request: DeviceRequest, now: NIODeadline) {
        counters.served += 1
        var guarded = GuardedDevice(device: request.device, behavior: behavior, traits: request.traits)
        if case .exception(let code) = request.fault {
            guarded.refusal = code
        } else if behavior.busy?.isBusy(now - epoch, using: &random) == true {
            guarded.refusal = .serverDeviceBusy
        }
        var response = ServerSession.respond(to: request.frame, device: guarded)
        if request.traits.spans.contains(where: \.isWrite), !response.isException,
            behavior.busy?.acknowledges(using: &random) == true
        {
            response = .exception(response.function, .acknowledge)
        }
        guard connections[request.connection] != nil else { return }
        guard request.fault != .executeThenLose else {
            forgetRequest(of: request.connection, now: now)
            return
        }
        connections[request.connection]?.waiting -= 1
        answer(request, response, isMalformed: request.frame.isMalformed(response), now: now)
        takeRequests(request.connection, now: now)
    }

    /// Answers a request whose execution is over.
    mutating func answer(
        _ request: DeviceRequest, _ response: ModbusResponse, isMalformed: Bool = false, now: NIODeadline
    ) {
        let number = request.connection
        act(.countAnswer(isException: response.isException))
        var leaves = now
        if isMalformed, let pause = behavior.quirks.blocksAfterMalformed {
            leaves = now + TimeAmount(pause)
            unit.block(until: leaves)
            let forgotten = unit.forget(number) + (connections[number]?.inbox.count ?? 0)
            connections[number]?.inbox = []
            connections[number]?.waiting -= forgotten
            connections[number]?.inFlight -= forgotten
        }
        var reply = encoded(request, response, isMalformed: isMalformed)
        if behavior.quirks.corruptsReadAfterRefusal { reply = corrupted(reply, request, response) }
        guard connections[number]?.isHalfClosed == false else {
            connections[number]?.inFlight -= 1
            closeWhenAnswered(number)
            return
        }
        let script = faulty(reply, to: request, now: now) ?? ReplyScript(reply)
        let overtaken = connections[number]?.held != nil
        if !overtaken, let holdsFor = script.holdsFor {
            connections[number]?.held = script
            agenda.add(.release(number), at: leaves + holdsFor)
            return
        }
        transmit(script, to: number, now: leaves)
        if overtaken { releaseHeld(number, now: leaves) }
    }

    /// What the faults make of an answer; nil when none of them bites.
    private mutating func faulty(_ reply: ByteBuffer, to request: DeviceRequest, now: NIODeadline) -> ReplyScript? {
        guard let faults = behavior.faults else { return nil }
        let number = request.connection
        let previous = connections[number]?.previous
        connections[number]?.previous = reply
        let subject = FaultPlan.Subject(connection: number, traits: request.traits, elapsed: now - epoch)
        func script(_ fault: Fault, _ random: inout SeededGenerator) -> ReplyScript? {
            guard case .reply(let fault) = fault else { return nil }
            return ReplyScript(fault, on: reply, to: request.traits, previous: previous, using: &random)
        }
        // A fault that fits is tried with a copy of the generator, and drawn again when it bites.
        let random = self.random
        let bitten = faults.bite(.reply, subject) { fault in
            var trial = random
            return script(fault, &trial) != nil
        }
        return bitten.flatMap { script($0, &self.random) }
    }

    /// What was held back leaves.
    mutating func releaseHeld(_ number: Int, now: NIODeadline) {
        guard let script = connections[number]?.held else { return }
        connections[number]?.held = nil
        agenda.remove { if case .release(number) = $0 { true } else { false } }
        transmit(script, to: number, now: now)
    }

    private mutating func transmit(_ script: ReplyScript, to number: Int, now: NIODeadline) {
        guard var connection = connections[number] else { return }
        let latency = behavior.timing.latencyOut.draw(using: &random)
        var pieces = script.pieces
        if pieces.isEmpty { pieces = [.init(bytes: ByteBuffer())] }
        for (index, piece) in pieces.enumerated() {
            let isLast = index == pieces.count - 1
            let passed =
                piece.bytes.readableBytes == 0 ? now : pass(piece.bytes.readableBytes, isUpstream: false, now: now)
            let time = max(passed + latency, connection.lastOut) + piece.pause
            connection.lastOut = time
            connection.outbox.append(
                .init(time: time, bytes: piece.bytes, endsReply: isLast, closes: isLast && script.closes))
            agenda.add(.outbox(number), at: time)
        }
        connections[number] = connection
    }

    /// Sends what is to leave by now.
    mutating func emptyOutbox(_ number: Int, now: NIODeadline) {
        while let connection = connections[number], let head = connection.outbox.first, head.time <= now {
            guard connection.stalledUntil <= now else { return }
            connections[number]?.outbox.removeFirst()
            if head.bytes.readableBytes > 0 { act(.send(connection: number, head.bytes)) }
            if head.endsReply {
                connections[number]?.inFlight -= 1
                counters.answered += 1
            }
            if head.closes { end(number, .finish) }
        }
        takeRequests(number, now: now)
        closeWhenAnswered(number)
    }

    /// Ends a connection that sent nonsense, once everything before that is answered.
    mutating func closeWhenAnswered(_ number: Int) {
        guard let connection = connections[number], connection.closesWhenAnswered, connection.inFlight == 0 else {
            return
        }
        end(number, .finish)
    }

    private func encoded(_ request: DeviceRequest, _ response: ModbusResponse, isMalformed: Bool) -> ByteBuffer {
        var reply = ByteBuffer()
        let header = request.frame.header
        reply.writeModbusResponse(response, transaction: header.transaction, unit: header.unit)
        guard response.isException else { return reply }
        if isMalformed, behavior.quirks.namelessExceptions {
            let pdu = reply.readerIndex + ModbusLimits.headerSize
            reply.setInteger(FunctionCode.exceptionBit, at: pdu)
            reply.setInteger(ExceptionCode.illegalFunction.rawValue, at: pdu + 1)
        }
        if behavior.quirks.unframedExceptions { reply.moveReaderIndex(forwardBy: ModbusLimits.headerSize) }
        return reply
    }

    private mutating func corrupted(
        _ reply: ByteBuffer, _ request: DeviceRequest, _ response: ModbusResponse
    ) -> ByteBuffer {
        let number = request.connection
        guard request.traits.spans.contains(where: { !$0.isWrite }) else { return reply }
        if case .exception(_, let code) = response {
            if code == .illegalDataAddress { connections[number]?.corruptsNextRead = true }
            return reply
        }
        guard connections[number]?.corruptsNextRead == true else { return reply }
        connections[number]?.corruptsNextRead = false
        var copy = reply
        let values = reply.readerIndex + ModbusLimits.headerSize + 2
        for index in values..<max(values, reply.writerIndex) {
            copy.setInteger(~(reply.getInteger(at: index, as: UInt8.self) ?? 0), at: index)
        }
        return copy
    }
}

extension ModbusResponse {
    var isException: Bool {
        if case .exception = self { true } else { false }
    }
}

extension ModbusFrame {
    /// Whether a device is asked for an answer: what is malformed is refused without it.
    var reachesDevice: Bool {
        do throws(ModbusException) {
            _ = try ModbusRequest(decodingPDU: pdu)
            return true
        } catch {
            return error == .illegalFunction && FunctionCode(rawValue: functionByte).isRequestable
        }
    }

    /// Whether the request was refused for its form, by the protocol and not by the device.
    fileprivate func isMalformed(_ response: ModbusResponse) -> Bool {
        guard case .exception(_, let code) = response, code == .illegalFunction || code == .illegalDataValue else {
            return false
        }
        do throws(ModbusException) {
            _ = try ModbusRequest(decodingPDU: pdu)
            return false
        } catch {
            return true
        }
    }
}

extension DeviceQuirks {
    /// A request as the device understands it.
    func adjusted(_ frame: ModbusFrame) -> ModbusFrame {
        guard acceptsAnyCoilValue, frame.functionByte == FunctionCode.writeSingleCoil.rawValue,
            let value = frame.pdu.getInteger(at: frame.pdu.readerIndex + 3, as: UInt16.self), value != 0
        else { return frame }
        var pdu = frame.pdu
        pdu.setInteger(ModbusRequest.coilOn, at: pdu.readerIndex + 3)
        return ModbusFrame(header: frame.header, pdu: pdu)
    }
}
