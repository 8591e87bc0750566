/// A link and a device in numbers, and what reading costs over them. For planning before anything was measured, and
/// to compare what was measured with what should be.
///
/// A request takes 12 bytes and its reply 9 bytes and the data (MODBUS Messaging on TCP/IP V1.0b §3.1.3).
public struct LinkModel: Hashable, Sendable {
    /// The round trip of an empty frame, without the time its bits take. Defaults to 0.
    public var roundTrip = Duration.zero
    /// What the device spends on each request. Defaults to 0.
    public var perRequest = Duration.zero
    /// What the device spends on each register; a bit costs a sixteenth of it. Defaults to 0.
    public var perRegister = Duration.zero
    /// Bits per second from the device to us, at least 1.
    public var downstream: Double
    /// Bits per second from us to the device, at least 1.
    public var upstream: Double
    /// Bytes that the network adds to each packet: 40 for TCP over IPv4. Defaults to 0.
    public var packetOverhead = 0
    /// Whether both directions share one medium, so that a request cannot travel while a reply does. Defaults to
    /// false.
    public var isHalfDuplex = false

    /// A link of the same speed both ways, in bits per second.
    public init(bitsPerSecond: Double) {
        downstream = max(1, bitsPerSecond)
        upstream = max(1, bitsPerSecond)
    }

    /// What a request costs while one is outstanding at a time.
    public var sequential: ReadCost {
        ReadCost(
            perRequest: roundTrip + perRequest + requestTime + replyTime(dataBytes: 0),
            perRegister: perRegister + replyTime(dataBytes: 2) - replyTime(dataBytes: 0))
    }

    /// What one more request costs while enough are outstanding: only the slowest of device, way there and way back
    /// counts, since the others work meanwhile.
    ///
    /// - Parameter registers: the size of a usual request, which decides who is the slowest. 1…125, defaults to 125.
    public func pipelined(registers: Int = ModbusLimits.maximumReadRegisters) -> ReadCost {
        stages.max { $0.time(registers) < $1.time(registers) }?.cost ?? sequential
    }

    /// The window from which on the slowest part never pauses: more requests outstanding only wait longer.
    ///
    /// - Parameter registers: the size of the requests, 1…125.
    public func window(registers: Int) -> Int {
        let busy = stages.map { $0.time(registers) }.max() ?? .zero
        guard busy > .zero else { return 1 }
        return 1 + Int((roundTrip / busy).rounded(.up))
    }

    /// How long `plan` takes with one request outstanding at a time. Exact to the byte, where ``sequential`` counts
    /// a bit as a sixteenth of a register.
    public func time(of plan: ReadPlan) -> Duration {
        plan.requests.reduce(.zero) { total, read in
            total + roundTrip + perRequest + perRegister * read.weight / 16 + requestTime
                + replyTime(dataBytes: read.dataBytes)
        }
    }

    /// One part of the way that works on one request at a time.
    private struct Stage {
        var cost: ReadCost

        func time(_ registers: Int) -> Duration {
            cost.perRequest + cost.perRegister * registers
        }
    }

    private var stages: [Stage] {
        let device = ReadCost(perRequest: perRequest, perRegister: perRegister)
        let perWord = replyTime(dataBytes: 2) - replyTime(dataBytes: 0)
        let back = ReadCost(perRequest: replyTime(dataBytes: 0), perRegister: perWord)
        let there = ReadCost(perRequest: requestTime, perRegister: .zero)
        let shared = ReadCost(perRequest: requestTime + replyTime(dataBytes: 0), perRegister: perWord)
        return (isHalfDuplex ? [device, shared] : [device, back, there]).map(Stage.init)
    }

    private var requestTime: Duration {
        Self.time(bytes: ModbusLimits.headerSize + 5 + packetOverhead, at: upstream)
    }

    private func replyTime(dataBytes: Int) -> Duration {
        Self.time(bytes: ModbusLimits.headerSize + 2 + packetOverhead + dataBytes, at: downstream)
    }

    private static func time(bytes: Int, at bitsPerSecond: Double) -> Duration {
        .nanoseconds(Int((Double(bytes) * 8e9 / bitsPerSecond).rounded()))
    }
}

extension PlannedRead {
    /// The bytes of data in the reply.
    var dataBytes: Int {
        table.isBits ? (range.count + 7) / 8 : 2 * range.count
    }
}
