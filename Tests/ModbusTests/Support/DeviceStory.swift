import NIOCore

@testable import Modbus

/// A device that is not ideal, in virtual time: what its clients send and get is noted with the millisecond.
struct DeviceStory {
    struct Note {
        var time: Double
        var connection: Int
        var bytes: ByteBuffer
    }

    var machine: DeviceMachine
    let device: any ModbusDevice
    private(set) var now = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private let epoch = NIODeadline.uptimeNanoseconds(1_000_000_000)
    /// What the clients got.
    private(set) var received: [Note] = []
    /// Everything else the device wanted done.
    private(set) var actions: [DeviceMachine.Action] = []

    init(_ behavior: DeviceBehavior, device: any ModbusDevice = MemoryDevice()) {
        machine = DeviceMachine(behavior, now: epoch)
        self.device = device
    }

    var milliseconds: Double {
        Double((now - epoch).nanoseconds) / 1e6
    }

    /// When the clients got something, in milliseconds.
    var times: [Double] {
        received.map(\.time)
    }

    /// The transactions of what the clients got.
    var transactions: [UInt16] {
        received.map { $0.bytes.getInteger(at: $0.bytes.readerIndex) ?? 0 }
    }

    mutating func connect() -> Int {
        let number = machine.connected(to: device, now: now)
        collect()
        return number
    }

    mutating func send(_ bytes: ByteBuffer, on connection: Int) {
        machine.received(bytes, from: connection, now: now)
        collect()
    }

    /// Reads input registers.
    mutating func read(_ start: UInt16, _ count: Int = 1, transaction: UInt16 = 1, on connection: Int) throws {
        var frame = ByteBuffer()
        let range = AddressRange(start: start, count: count) ?? AddressRange(0)
        try frame.writeModbusRequest(.read(.inputRegisters, range), transaction: transaction, unit: 1)
        send(frame, on: connection)
    }

    mutating func strike(_ fault: ConnectionFault) {
        machine.strike(fault, now: now)
        collect()
    }

    /// Lets time pass, event by event.
    mutating func run(milliseconds: Int64 = 3_600_000, while condition: (DeviceStory) -> Bool = { _ in true }) {
        let end = now + .milliseconds(milliseconds)
        while condition(self), let next = machine.nextEvent, next <= end {
            now = max(now, next)
            machine.advance(to: now)
            collect()
        }
        if condition(self), milliseconds < 3_600_000 { now = end }
    }

    private mutating func collect() {
        while let action = machine.nextAction() {
            if case .send(let connection, let bytes) = action {
                received.append(Note(time: milliseconds, connection: connection, bytes: bytes))
            } else {
                actions.append(action)
            }
        }
    }

    /// One client that keeps `window` reads under way until it has read `count` times.
    ///
    /// - Returns: when the last answer came, in milliseconds.
    mutating func poll(_ count: Int, registers: Int, window: Int) throws -> Double {
        let connection = connect()
        var sent = 0
        while received.count < count {
            while sent < count, sent - received.count < window {
                sent += 1
                try read(0, registers, transaction: UInt16(sent), on: connection)
            }
            let before = received.count
            run { $0.received.count == before }
            guard received.count > before else { break }
        }
        return milliseconds
    }
}
