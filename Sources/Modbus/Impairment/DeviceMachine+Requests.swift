import DequeModule
import NIOCore

/// The way of a request into the device.
extension DeviceMachine {
    /// Answers of one connection that may wait to leave; a device that cannot get rid of them does not read on.
    static let answerLimit = 64

    /// Cuts requests out of what a connection sent, as many as the device takes.
    mutating func takeRequests(_ number: Int, now: NIODeadline) {
        taking: while let connection = connections[number], !connection.isDeaf, hasRoom(connection, now) {
            switch connections[number]?.nextRequest() {
            case .frame(let frame):
                take(frame, from: number, now: now)
            case .poisoned:
                act(.countMalformedHeader)
                connections[number]?.isDeaf = true
                connections[number]?.closesWhenAnswered = true
                closeWhenAnswered(number)
            case .needMoreBytes, nil:
                break taking
            }
        }
        updateReading(number, now: now)
    }

    private func hasRoom(_ connection: DeviceConnection, _ now: NIODeadline) -> Bool {
        let queue = behavior.timing.inputQueue
        return connection.stalledUntil <= now && connection.inFlight - connection.waiting < Self.answerLimit
            && (queue.overflow != .stopReading || connection.waiting < queue.limit)
    }

    private mutating func updateReading(_ number: Int, now: NIODeadline) {
        guard let connection = connections[number] else { return }
        let isReading = connection.isDeaf || hasRoom(connection, now)
        guard isReading != connection.isReading else { return }
        connections[number]?.isReading = isReading
        act(.setReading(connection: number, isReading))
    }

    private mutating func take(_ frame: ModbusFrame, from number: Int, now: NIODeadline) {
        if logsFrames { act(.logReceived(connection: number, frame.bytes)) }
        counters.received += 1
        let traits = RequestTraits(frame)
        if case .silentUnless(let units) = behavior.quirks.units, !units.contains(traits.unit) { return }
        guard var connection = connections[number] else { return }
        let understood = behavior.quirks.adjusted(frame)
        var request = DeviceRequest(
            connection: number, device: connection.device, frame: understood, traits: traits,
            reachesDevice: understood.reachesDevice)
        request.service = service(of: request)
        let queue = behavior.timing.inputQueue
        if connection.waiting >= queue.limit {
            counters.overflowed += 1
            switch queue.overflow {
            case .answerBusy:
                connections[number]?.inFlight += 1
                answer(request, .exception(traits.function, .serverDeviceBusy), now: now)
                return
            case .discardOldest where unit.forgetOldest(number) != nil || connection.inbox.popFirst() != nil:
                connection.waiting -= 1
                connection.inFlight -= 1
            case .discardOldest, .discardNewest, .stopReading:
                return
            }
        }
        let passed = pass(frame.header.pduSize + ModbusLimits.headerSize, isUpstream: true, now: now)
        let arrival = max(passed + behavior.timing.latencyIn.draw(using: &random), connection.lastIn)
        connection.waiting += 1
        connection.inFlight += 1
        connection.lastIn = arrival
        connection.inbox.append(.init(time: arrival, request: request))
        connections[number] = connection
        agenda.add(.inbox(number), at: arrival)
    }

    /// Gives the service unit what has arrived.
    mutating func openInbox(_ number: Int, now: NIODeadline) {
        while let connection = connections[number], let head = connection.inbox.first, head.time <= now {
            guard connection.stalledUntil <= now else { return }
            connections[number]?.inbox.removeFirst()
            var request = head.request
            if !request.isJudged {
                request.isJudged = true
                guard let later = judge(&request, now: now) else { continue }
                guard later <= now else {
                    connections[number]?.inbox.prepend(.init(time: later, request: request))
                    connections[number]?.lastIn = max(later, connection.lastIn)
                    agenda.add(.inbox(number), at: later)
                    return
                }
            }
            unit.arrived(request, connection: number)
            stepUnit(now)
        }
    }

    /// Asks the faults about a request that has arrived.
    ///
    /// - Returns: when it really arrives; nil when it never does.
    private mutating func judge(_ request: inout DeviceRequest, now: NIODeadline) -> NIODeadline? {
        guard let faults = behavior.faults else { return now }
        let number = request.connection
        let subject = FaultPlan.Subject(connection: number, traits: request.traits, elapsed: now - epoch)
        if case .connection(let fault) = faults.bite(.connection, subject) {
            forgetRequest(of: number, now: now)
            apply(fault, to: number, now: now)
            return nil
        }
        let reachesDevice = request.reachesDevice
        let bitten = faults.bite(.request, subject) { fault in
            // The protocol refuses a malformed request in its own way, whatever the device would say.
            if case .request(.exception) = fault { reachesDevice } else { true }
        }
        guard case .request(let fault) = bitten else { return now }
        switch fault {
        case .drop:
            forgetRequest(of: number, now: now)
            return nil
        case .delay(let time):
            return now + TimeAmount(time)
        case .exception, .executeThenLose:
            request.fault = fault
            return now
        }
    }

    /// A request of this connection will not be answered, or its execution is over without an answer.
    mutating func forgetRequest(of number: Int, now: NIODeadline) {
        connections[number]?.waiting -= 1
        connections[number]?.inFlight -= 1
        takeRequests(number, now: now)
        closeWhenAnswered(number)
    }

    /// A frame goes over the line.
    ///
    /// - Returns: when it has passed.
    mutating func pass(_ bytes: Int, isUpstream: Bool, now: NIODeadline) -> NIODeadline {
        let line = behavior.timing.line
        if isUpstream {
            counters.bytesUpstream += bytes + line.overhead
        } else {
            counters.bytesDownstream += bytes + line.overhead
        }
        return isUpstream || line.isHalfDuplex
            ? upstream.pass(bytes, now: now) : downstream.pass(bytes, now: now)
    }

    /// What a request's execution takes. What is refused unseen has no registers or bits to be carried out.
    private func service(of request: DeviceRequest) -> TimeAmount {
        let (timing, traits) = (behavior.timing, request.traits)
        guard request.reachesDevice, behavior.refusal(of: traits) == nil else { return TimeAmount(timing.perRequest) }
        let words = (traits.bits + 15) / 16
        return TimeAmount(timing.perRequest) + TimeAmount(timing.perRegister) * traits.registers
            + TimeAmount(timing.perSixteenBits) * words
    }
}
