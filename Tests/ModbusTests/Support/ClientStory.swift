import NIOCore
import Testing

@testable import Modbus

/// A client machine with its peer played by the test: virtual time, no socket.
struct ClientStory {
    var machine: ClientConnection
    private(set) var now = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    /// Frames written and not looked at yet, oldest first.
    var sent: [ByteBuffer] = []
    private(set) var outcomes: [UInt64: ClientOutcome] = [:]
    private(set) var states: [ConnectionState] = []
    private(set) var dials = 0
    private(set) var disconnects = 0
    /// Those of the disconnects that throw away what was not acknowledged.
    private(set) var resets = 0
    /// The jobs that ended, in this order.
    private(set) var order: [UInt64] = []
    private(set) var isFinished = false
    /// What the hooks were told.
    private(set) var events: [ClientEvent] = []
    private(set) var shown: [ByteBuffer] = []

    init(seed: UInt64 = 1, _ change: (inout ModbusClient.Configuration) -> Void = { _ in }) {
        var configuration = ModbusClient.Configuration(host: "plc")
        change(&configuration)
        machine = ClientConnection(peer: "plc:502", limits: ClientLimits(configuration), seed: seed)
    }

    /// A story that begins with a connection that stands.
    static func connected(_ change: (inout ModbusClient.Configuration) -> Void = { _ in }) -> ClientStory {
        var story = ClientStory(change)
        story.read(0)
        story.connect()
        story.answer()
        return story
    }

    // MARK: The caller

    /// Reads one holding register, at address `id` unless told otherwise.
    mutating func read(
        _ id: UInt64, at address: UInt16? = nil, isUrgent: Bool = false, within time: TimeAmount = .seconds(1)
    ) {
        submit(
            id, .single(.read(.holdingRegisters, AddressRange(address ?? UInt16(id)))), isUrgent: isUrgent,
            within: time)
    }

    /// Writes one holding register.
    mutating func write(
        _ id: UInt64, _ value: UInt16 = 7, isUrgent: Bool = false, within time: TimeAmount = .seconds(1)
    ) {
        submit(
            id, .single(.writeRegister(address: UInt16(id), value: value)), isUrgent: isUrgent, within: time)
    }

    mutating func submit(
        _ id: UInt64, _ work: ClientWork, unit: UnitID = 1, isUrgent: Bool = false,
        within time: TimeAmount = .seconds(1)
    ) {
        perform(
            machine.submit(
                work, unit: unit, deadline: now + time, isUrgent: isUrgent, id: JobID(rawValue: id), now: now))
    }

    mutating func cancel(_ id: UInt64) {
        perform(machine.cancel(JobID(rawValue: id), now: now))
    }

    mutating func shutDown() {
        perform(machine.shutDown(now: now))
    }

    // MARK: The network

    mutating func connect() {
        perform(machine.connected(now: now))
    }

    mutating func refuse() {
        perform(machine.connectFailed("connection refused", now: now))
    }

    mutating func close() {
        perform(machine.disconnected("reset by peer", now: now))
    }

    /// The peer sends nothing more.
    mutating func finish() {
        perform(machine.finished(now: now))
    }

    mutating func receive(_ bytes: ByteBuffer) {
        perform(machine.received(bytes, now: now))
    }

    /// Answers the oldest frame that was written and not answered.
    mutating func answer() {
        guard !sent.isEmpty else { return }
        receive(Self.reply(to: sent.removeFirst()))
    }

    /// The right answer: every register holds its own address.
    static func reply(to request: ByteBuffer) -> ByteBuffer {
        guard case .complete(let header) = MBAPHeader.judge(request),
            let asked = try? ModbusRequest(decodingPDU: request.pdu)
        else { return ByteBuffer() }
        var out = ByteBuffer()
        let response: ModbusResponse
        if case .read(let table, let range) = asked {
            let addresses = Int(range.start)..<range.end
            response =
                table.isBits
                ? .bits(table, addresses.map { $0 % 3 == 0 })
                : .registers(table, addresses.map { UInt16(truncatingIfNeeded: $0) })
        } else {
            response = ModbusResponse(acknowledging: asked) ?? .exception(asked.function, .illegalDataValue)
        }
        out.writeModbusResponse(response, transaction: header.transaction, unit: header.unit)
        return out
    }

    /// An exception in answer to `request`.
    static func exception(_ code: ExceptionCode, to request: ByteBuffer) -> ByteBuffer {
        guard case .complete(let header) = MBAPHeader.judge(request),
            let function = request.getInteger(at: request.readerIndex + 7, as: UInt8.self)
        else { return ByteBuffer() }
        var out = ByteBuffer()
        out.writeModbusResponse(
            .exception(FunctionCode(rawValue: function), code), transaction: header.transaction, unit: header.unit)
        return out
    }

    // MARK: Time

    /// Lets time pass, with a tick whenever the machine wants one.
    mutating func pass(_ time: TimeAmount) {
        let end = now + time
        while let wake = machine.wake, wake <= end {
            now = max(now, wake)
            perform(machine.tick(now: now))
            if let next = machine.wake, next <= now {
                Issue.record("the machine wants to be woken for the past: its driver would spin")
                break
            }
        }
        now = end
    }

    /// The process stands still for so long: nothing ticks, and what came meanwhile may come before the tick.
    mutating func stall(_ time: TimeAmount) {
        now = now + time
    }

    // MARK: What came of it

    func result(_ id: UInt64) -> Result<ModbusResponse, ModbusError>? {
        if case .single(let result) = outcomes[id] { result } else { nil }
    }

    func error(_ id: UInt64) -> ModbusError.Code? {
        if case .failure(let error) = result(id) { error.code } else { nil }
    }

    func registers(_ id: UInt64) -> [UInt16]? {
        if case .success(.registers(_, let values)) = result(id) { values } else { nil }
    }

    /// The addresses of the frames that wait to be looked at.
    var sentAddresses: [UInt16] {
        sent.map { $0.getInteger(at: $0.readerIndex + 8) ?? 0 }
    }

    private mutating func perform(_ actions: [ClientConnection.Action]) {
        for action in actions {
            switch action {
            case .dial: dials += 1
            case .send(let frame): sent.append(frame)
            case .disconnect(let reset):
                disconnects += 1
                if reset { resets += 1 }
            case .stateChanged(let state): states.append(state)
            case .report(let event): events.append(event)
            case .show(let frame): shown.append(frame.bytes)
            case .finished: isFinished = true
            case .complete(let id, let outcome):
                order.append(id.rawValue)
                if outcomes.updateValue(outcome, forKey: id.rawValue) != nil {
                    Issue.record("job \(id.rawValue) ended twice")
                }
            }
        }
    }
}
