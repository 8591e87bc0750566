import ALDCore

/// What the loopback interface of a ``NetworkNamespace`` does to every packet, whatever its port.
///
/// | Fault | Mechanism |
/// |---|---|
/// | ``bandwidth(bytesPerSecond:)`` | `tc … tbf` |
/// | ``delay(_:jitter:)`` | `tc … netem`, which some kernels lack; ``LongLine`` delays without it |
public enum LinkFault: Hashable, Sendable {
    /// So many get through; what is above waits, and beyond a second of it is dropped.
    case bandwidth(bytesPerSecond: Int)
    /// Each packet is so much later, more or less by the jitter.
    case delay(Duration, jitter: Duration = .zero)

    /// The words behind `tc qdisc add dev lo root`.
    var discipline: [String] {
        switch self {
        case .bandwidth(let bytes):
            // A burst has to hold the largest packet, which on this interface is 64 KiB.
            ["tbf", "rate", "\(bytes * 8)bit", "burst", "70000", "latency", "1s"]
        case .delay(let delay, let jitter):
            ["netem", "delay", "\(Self.microseconds(delay))us", "\(Self.microseconds(jitter))us"]
        }
    }

    private static func microseconds(_ duration: Duration) -> Int { Int((duration.inSeconds * 1e6).rounded()) }
}
