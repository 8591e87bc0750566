import NIOCore

/// How fast the line between a device and its clients is: a token bucket for each direction, shared by all connections.
///
/// A frame has passed when its last bit has; a device receives and sends whole frames.
public struct LineRate: Hashable, Sendable {
    /// Towards the device, in bit/s, 1…10¹²; nil for no limit.
    public var upstream: Int?
    /// From the device, in bit/s, 1…10¹²; nil for no limit.
    public var downstream: Int?
    /// Bytes that pass at once after a pause, 0…2²⁰. With 0 every bit takes its time. Defaults to 0.
    public var burst: Int = 0
    /// What is counted for every frame on top of its own bytes (header and PDU), 0…1000: 40 for the headers of TCP and
    /// IPv4 without options. Defaults to 0.
    public var overhead: Int = 0
    /// Whether both directions share the upstream rate. Defaults to false.
    public var isHalfDuplex: Bool = false

    /// The same rate in both directions.
    public init(bitsPerSecond: Int) {
        upstream = bitsPerSecond
        downstream = bitsPerSecond
    }

    public init(upstream: Int? = nil, downstream: Int? = nil) {
        self.upstream = upstream
        self.downstream = downstream
    }

    var problems: [String] {
        var problems: [String] = []
        for (name, rate) in [("upstream", upstream), ("downstream", downstream)] {
            if let rate, !(1...1_000_000_000_000).contains(rate) {
                problems.append("line: \(name) is \(rate) bit/s; allowed are 1 to 10^12")
            }
        }
        if isHalfDuplex, upstream == nil, downstream != nil {
            problems.append("line: half duplex takes its rate from upstream, which is not given")
        }
        if !(0...1 << 20).contains(burst) { problems.append("line: burst is \(burst) bytes; allowed are 0 to 2^20") }
        if !(0...1000).contains(overhead) {
            problems.append("line: overhead is \(overhead) bytes; allowed are 0 to 1000")
        }
        return problems
    }
}

/// One direction of a ``LineRate``.
struct TokenBucket: Hashable, Sendable {
    private let bitsPerSecond: Int?
    private let burst: TimeAmount
    private let overhead: Int
    /// When the line is free again, had it never been allowed a burst.
    private var free = NIODeadline.uptimeNanoseconds(0)

    init(bitsPerSecond: Int?, burst: Int, overhead: Int) {
        self.bitsPerSecond = bitsPerSecond
        self.overhead = overhead
        self.burst = Self.time(burst, bitsPerSecond)
    }

    /// Sends `bytes` in one frame.
    ///
    /// - Returns: when the last of them has passed.
    mutating func pass(_ bytes: Int, now: NIODeadline) -> NIODeadline {
        guard bitsPerSecond != nil else { return now }
        let earliest = now - burst
        if free < earliest { free = earliest }
        free = free + Self.time(bytes + overhead, bitsPerSecond)
        return max(free, now)
    }

    private static func time(_ bytes: Int, _ bitsPerSecond: Int?) -> TimeAmount {
        guard let bitsPerSecond else { return .zero }
        return .nanoseconds(Int64(Double(bytes) * 8e9 / Double(max(bitsPerSecond, 1))))
    }
}
