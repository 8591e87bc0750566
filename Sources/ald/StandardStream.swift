import Foundation
import Synchronization

/// Standard output or standard error, written by a thread of its own.
///
/// A terminal that was stopped with Ctrl-S, a stalled connection or a pipe that nobody reads must not stop a recorder:
/// text that finds the queue full is dropped and counted, and the next text that gets through says so. A stream that is
/// closed for good takes everything and shows nothing.
final class StandardStream: Sendable {
    static let output = StandardStream(descriptor: 1)
    static let error = StandardStream(descriptor: 2)

    /// Bytes that may wait for a slow reader.
    private static let limit = 1 << 20

    private struct Queue {
        var bytes: [UInt8] = []
        var droppedTexts = 0
        var isWriting = false
        var isRunning = false
    }

    let descriptor: Int32
    private let queue = Mutex(Queue())
    private let work = DispatchSemaphore(value: 0)

    init(descriptor: Int32) {
        self.descriptor = descriptor
    }

    var isTerminal: Bool { isatty(descriptor) == 1 }

    /// Columns of the terminal; 80 when it is none, or does not know.
    var width: Int {
        var size = winsize()
        let isKnown = ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
        return isKnown ? Int(size.ws_col) : 80
    }

    /// Hands over text; never waits.
    func write(_ text: String) {
        let mustStart = queue.withLock { queue -> Bool in
            guard queue.bytes.count + text.utf8.count <= Self.limit else {
                queue.droppedTexts += 1
                return false
            }
            if queue.droppedTexts > 0 {
                queue.bytes += Array("… \(queue.droppedTexts) lines were dropped, nobody read them\n".utf8)
                queue.droppedTexts = 0
            }
            queue.bytes += Array(text.utf8)
            defer { queue.isRunning = true }
            return !queue.isRunning
        }
        if mustStart { Thread.detachNewThread { self.writeForEver() } }
        work.signal()
    }

    /// Waits until everything has been written, but no longer than a reader who is alive would need.
    func flush(within limit: Duration = .milliseconds(500)) {
        let deadline = ContinuousClock.now + limit
        while queue.withLock({ !$0.bytes.isEmpty || $0.isWriting }), ContinuousClock.now < deadline { usleep(1000) }
    }

    private func writeForEver() {
        Thread.current.name = "ald.output"
        while true {
            work.wait()
            let bytes = queue.withLock { queue -> [UInt8] in
                defer { queue.bytes = [] }
                queue.isWriting = true
                return queue.bytes
            }
            Self.write(bytes, to: descriptor)
            queue.withLock { $0.isWriting = false }
        }
    }

    private static func write(_ bytes: [UInt8], to descriptor: Int32) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
            if written > 0 {
                rest = rest.dropFirst(written)
            } else if errno == EAGAIN {
                // Somebody else's non-blocking terminal: wait for room, on this thread only.
                var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                poll(&ready, 1, 1000)
            } else if errno != EINTR {
                return
            }
        }
    }
}
