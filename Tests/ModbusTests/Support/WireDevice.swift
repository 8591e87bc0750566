import NIOCore
import Testing

@testable import Modbus

/// A simulated device at the end of a simulated wire, and callers who read from it without a pause. Virtual time.
struct WireDevice {
    /// What it does with a request that comes before the one before it is answered.
    enum Habit {
        /// Serves all at the same time.
        case parallel
        /// Serves one after the other.
        case serial
        /// Serves the first of those that come in one piece and loses the others.
        case firstOfSegment
        /// Drops what it was doing.
        case newestOnly
        /// Closes the connection.
        case closes
        /// Says busy.
        case busy
    }

    private enum Event {
        case arrival(ByteBuffer)
        case reply(ByteBuffer)
        case close
    }

    var story: ClientStory
    private let habit: Habit
    private let way: TimeAmount
    private let service: TimeAmount
    private var callers: Int
    private let patience: TimeAmount
    private var events: [(at: NIODeadline, connection: Int, event: Event)] = []
    private var freeAt = NIODeadline.uptimeNanoseconds(0)
    private var lastArrival: NIODeadline?
    private var waiting: Set<UInt64> = []
    private var lastID: UInt64 = 0
    private var seenDials = 0
    private var connection = 0

    /// Reads that ended with their own data.
    private(set) var good = 0
    /// Everything else that reads ended with.
    private(set) var errors: [ModbusError.Code] = []
    /// The largest window seen.
    private(set) var widest = 1
    /// How often the window grew.
    private(set) var raises = 0
    private var lastWindow = 1

    /// - Parameters:
    ///   - latency: the round trip in milliseconds, without the time the device needs.
    ///   - service: what the device needs for a request, in milliseconds.
    init(
        _ habit: Habit, latency: Int64, service: Int64, callers: Int, patience: TimeAmount = .seconds(2),
        _ change: (inout ModbusClient.Configuration) -> Void = { _ in }
    ) {
        self.habit = habit
        self.way = .microseconds(latency * 500)
        self.service = .milliseconds(service)
        self.callers = callers
        self.patience = patience
        self.story = ClientStory(change)
    }

    var window: Int { story.machine.window }

    /// Nobody asks for anything.
    mutating func rest(_ time: TimeAmount) {
        let before = callers
        callers = 0
        run(time)
        callers = before
    }

    /// The callers read for `time`.
    mutating func run(_ time: TimeAmount) {
        let end = story.now + time
        while story.now < end {
            fill()
            let next = [end, events.map(\.at).min() ?? end, story.machine.wake ?? end].min() ?? end
            story.pass(max(next - story.now, .zero))
            while let index = events.indices.filter({ events[$0].at <= story.now }).min(by: {
                events[$0].at < events[$1].at
            }) {
                let event = events.remove(at: index)
                if event.connection == connection { handle(event.event) }
                transmit()
            }
            transmit()
        }
    }

    /// Every caller that has nothing to wait for reads another register.
    private mutating func fill() {
        for id in waiting {
            guard let result = story.result(id) else { continue }
            waiting.remove(id)
            switch result {
            case .success(let response):
                if response == .registers(.holdingRegisters, [UInt16(truncatingIfNeeded: id)]) {
                    good += 1
                } else {
                    Issue.record("read \(id) has the data of another: \(response)")
                }
            case .failure(let error): errors.append(error.code)
            }
        }
        while waiting.count < callers {
            lastID += 1
            waiting.insert(lastID)
            story.read(lastID, at: UInt16(truncatingIfNeeded: lastID), within: patience)
        }
        transmit()
    }

    /// Takes what the client has sent and what it wants.
    private mutating func transmit() {
        widest = max(widest, window)
        if window > lastWindow { raises += 1 }
        lastWindow = window
        if story.dials > seenDials {
            seenDials = story.dials
            connection += 1
            freeAt = story.now
            lastArrival = nil
            story.connect()
        }
        for frame in story.sent { events.append((story.now + way, connection, .arrival(frame))) }
        story.sent = []
    }

    private mutating func handle(_ event: Event) {
        switch event {
        case .arrival(let frame): arrive(frame)
        case .reply(let frame): story.receive(frame)
        case .close:
            connection += 1
            story.close()
        }
    }

    private mutating func arrive(_ frame: ByteBuffer) {
        let now = story.now
        let isSameSegment = lastArrival == now
        lastArrival = now
        switch habit {
        case .parallel: answer(frame, at: now + service)
        case .serial: answer(frame, at: max(now, freeAt) + service)
        case .firstOfSegment: if !isSameSegment { answer(frame, at: max(now, freeAt) + service) }
        case .newestOnly:
            if now < freeAt { events.removeAll { if case .reply = $0.event { $0.at >= freeAt + way } else { false } } }
            answer(frame, at: now + service)
        case .closes:
            if now < freeAt { events.append((now + way, connection, .close)) } else { answer(frame, at: now + service) }
        case .busy:
            if now < freeAt {
                events.append((now + way, connection, .reply(ClientStory.exception(.serverDeviceBusy, to: frame))))
            } else {
                answer(frame, at: now + service)
            }
        }
    }

    private mutating func answer(_ frame: ByteBuffer, at time: NIODeadline) {
        freeAt = time
        events.append((time + way, connection, .reply(ClientStory.reply(to: frame))))
    }
}
