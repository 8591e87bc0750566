import DequeModule
import NIOCore

/// A request inside a device.
struct DeviceRequest: Sendable {
    var connection: Int
    var device: any ModbusDevice
    var frame: ModbusFrame
    var traits: RequestTraits
    /// Whether the device is asked at all.
    var reachesDevice: Bool
    /// What its execution takes.
    var service = TimeAmount.zero
    /// What it will meet when it is executed.
    var fault: RequestFault?
    /// Whether the faults have been asked.
    var isJudged = false
}

/// One connection as a ``DeviceMachine`` sees it.
struct DeviceConnection: Sendable {
    struct Incoming: Sendable {
        var time: NIODeadline
        var request: DeviceRequest
    }

    struct Outgoing: Sendable {
        var time: NIODeadline
        var bytes: ByteBuffer
        var endsReply: Bool
        var closes: Bool
    }

    let device: any ModbusDevice
    var cutter: RequestCutter
    /// Cut out already, because what follows them in their segment is not seen.
    var seen: Deque<ModbusFrame> = []
    /// Bytes are thrown away: it hangs, or sent a header that is none.
    var isDeaf = false
    /// The device closed its direction: it executes and does not answer.
    var isHalfClosed = false
    /// It is closed as soon as everything is answered.
    var closesWhenAnswered = false
    var isReading = true
    var stalledUntil = NIODeadline.uptimeNanoseconds(0)

    /// On the way to the device, in order.
    var inbox: Deque<Incoming> = []
    var lastIn = NIODeadline.uptimeNanoseconds(0)
    /// On the way back, in order.
    var outbox: Deque<Outgoing> = []
    var lastOut = NIODeadline.uptimeNanoseconds(0)

    /// Requests on the way, waiting or being executed.
    var waiting = 0
    /// Requests that are not answered.
    var inFlight = 0

    /// The answer before the next one.
    var previous: ByteBuffer?
    /// An answer that waits for the next one to overtake it.
    var held: ReplyScript?
    var corruptsNextRead = false

    init(_ device: any ModbusDevice, _ quirks: DeviceQuirks) {
        self.device = device
        cutter = RequestCutter(quirks)
    }

    mutating func nextRequest() -> FrameDecoder.Step {
        if let frame = seen.popFirst() { .frame(frame) } else { cutter.next() }
    }
}
