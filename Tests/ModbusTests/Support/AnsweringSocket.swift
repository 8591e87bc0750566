import ALDTestKit
import Foundation
import NIOCore
import Synchronization

@testable import Modbus

/// A listening socket of the operating system whose one connection is answered by whoever holds it, at once.
final class AnsweringSocket: Sendable {
    private let listener: ListeningSocket
    private let connection = Mutex<CInt>(-1)

    var port: Int { listener.port }

    init() throws {
        listener = try ListeningSocket()
    }

    deinit {
        close(connection.withLock { $0 })
        close(listener.descriptor)
    }

    func accept() {
        connection.withLock { if $0 < 0 { $0 = Foundation.accept(listener.descriptor, nil, nil) } }
    }

    func answer(_ request: ByteBuffer) {
        accept()
        send(ClientStory.reply(to: request))
    }

    func send(_ bytes: ByteBuffer) {
        _ = bytes.withUnsafeReadableBytes { bytes in
            connection.withLock { Foundation.send($0, bytes.baseAddress, bytes.count, 0) }
        }
    }
}
