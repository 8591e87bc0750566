import ALDCore
import NIOCore
import NIOPosix
import Synchronization

/// A device whose register i holds i, and which does something wrong with one request of a hundred.
final class FaultyPeer: Sendable {
    enum Fault: CaseIterable {
        case silence, exception, wrongTransaction, answerTwice, close, halfAnswer, wrongProtocol, wrongCount
    }

    private let injected = Mutex([Fault: Int]())
    private let listener = Mutex<(any Channel)?>(nil)

    /// How often each fault was done.
    var faults: [Fault: Int] { injected.withLock { $0 } }

    /// - Returns: the port it listens on.
    func start(seed: UInt64) async throws -> Int {
        let connections = Mutex<UInt64>(0)
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { [self] channel in
                let number = connections.withLock { value in
                    value += 1
                    return value
                }
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Answering(peer: self, seed: seed &+ number))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        listener.withLock { $0 = channel }
        return try channel.localAddress?.port ?? { throw ChannelError.unknownLocalAddress }()
    }

    func stop() async throws {
        try await listener.withLock { $0 }?.close()
    }

    private func note(_ fault: Fault) {
        injected.withLock { $0[fault, default: 0] += 1 }
    }

    /// One connection. Every request is a read of holding registers, twelve bytes long.
    private final class Answering: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let peer: FaultyPeer
        private var chance: SeededGenerator
        private var received = ByteBuffer()

        init(peer: FaultyPeer, seed: UInt64) {
            self.peer = peer
            chance = SeededGenerator(seed: seed)
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            var bytes = unwrapInboundIn(data)
            received.writeBuffer(&bytes)
            while let request = received.readBytes(length: 12) {
                let fault =
                    Int.random(in: 0..<100, using: &chance) == 0 ? Fault.allCases.randomElement(using: &chance) : nil
                if let fault { peer.note(fault) }
                answer(request, with: fault, context)
            }
            received.discardReadBytes()
        }

        private func answer(_ request: [UInt8], with fault: Fault?, _ context: ChannelHandlerContext) {
            let start = UInt16(request[8]) << 8 | UInt16(request[9])
            let count = Int(request[11])
            var header = Array(request[..<4])
            if fault == .wrongTransaction { header[0] ^= 0x55 }
            if fault == .wrongProtocol { header[3] = 7 }
            var body = [request[6], 3, UInt8(2 * count)]
            for value in start..<(start + UInt16(count)) { body += [UInt8(value >> 8), UInt8(value & 0xFF)] }
            if fault == .exception { body = [request[6], 0x83, 4] }
            if fault == .wrongCount { body[2] -= 1 }
            var frame = ByteBuffer(bytes: header + [0, UInt8(body.count)] + body)
            switch fault {
            case .silence: return
            case .close:
                context.close(promise: nil)
                return
            case .halfAnswer: frame = frame.getSlice(at: 0, length: frame.readableBytes / 2) ?? frame
            default: break
            }
            if fault == .answerTwice { context.write(wrapOutboundOut(frame), promise: nil) }
            context.writeAndFlush(wrapOutboundOut(frame), promise: nil)
            if fault == .halfAnswer { context.close(promise: nil) }
        }
    }
}
