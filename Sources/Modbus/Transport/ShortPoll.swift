import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Looks for an answer for a moment before the event loop goes to sleep for it: going to sleep and being woken costs
/// more than a quick device needs to answer.
///
/// It reads past the channel's pipeline, so only plain TCP can be polled. Whatever is no byte (the end of the stream,
/// an error) is left to the event loop.
struct ShortPoll {
    /// How long one look takes at most.
    static let limit = TimeAmount.microseconds(60)
    /// Room for the answers of the largest window.
    private static let capacity = 4352

    private let channel: any Channel
    private let socket: NIOBSDSocket.Handle
    private var score = PollScore()
    private var buffer = ByteBuffer()

    /// Polls the socket of `channel`; nil when it has none.
    init?(_ channel: any Channel) {
        let handle = try? channel.pipeline.syncOperations.withUnsafeTransportIfAvailable {
            (socket: NIOBSDSocket.Handle) in
            socket
        }
        guard let handle else { return nil }
        self.channel = channel
        socket = handle
    }

    /// The event loop brought bytes itself, so it has looked after everybody.
    mutating func loopHadItsTurn() {
        score.loopHadItsTurn()
    }

    /// - Returns: bytes that were there or came in time; nil when none did, or when looking has not paid lately.
    mutating func read() -> ByteBuffer? {
        // Once the channel has closed its socket, the socket's number may be another one's.
        guard channel.isActive, score.shouldPoll() else { return nil }
        let end = NIODeadline.now() + Self.limit
        repeat {
            buffer.clear()
            let count = buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: Self.capacity) { bytes in
                max(0, recv(socket, bytes.baseAddress, bytes.count, CInt(MSG_DONTWAIT)))
            }
            if count > 0 {
                score.hit()
                return buffer
            }
            // The device may be a process on this very processor.
            sched_yield()
        } while NIODeadline.now() < end
        score.miss()
        return nil
    }
}
