import DequeModule
import NIOCore

/// What happens to whole connections, and to the device.
extension DeviceMachine {
    mutating func apply(_ fault: ConnectionFault, to number: Int, now: NIODeadline) {
        switch fault {
        case .finish: end(number, .finish)
        case .reset: end(number, .reset)
        case .halfClose:
            guard let connection = connections[number], !connection.isHalfClosed else { return }
            connections[number]?.isHalfClosed = true
            connections[number]?.outbox = []
            connections[number]?.held = nil
            connections[number]?.inFlight = connection.waiting
            agenda.remove { if case .release(number) = $0 { true } else { false } }
            act(.close(connection: number, .output))
            takeRequests(number, now: now)
        case .stall(let time):
            guard connections[number] != nil else { return }
            connections[number]?.stalledUntil = now + TimeAmount(time)
            agenda.add(.resume(number), at: now + TimeAmount(time))
            takeRequests(number, now: now)
        case .freeze(let time):
            unit.block(until: now + TimeAmount(time))
            unitWake = now + TimeAmount(time)
            agenda.add(.unit, at: unitWake)
        case .reboot(let time):
            reboot(time, now: now)
        }
    }

    /// Ends a connection; what it had to get is lost.
    mutating func end(_ number: Int, _ closing: Closing) {
        guard connections[number] != nil else { return }
        forget(number)
        act(.close(connection: number, closing))
    }

    /// A connection is over: nothing of it is left, except what the service unit is executing.
    mutating func forget(_ number: Int) {
        guard connections.removeValue(forKey: number) != nil else { return }
        unit.forget(number)
        agenda.remove { $0.connection == number }
    }

    /// The server ends: nothing is due any more, and a restart under way has no listener to open.
    mutating func stop() {
        boot += 1
        isDown = false
        agenda = Agenda()
        unitWake = .distantFuture
        unit = ServiceUnit(scan: behavior.timing.scanCycle, epoch: epoch)
    }

    private mutating func reboot(_ time: Duration, now: NIODeadline) {
        boot += 1
        counters.reboots += 1
        if !isDown { act(.closeListener) }
        isDown = true
        for number in connections.keys.sorted() { end(number, .reset) }
        unit = ServiceUnit(scan: behavior.timing.scanCycle, epoch: epoch)
        agenda.add(.restart(boot: boot), at: now + TimeAmount(time))
    }
}
