import DequeModule
import NIOCore
import Synchronization

/// The last frames of a server or a client, for a look afterwards.
///
/// ```swift
/// let log = FrameLog(capacity: 1000)
/// let server = ModbusServer(device: device, onFrame: log.append)
/// ```
public final class FrameLog: Sendable {
    /// How many frames are kept; the oldest leave first.
    public let capacity: Int
    private let records = Mutex<Deque<FrameRecord>>([])

    /// - Parameter capacity: at least 1.
    public init(capacity: Int = 1024) {
        self.capacity = max(capacity, 1)
    }

    /// Adds a frame. It is copied out of the buffer it came in.
    public func append(_ record: FrameRecord) {
        var kept = record
        kept.bytes = ByteBuffer(bytes: record.bytes.readableBytesView)
        records.withLock { records in
            if records.count == capacity { records.removeFirst() }
            records.append(kept)
        }
    }

    /// What is kept, oldest first.
    public var frames: [FrameRecord] {
        records.withLock { Array($0) }
    }
}
