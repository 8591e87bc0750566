import ALDTestKit
import NIOCore
import NIOPosix
import Synchronization

@testable import Modbus

/// A client that knows nothing of Modbus: it sends exactly these bytes and keeps exactly the bytes it gets.
final class RawPeer: Sendable {
    private struct State {
        var received = ByteBuffer()
        var sawEnd = false
        var error: (any Error)?
    }

    private final class Collector: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        let owner: RawPeer

        init(_ owner: RawPeer) {
            self.owner = owner
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            var bytes = unwrapInboundIn(data)
            owner.state.withLock { state in _ = state.received.writeBuffer(&bytes) }
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if case ChannelEvent.inputClosed = event { owner.state.withLock { $0.sawEnd = true } }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            owner.state.withLock { $0.error = error }
            context.close(promise: nil)
        }
    }

    private let state = Mutex(State())
    private let channel = Mutex<(any Channel)?>(nil)

    /// Connects to 127.0.0.1.
    init(port: Int) async throws {
        let opened = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Collector(self))
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
        channel.withLock { $0 = opened }
    }

    func send(_ bytes: ByteBuffer) async throws {
        try await channel.withLock { $0 }?.writeAndFlush(bytes).get()
    }

    func send(_ text: String) async throws {
        try await send(bytes(text))
    }

    /// Everything received so far.
    var received: ByteBuffer {
        state.withLock { $0.received }
    }

    /// The peer sent its FIN.
    var sawEnd: Bool {
        state.withLock { $0.sawEnd }
    }

    /// The peer sent a reset.
    var wasReset: Bool {
        state.withLock { $0.error != nil }
    }

    /// The connection is over, by FIN or reset.
    var isOver: Bool {
        state.withLock { $0.sawEnd || $0.error != nil }
    }

    /// Waits until `count` bytes have come, then takes exactly those.
    func take(_ count: Int) async throws -> String {
        try await eventually("\(count) bytes from the server, so far \(hex(received))") {
            self.received.readableBytes >= count
        }
        return state.withLock { state in
            let taken = state.received.readSlice(length: count) ?? ByteBuffer()
            return hex(taken)
        }
    }

    func close() async {
        try? await channel.withLock { $0 }?.close().get()
    }
}
